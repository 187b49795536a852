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

import msgspec
import pytest

from daemons.copied import copied
from daemons.effects import Challenge, NotProved, ProgramFailed
from daemons.keeper import messages as km
from daemons.keeper.address import unix_address
from daemons.keeper.client import HeldProgram
from tests.integration.keepers import (
    DEVICE,
    Keeping,
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    keeping,
    proof_of,
    prove,
    start_of,
    wait_until_gone,
    write_account,
    write_host,
)
from tests.integration.system_user import needs_accounts, system_user
from tsproto.errors import ErrorCode
from tsproto.user_proof import Asked

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
    async with keeping(folder) as kept:
        start = await start_request(kept, 1)
    with dialled(folder) as client:
        for request in (start, km.HangUp(1), km.Forget(1)):
            client.send(km.encode(request))
        answer = await asyncio.to_thread(client.recv, km.PACKET_BYTES)
    assert isinstance(km.decode_reply(answer), km.CannotStart)
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []
        while isinstance(await kept.try_to_start(1), ProgramFailed):
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
    async with keeping(folder) as kept:
        start = await start_request(kept, 7)
    with dialled(folder) as first:
        first.send(km.encode(start))
    with dialled(folder) as second:
        second.settimeout(0.5)
        second.send(km.encode(km.ListSessions(8, -1)))
        answer = await asyncio.to_thread(second.recv, km.PACKET_BYTES)
        assert isinstance(km.decode_reply(answer), km.SessionList)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(second.recv, km.PACKET_BYTES)


async def start_request(kept: Keeping, request_id: int) -> km.StartProved:
    """A request with this id to start a shell as session 1."""
    proof_id = await proof_of(kept.client, Asked())
    return copied(km.StartProved, start_of(1, proof_id, Asked()), request_id=request_id)


@contextlib.contextmanager
def dialled(folder: Path) -> Iterator[socket.socket]:
    """A client that says what the test lets it say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        with unix_address(folder / "keeper.sock") as address:
            client.connect(address)
        yield client


# --- a client that is not to be believed ----------------------------------------------------------


async def test_nothing_is_started_without_a_proof(folder: Path) -> None:
    async with keeping(folder) as kept:
        for made_up in (0, 1, 2**40):
            failed = await kept.client.start(start_of(1, made_up, Asked()))
            assert isinstance(failed, ProgramFailed)
            assert failed.code is ErrorCode.LOGON_BUSY
        assert await kept.client.sessions() == []


async def test_one_proof_starts_one_session(folder: Path) -> None:
    async with keeping(folder) as kept:
        proof_id = await proof_of(kept.client, Asked())
        first = await kept.client.start(start_of(1, proof_id, Asked()))
        assert isinstance(first, HeldProgram)
        first.close()
        assert isinstance(await kept.client.start(start_of(2, proof_id, Asked())), ProgramFailed)
        assert [session.session_id for session in await kept.client.sessions()] == [1]


async def test_another_command_than_was_signed_is_not_run(folder: Path) -> None:
    async with keeping(folder) as kept:
        proof_id = await proof_of(kept.client, Asked(command="true"))
        failed = await kept.client.start(start_of(1, proof_id, Asked(command="id")))
        assert isinstance(failed, ProgramFailed)
        assert (failed.code, failed.detail) == (
            ErrorCode.NOT_PERMITTED,
            "the user proved something else",
        )


async def test_another_users_key_proves_nobody(folder: Path) -> None:
    write_account(folder, "user2")
    async with keeping(folder) as kept:
        for user_name, signer in [("user2", "user1"), ("user1", "user2"), ("nobody", "user1")]:
            outcome = await prove(kept.client, Asked(), user_name, signer)
            assert isinstance(outcome, NotProved)
            assert outcome.code is ErrorCode.LOGON_FAILED


async def test_a_challenge_for_another_host_is_not_made(folder: Path) -> None:
    async with keeping(folder) as kept:
        outcome = await kept.client.challenge(Challenge("user1", DEVICE, b"x" * 32, (), 0))
        assert isinstance(outcome, NotProved)
        assert outcome.code is ErrorCode.NOT_PERMITTED


@needs_root
@pytest.mark.parametrize("system_user", ["root", ""])
async def test_root_is_not_to_be_had_where_the_host_does_not_allow_it(
    folder: Path, system_user: str
) -> None:
    write_host(folder, sessions={"allow_root": False}, system_user=system_user)
    async with keeping(folder) as kept:
        failed = await kept.try_to_start()
        assert isinstance(failed, ProgramFailed)
        assert failed.code is ErrorCode.ACCOUNT_UNUSABLE
        assert "allow_root" in failed.detail


@needs_accounts
async def test_the_session_runs_as_the_accounts_system_user_and_no_other(folder: Path) -> None:
    with system_user() as name:
        write_host(folder, sessions={"allow_root": False}, system_user=name)
        async with keeping(folder) as kept:
            terminal = await kept.start(command="id -un; echo end.")
            assert terminal.until(b"end.").split() == [name.encode()]
            assert (await kept.ended.get())[0] == 1


async def test_the_old_request_that_named_a_system_user_is_no_request_any_more(
    folder: Path,
) -> None:
    async with keeping(folder):
        pass
    root = [2, 1, [1, "root", True, ["/bin/sh"], [], "id", "", "xterm"], 80, 24, 4096]
    with dialled(folder) as client:
        client.send(msgspec.msgpack.encode(root))
        assert await asyncio.to_thread(client.recv, 16) == b""
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []


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
    assert not (folder / "keeper.sock").exists()
    assert not (folder / "keeper.pid").exists()
    assert os.stat(folder / "keeper.log").st_size == 0


async def test_a_keeper_without_client_and_session_ends(folder: Path) -> None:
    async with keeping(folder, idle_seconds=0.1):
        pass
    await asyncio.to_thread(wait_until_gone, folder / "keeper.pid")
    left = {name for name in os.listdir(folder) if name.startswith("keeper.")}
    assert left == {"keeper.log", "keeper.sessions"}


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
    command += [
        "--config",
        str(folder / "config.toml"),
        "--socket",
        str(folder / "keeper.sock"),
        "--pid-file",
        str(folder / "keeper.pid"),
    ]
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
    assert not (folder / "keeper.sock").exists()
