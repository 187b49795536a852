"""The keeper as a process: it outlives its client, keeps what it is told to keep, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.effects import ProgramFailed
from daemons.keeper import messages as km
from daemons.keeper.address import unix_address
from tests.integration.keepers import (
    RING_BYTES,
    Keeping,
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    keeping,
    program,
    wait_until_gone,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run another's program")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with folder_with_keeper(tmp_path) as folder:
        yield folder


async def test_sessions_outlive_a_client_that_is_killed(folder: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from tests.integration.keepers import Keeping\n"
        "async def main():\n"
        "    kept = Keeping(Path(sys.argv[1]))\n"
        "    await kept.client.connect()\n"
        "    terminal = await kept.start(1)\n"
        '    terminal.type(b\'kept=this; echo rea""dy.; trap "" HUP\\n\')\n'
        "    terminal.until(b'ready.\\r\\n')\n"
        "    print(terminal.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(folder), stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    pid = int(await client.stdout.readline())
    client.kill()
    await client.wait()
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == [km.KeptSession(1, pid, None)]
        terminal = await kept.fetch(1)
        terminal.type(b"echo $kept.\n")
        terminal.until(b"this.")


async def test_an_end_that_nobody_heard_of_is_told_later(folder: Path) -> None:
    async with keeping(folder) as kept:
        terminal = await kept.start(1, command="read go; echo last words; exit 7")
    async with keeping(folder) as kept:
        terminal = await kept.fetch(1)
        pidfd = os.pidfd_open(terminal.pid)
        kept.client.close()
        terminal.type(b"\n")
        assert await asyncio.to_thread(is_readable, pidfd, 20)
        os.close(pidfd)
    async with keeping(folder) as kept:
        (session,) = await _until_ended(kept)
        assert session.exit_status == 7
        (await kept.fetch(1)).until(b"last words")
        kept.client.forget(1)
        assert await kept.client.sessions() == []


async def _until_ended(kept: Keeping) -> list[km.KeptSession]:
    """The program has ended; the keeper may be about to notice."""
    while True:
        sessions = await kept.client.sessions()
        if all(session.exit_status is not None for session in sessions):
            return sessions


async def test_a_second_client_waits_for_the_first_to_leave(folder: Path) -> None:
    async with keeping(folder) as first, keeping(folder) as second:
        asked = asyncio.ensure_future(second.client.sessions())
        assert await first.client.sessions() == []
        assert not asked.done()
        first.client.close()
        assert await asked == []


async def test_two_that_start_a_keeper_get_the_same_one(folder: Path) -> None:
    first, second = Keeping(folder), Keeping(folder)
    await asyncio.gather(first.client.connect(), second.client.connect())
    first.close()
    assert await second.client.sessions() == []
    second.close()


async def test_a_client_that_talks_nonsense_is_dropped_and_the_sessions_stay(folder: Path) -> None:
    async with keeping(folder) as kept:
        await kept.start(1)
    with dialled(folder) as stranger:
        stranger.send(b"\xc1nonsense")
        assert await asyncio.to_thread(stranger.recv, 16) == b""
    async with keeping(folder) as kept:
        assert [session.session_id for session in await kept.client.sessions()] == [1]


async def test_a_session_that_is_forgotten_while_it_starts_costs_nothing(folder: Path) -> None:
    async with keeping(folder):
        pass
    with dialled(folder) as client:
        start = km.StartSession(1, program(1), 80, 24, RING_BYTES)
        for request in (start, km.HangUp(1), km.Forget(1)):
            client.send(km.encode(request))
        answer = await asyncio.to_thread(client.recv, km.PACKET_BYTES)
    assert isinstance(km.decode_reply(answer), km.CannotStart)
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []
        while isinstance(await kept.client.start(program(1), 80, 24, RING_BYTES), ProgramFailed):
            pass  # the hang-up has not ended the first one yet
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGTERM)
    assert os.stat(folder / "keeper.log").st_size == 0


async def test_a_client_that_leaves_in_the_same_moment_as_a_program_costs_nothing(
    folder: Path,
) -> None:
    async with keeping(folder) as kept:
        ending = (await kept.start(1, command="read go")).pid
        await kept.start(2)
        keeper = keeper_pid(folder)
        assert keeper is not None
        os.kill(keeper, signal.SIGSTOP)
        await asyncio.to_thread(end_process, ending, signal.SIGKILL)
    os.kill(keeper, signal.SIGCONT)
    async with keeping(folder) as kept:
        assert [session.session_id for session in await kept.client.sessions()] == [1, 2]
        assert keeper_pid(folder) == keeper


async def test_nobody_gets_the_answer_to_anothers_request(folder: Path) -> None:
    async with keeping(folder):
        pass
    with dialled(folder) as first:
        first.send(km.encode(km.StartSession(7, program(1), 80, 24, RING_BYTES)))
    with dialled(folder) as second:
        second.settimeout(0.5)
        second.send(km.encode(km.ListSessions(8, -1)))
        answer = await asyncio.to_thread(second.recv, km.PACKET_BYTES)
        assert isinstance(km.decode_reply(answer), km.SessionList)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(second.recv, km.PACKET_BYTES)


@contextlib.contextmanager
def dialled(folder: Path) -> Iterator[socket.socket]:
    """A client that says what the test lets it say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        with unix_address(folder / "keeper.sock") as address:
            client.connect(address)
        yield client


