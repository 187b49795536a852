"""The keeper as a process: it outlives its client, keeps what it is told to keep, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.terminal_server import keeper_messages as km
from daemons.terminal_server.keeper_address import unix_address
from tests.integration.keepers import (
    Keeping,
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    keeping,
    wait_until_gone,
)


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
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        with unix_address(folder / "keeper.sock") as address:
            stranger.connect(address)
        stranger.send(b"\xc1nonsense")
        assert await asyncio.to_thread(stranger.recv, 16) == b""
    async with keeping(folder) as kept:
        assert [session.session_id for session in await kept.client.sessions()] == [1]


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
        assert not kept.client.is_connected
    assert os.listdir(folder) == ["keeper.log"]
    assert os.stat(folder / "keeper.log").st_size == 0


async def test_a_keeper_without_client_and_session_ends(folder: Path) -> None:
    async with keeping(folder, idle_seconds=0.1):
        pass
    await asyncio.to_thread(wait_until_gone, folder / "keeper.pid")


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a stranger's program")
async def test_another_user_is_not_served_even_where_the_socket_is_open(folder: Path) -> None:
    script = (
        "import socket, sys\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dialled:\n"
        "    dialled.connect(sys.argv[1])\n"
        "    print(dialled.recv(16))\n"
    )
    async with keeping(folder):
        pass
    os.chmod(folder, 0o711)
    os.chmod(folder / "keeper.sock", 0o666)
    here = os.open(folder, os.O_PATH)
    stranger = await asyncio.to_thread(
        subprocess.run,
        ["/usr/bin/env", "python3", "-c", script, f"/proc/self/fd/{here}/keeper.sock"],
        user="nobody",
        extra_groups=[],
        pass_fds=[here],
        cwd="/",
        stdout=subprocess.PIPE,
    )
    os.close(here)
    assert stranger.stdout == b"b''\n"
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []
