"""The terminal server's side: requests, their answers, notices, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from daemons.effects import ProgramFailed
from daemons.keeper import messages as km
from daemons.keeper.address import unix_address
from daemons.keeper.client import HeldProgram, KeeperLost, OutOfDescriptors
from daemons.keeper.starting import KeeperError
from daemons.screen.ring import Ring
from tests.integration.keepers import (
    RING_BYTES,
    Keeping,
    Terminal,
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    keeping,
    proof_of,
    room_for_descriptors,
    start_of,
    write_host,
)
from tsproto.errors import ErrorCode
from tsproto.user_proof import Asked

SHELL = Asked()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with folder_with_keeper(tmp_path) as folder:
        yield folder


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_program_starts_with_its_terminal_and_an_empty_ring(folder: Path) -> None:
    async with keeping(folder) as kept:
        held = await kept.try_to_start(columns=132, command="stty size")
        assert isinstance(held, HeldProgram)
        ring = Ring(held.ring)
        assert ring.is_empty
        ring.write(b"x" * RING_BYTES)
        assert ring.begin == 0
        ring.close()
        held.close()


async def test_the_end_is_told_with_its_status(folder: Path) -> None:
    async with keeping(folder) as kept:
        await kept.start(1, command="read go; exit 3")
        terminal = await kept.start(2, command="read go; kill -KILL $$")
        terminal.type(b"\n")
        assert await kept.ended.get() == (2, 137)


async def test_fetching_gives_the_same_terminal_and_ring_again(folder: Path) -> None:
    async with keeping(folder) as kept:
        first = await kept.try_to_start()
        assert isinstance(first, HeldProgram)
        ring = Ring(first.ring)
        ring.write(b"kept")
        ring.close()
        first.close()
        again = await kept.client.fetch(1)
        assert isinstance(again, HeldProgram)
        ring = Ring(again.ring)
        assert (again.pid, ring.contents()) == (first.pid, b"kept")
        ring.close()
        again.close()


async def test_hanging_up_ends_a_program_and_what_it_left_behind(folder: Path) -> None:
    async with keeping(folder) as kept:
        terminal = await kept.start(1)
        terminal.type(b"sleep 1000 & echo job $!.\n")
        terminal.until(b"\n")
        terminal.until(b"job ")
        job = os.pidfd_open(int(terminal.until(b".")))
        kept.client.hang_up(1)
        assert await kept.ended.get() == (1, 128 + signal.SIGHUP)
        assert await asyncio.to_thread(is_readable, job, 20)
        os.close(job)


async def test_what_does_not_hear_the_hang_up_is_killed(folder: Path) -> None:
    async with keeping(folder) as kept:
        terminal = await kept.start(1, command="trap '' HUP; echo deaf.; cat; cat")
        terminal.until(b"deaf.")
        kept.client.hang_up(1)
        assert await kept.ended.get() == (1, 128 + signal.SIGKILL)


async def test_a_session_is_started_once(folder: Path) -> None:
    async with keeping(folder) as kept:
        await kept.start(1)
        again = await kept.try_to_start(1)
        assert isinstance(again, ProgramFailed)
        assert again.code is ErrorCode.PROGRAM_FAILED
        assert len(await kept.client.sessions()) == 1


async def test_a_failed_start_leaves_nothing(folder: Path) -> None:
    write_host(folder, sessions={"applications": {"none": {"command": ["/no/such/program"]}}})
    async with keeping(folder) as kept:
        before = descriptors()
        failed = await kept.try_to_start(application="none")
        assert isinstance(failed, ProgramFailed)
        assert "No such file" in failed.detail
        assert await kept.client.sessions() == []
        assert descriptors() == before
        await kept.start(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice of users")
async def test_an_unusable_account_has_its_own_code(folder: Path) -> None:
    write_host(folder, system_user="no-such-user")
    async with keeping(folder) as kept:
        failed = await kept.try_to_start()
        assert isinstance(failed, ProgramFailed)
        assert failed.code is ErrorCode.ACCOUNT_UNUSABLE


async def test_an_unknown_session_cannot_be_fetched(folder: Path) -> None:
    async with keeping(folder) as kept:
        assert isinstance(await kept.client.fetch(9), ProgramFailed)


async def test_many_requests_at_once_get_their_own_answers(folder: Path) -> None:
    async with keeping(folder) as kept:
        terminals = await asyncio.gather(*(kept.start(n, columns=10 + n) for n in range(1, 30)))
        for number, terminal in enumerate(terminals, 1):
            terminal.type(b"echo size''=$(stty size)\n")
            terminal.until(b"size=")
            assert terminal.until(b"\r\n") == b"24 %d" % (10 + number)


@pytest.mark.parametrize("room", [0, 1])
async def test_a_program_whose_descriptors_find_no_room_is_ended(folder: Path, room: int) -> None:
    async with keeping(folder) as kept:
        before = descriptors()
        proof_id = await proof_of(kept.client, SHELL)
        with room_for_descriptors(room):
            failed = await kept.client.start(start_of(1, proof_id, SHELL))
        assert isinstance(failed, ProgramFailed)
        assert descriptors() == before
        assert await kept.client.sessions() == []


async def test_a_session_whose_descriptors_find_no_room_is_there_all_the_same(
    folder: Path,
) -> None:
    async with keeping(folder) as kept:
        started = await kept.start()
        with room_for_descriptors(1), pytest.raises(OutOfDescriptors):
            await kept.client.fetch(1)
        assert (await kept.fetch(1)).pid == started.pid


async def test_connecting_again_is_one_connection(folder: Path) -> None:
    async with keeping(folder) as kept:
        await asyncio.gather(kept.client.connect(), kept.client.connect())
        assert await kept.client.sessions() == []


async def test_a_keeper_that_dies_fails_what_was_asked(folder: Path) -> None:
    async with keeping(folder) as kept:
        proof_id = await proof_of(kept.client, SHELL)
        keeper = keeper_pid(folder)
        assert keeper is not None
        os.kill(keeper, signal.SIGSTOP)
        asked = asyncio.ensure_future(kept.client.sessions())
        started = asyncio.ensure_future(kept.client.start(start_of(1, proof_id, SHELL)))
        await asyncio.wait([asked, started], timeout=0)
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        with pytest.raises(KeeperError, match="broke"):
            await asked
        with pytest.raises(KeeperLost, match="broke"):
            await started
        await kept.lost.wait()


# --- adopting -------------------------------------------------------------------------------------

UNKNOWN = "no earlier keeper of this host has left such a session"


@contextlib.asynccontextmanager
async def after_a_keepers_death(
    folder: Path,
) -> AsyncIterator[tuple[Keeping, dict[int, HeldProgram]]]:
    """Sessions 1 and 2 of a keeper that was killed, and a client of the next keeper."""
    async with keeping(folder) as kept:
        held = {}
        for session_id in (1, 2):
            outcome = await kept.try_to_start(session_id)
            assert isinstance(outcome, HeldProgram)
            held[session_id] = outcome
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        await kept.lost.wait()
        await kept.client.connect()
        try:
            yield kept, held
        finally:
            for each in held.values():
                each.close()


async def adopt(kept: Keeping, session_id: int, held: HeldProgram) -> str:
    return await kept.client.adopt(session_id, held.master, held.ring)


async def test_a_session_of_a_dead_keeper_is_adopted(folder: Path) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        assert await kept.client.sessions() == []
        assert await adopt(kept, 1, held[1]) == ""
        assert await kept.client.sessions() == [km.KeptSession(1, held[1].pid, None)]
        again = await kept.fetch(1)
        again.type(b"tty; exit 3\n")
        again.until(b"/dev/pts/")
        assert await kept.ended.get() == (1, km.STATUS_UNKNOWN)
        kept.client.forget(1)
        assert await kept.client.sessions() == []


async def test_an_adopted_session_is_hung_up_and_killed_like_any_other(folder: Path) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        deaf = Terminal(held[1])
        deaf.type(b"trap '' HUP; echo de''af.\n")
        deaf.until(b"deaf.")
        assert await adopt(kept, 1, held[1]) == ""
        program = os.pidfd_open(held[1].pid)
        kept.client.hang_up(1)
        assert await kept.ended.get() == (1, km.STATUS_UNKNOWN)
        assert is_readable(program, 0)
        os.close(program)


async def test_a_session_is_adopted_once(folder: Path) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        assert await adopt(kept, 1, held[1]) == ""
        assert await adopt(kept, 1, held[1]) == UNKNOWN
        assert len(await kept.client.sessions()) == 1


async def test_a_session_that_the_keeper_started_itself_is_not_adopted(folder: Path) -> None:
    async with keeping(folder) as kept:
        held = await kept.try_to_start(1)
        assert isinstance(held, HeldProgram)
        assert await adopt(kept, 1, held) == UNKNOWN
        held.close()


@pytest.mark.parametrize("session_id", [0, 3, -1, 2**63])
async def test_a_made_up_session_is_not_adopted(folder: Path, session_id: int) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        assert await adopt(kept, session_id, held[1]) == UNKNOWN
        assert await kept.client.sessions() == []


async def test_another_sessions_terminal_is_not_taken(folder: Path) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        detail = "the session cannot be adopted: the terminal is not the session's"
        assert await adopt(kept, 1, held[2]) == detail
        assert await kept.client.sessions() == []
        assert await adopt(kept, 1, held[1]) == ""


async def test_a_terminal_of_the_clients_own_is_not_taken(folder: Path) -> None:
    master, slave = os.openpty()
    async with after_a_keepers_death(folder) as (kept, held):
        for end in (master, slave, held[1].ring):
            detail = await kept.client.adopt(1, end, held[1].ring)
            assert detail.startswith("the session cannot be adopted: ")
        assert await kept.client.sessions() == []
    os.close(master)
    os.close(slave)


async def test_a_program_that_has_ended_is_not_adopted(folder: Path) -> None:
    async with after_a_keepers_death(folder) as (kept, held):
        await asyncio.to_thread(end_process, held[1].pid, signal.SIGKILL)
        detail = await adopt(kept, 1, held[1])
        if not detail:  # its parent had not noticed yet
            assert await kept.ended.get() == (1, km.STATUS_UNKNOWN)
        else:
            assert detail == UNKNOWN


async def test_descriptors_that_come_with_other_requests_are_closed(folder: Path) -> None:
    async with keeping(folder) as kept:
        await kept.client.sessions()
        opened = Path(f"/proc/{keeper_pid(folder)}/fd")
        before = len(os.listdir(opened))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        with unix_address(folder / "keeper.sock") as address:
            client.connect(address)
        for request in (km.ListSessions(1, -1), km.Adopt(1, 1), km.FetchSession(1, 1)):
            socket.send_fds(client, [km.encode(request)], [0, 1])
            assert await asyncio.to_thread(client.recv, km.PACKET_BYTES)
        socket.send_fds(client, [b"\xc1"], [0, 1])
        assert await asyncio.to_thread(client.recv, 16) == b""
    async with keeping(folder) as kept:
        await kept.client.sessions()
        assert len(os.listdir(opened)) == before


async def test_without_a_connection_nothing_starts(folder: Path) -> None:
    with pytest.raises(KeeperLost, match="no connection"):
        await Keeping(folder).client.start(start_of(1, 1, SHELL))


async def test_a_supervisors_keeper_is_waited_for_and_never_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.keeper.client.START_SECONDS", 0.3)
    waiting = Keeping(folder, starts=False)
    with pytest.raises(KeeperError, match="the keeper of .* ended"):
        await waiting.client.connect()
    async with keeping(folder) as kept:
        kept.client.close()
        await waiting.client.connect()
        assert await waiting.client.sessions() == []
    waiting.close()


async def test_a_folder_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(KeeperError, match="No such file or directory"):
        await Keeping(folder / "none").client.connect()