async def test_all_sessions_are_listed_in_order(folder: Path) -> None:
    async with keeping(folder) as kept:
        for session_id in (3, 1, 2):
            await kept.start(session_id, command="read go")
        assert [session.session_id for session in await kept.client.sessions()] == [1, 2, 3]


async def test_sigterm_ends_the_sessions_and_leaves_nothing(folder: Path) -> None:
    async with keeping(folder) as kept:
        pid = (await kept.start(1)).pid
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGTERM)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await kept.lost.wait()
    assert os.listdir(folder) == ["keeper.log"]
    assert os.stat(folder / "keeper.log").st_size == 0


async def test_a_keeper_without_client_and_session_ends(folder: Path) -> None:
    async with keeping(folder, idle_seconds=0.1):
        pass
    await asyncio.to_thread(wait_until_gone, folder / "keeper.pid")
    assert os.listdir(folder) == ["keeper.log"]


async def test_a_keeper_with_a_session_stays(folder: Path) -> None:
    async with keeping(folder, idle_seconds=0.1) as kept:
        await kept.start(1)
        keeper = os.pidfd_open(keeper_pid(folder) or 0)
    assert not await asyncio.to_thread(is_readable, keeper, 0.5)
    os.close(keeper)


async def test_a_killed_keeper_makes_room_for_another(folder: Path) -> None:
    async with keeping(folder) as kept:
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        await kept.lost.wait()
        await kept.client.connect()
        assert await kept.client.sessions() == []
        assert keeper_pid(folder) != keeper


async def test_only_its_own_user_may_open_the_socket(folder: Path) -> None:
    async with keeping(folder):
        assert (folder / "keeper.sock").stat().st_mode & 0o777 == 0o600


@needs_root
async def test_another_user_is_not_served_even_where_the_socket_is_open(folder: Path) -> None:
    async with keeping(folder):
        pass
    os.chmod(folder, 0o711)
    os.chmod(folder / "keeper.sock", 0o666)
    assert await asyncio.to_thread(answer_to_nobody, folder) == b""
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []


def answer_to_nobody(folder: Path) -> bytes:
    """What the user `nobody` is told who asks for the sessions."""
    script = (
        "import socket, sys\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dialled:\n"
        "    dialled.connect(sys.argv[1])\n"
        "    dialled.send(bytes.fromhex(sys.argv[2]))\n"
        "    sys.stdout.buffer.write(dialled.recv(16))\n"
    )
    here = os.open(folder, os.O_PATH)
    address = f"/proc/self/fd/{here}/keeper.sock"
    request = km.encode(km.ListSessions(1, -1)).hex()
    stranger = subprocess.run(
        ["/usr/bin/env", "python3", "-c", script, address, request],
        user="nobody",
        extra_groups=[],
        pass_fds=[here],
        cwd="/",
        stdout=subprocess.PIPE,
    )
    os.close(here)
    return stranger.stdout


def start_keeper(folder: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "daemons.keeper", "--detach", *options]
    command += ["--socket", str(folder / "keeper.sock"), "--pid-file", str(folder / "keeper.pid")]
    return subprocess.run(command, stderr=subprocess.PIPE)


@needs_root
async def test_a_user_that_is_allowed_is_served(folder: Path) -> None:
    os.chmod(folder, 0o711)
    await asyncio.to_thread(start_keeper, folder, "--allow-user", "nobody")
    status = (folder / "keeper.sock").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (pwd.getpwnam("nobody").pw_uid, 0o600)
    answer = await asyncio.to_thread(answer_to_nobody, folder)
    assert km.decode_reply(answer) == km.SessionList(1, (), False)


async def test_a_keeper_may_open_as_many_files_as_the_host_allows(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        async with keeping(folder) as kept:
            await kept.client.sessions()
            keeper = keeper_pid(folder)
            assert keeper is not None
            assert resource.prlimit(keeper, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_nobody_else_may_write_where_a_user_is_allowed(folder: Path) -> None:
    os.chmod(folder, 0o777)
    name = pwd.getpwuid(os.geteuid()).pw_name
    refused = await asyncio.to_thread(start_keeper, folder, "--allow-user", name)
    assert refused.returncode == 2
    assert b"writable by its user alone" in refused.stderr
    assert os.listdir(folder) == []
