"""The terminal server's side: requests, their answers, notices, and what goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.effects import ProgramFailed
from daemons.keeper.client import HeldProgram, KeeperError, KeeperLost, OutOfDescriptors
from daemons.screen.ring import Ring
from tests.integration.keepers import (
    RING_BYTES,
    Keeping,
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    keeping,
    program,
    room_for_descriptors,
)
from tsproto.errors import ErrorCode


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with folder_with_keeper(tmp_path) as folder:
        yield folder


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_program_starts_with_its_terminal_and_an_empty_ring(folder: Path) -> None:
    async with keeping(folder) as kept:
        held = await kept.client.start(program(command="stty size"), 132, 43, RING_BYTES)
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
        first = await kept.client.start(program(), 80, 24, RING_BYTES)
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
        again = await kept.client.start(program(1), 80, 24, RING_BYTES)
        assert isinstance(again, ProgramFailed)
        assert again.code is ErrorCode.PROGRAM_FAILED
        assert len(await kept.client.sessions()) == 1


async def test_a_failed_start_leaves_nothing(folder: Path) -> None:
    async with keeping(folder) as kept:
        before = descriptors()
        failed = await kept.client.start(
            program(arguments=("/no/such/program",)), 80, 24, RING_BYTES
        )
        assert isinstance(failed, ProgramFailed)
        assert "No such file" in failed.detail
        assert await kept.client.sessions() == []
        assert descriptors() == before
        await kept.start(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice of users")
async def test_an_unusable_account_has_its_own_code(folder: Path) -> None:
    async with keeping(folder) as kept:
        failed = await kept.client.start(program(system_user="no-such-user"), 80, 24, RING_BYTES)
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
        with room_for_descriptors(room):
            failed = await kept.client.start(program(), 80, 24, RING_BYTES)
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
        keeper = keeper_pid(folder)
        assert keeper is not None
        os.kill(keeper, signal.SIGSTOP)
        asked = asyncio.ensure_future(kept.client.sessions())
        started = asyncio.ensure_future(kept.client.start(program(), 80, 24, RING_BYTES))
        await asyncio.wait([asked, started], timeout=0)
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        with pytest.raises(KeeperError, match="broke"):
            await asked
        with pytest.raises(KeeperLost, match="broke"):
            await started
        await kept.lost.wait()


async def test_without_a_connection_nothing_starts(folder: Path) -> None:
    with pytest.raises(KeeperLost, match="no connection"):
        await Keeping(folder).client.start(program(), 80, 24, RING_BYTES)


async def test_a_keeper_elsewhere_is_used_and_never_started(folder: Path) -> None:
    own, elsewhere = folder / "own", folder / "elsewhere"
    own.mkdir()
    elsewhere.mkdir()
    (own / "keeper.sock").symlink_to(elsewhere / "keeper.sock")
    with pytest.raises(KeeperError, match="no keeper listens at .*elsewhere"):
        await Keeping(own).client.connect()
    with folder_with_keeper(elsewhere):
        async with keeping(elsewhere):
            pass
        async with keeping(own) as kept:
            assert await kept.client.sessions() == []
    assert (own / "keeper.sock").is_symlink()


async def test_a_folder_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(KeeperError, match="No such file or directory"):
        await Keeping(folder / "none").client.connect()
