"""`tsfarm connect` as a process of its own, on a real terminal or between pipes, against a scripted
terminal server."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import ssh
from tests.integration.scripted_server import Farm, Logon, ScriptedServer
from tests.unit.clients.ssh.private_keys import written
from tsproto.errors import ErrorCode
from tsproto.messages import LogonRefused, SessionEnded

# The process has its own loop; what is varied here is ours, and of no interest.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


class Screen:
    """A terminal for one process: what it prints, and what is typed."""

    def __init__(self) -> None:
        self.person, self.program = os.openpty()
        os.set_blocking(self.person, False)
        self.before = termios.tcgetattr(self.program)
        self.shown = ""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.person, self._on_readable)

    async def until(self, pattern: str) -> None:
        while not re.search(pattern, self.shown):
            self._changed.clear()
            await self._changed.wait()

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.program) == self.before

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.person)
        os.close(self.person)
        os.close(self.program)

    def _on_readable(self) -> None:
        self.shown += os.read(self.person, 65536).decode(errors="replace")
        self._changed.set()


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path / "pki")


@pytest.fixture
async def server(farm: Farm) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(farm) as server:
        yield server


@pytest.fixture
async def screen() -> AsyncIterator[Screen]:
    made = Screen()
    yield made
    made.close()


@pytest.fixture
def password_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o600)
    yield file


class Starter:
    """Starts `tsfarm connect` with a device store of the test's own, and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "pki" / "authority.crt"
        self.environment = {**os.environ, "HOME": str(folder), "SSH_AUTH_SOCK": ""}
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(
        self, server: ScriptedServer, *options: str | Path, **streams: Any
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from clients.cli import main; main()",
            "connect",
            f"127.0.0.1:{server.port}",
            "--user",
            "user1",
            "--store",
            str(self.folder / "device"),
            *map(str, options),
            env=self.environment,
            **streams,
        )
        self._processes.append(process)
        return process

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def starter(tmp_path: Path) -> AsyncIterator[Starter]:
    made = Starter(tmp_path)
    yield made
    await made.end()


async def on_screen(
    screen: Screen, server: ScriptedServer, starter: Starter, *options: str | Path
) -> asyncio.subprocess.Process:
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), screen.program)
    chosen = options or ("--ca", starter.authority)
    return await starter.start(server, *chosen, **streams)


async def logged_on(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> asyncio.subprocess.Process:
    process = await on_screen(screen, server, starter)
    await screen.until("user1's password at 127.0.0.1:[0-9]+: ")
    screen.type(b"secret\n")
    await server.resized.wait()
    screen.type(b"hello")
    await screen.until("hello")
    return process


# --- on a terminal --------------------------------------------------------------------------------


async def test_a_person_logs_on_works_and_disconnects(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await logged_on(screen, server, starter)
    assert not screen.is_as_before
    assert "secret" not in screen.shown
    assert server.logons[0].is_proved_with(b"secret")
    screen.type(b"\x1dd")
    assert await process.wait() == 0
    await screen.until("the session goes on")
    assert screen.is_as_before


async def test_a_new_farm_is_accepted_by_hand_and_remembered(
    screen: Screen, farm: Farm, server: ScriptedServer, starter: Starter
) -> None:
    process = await on_screen(screen, server, starter, "--device-name", "laptop1")
    await screen.until("yes/no")
    assert farm.fingerprint in screen.shown
    screen.type(b"yes\n")
    await screen.until("password")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    assert screen.is_as_before
    assert farm.fingerprint in (starter.folder / "device" / "known_farms").read_text()


async def test_a_client_that_asks_for_a_password_dumps_no_core(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    process = await on_screen(screen, server, starter, "--ca", starter.authority)
    await screen.until("password")
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, hard)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130


async def test_a_new_farm_that_is_not_accepted_is_status_6(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await on_screen(screen, server, starter, "--device-name", "laptop1")
    await screen.until("yes/no")
    screen.type(b"no\n")
    assert await process.wait() == 6
    await screen.until("was not accepted")


async def test_a_session_that_ends_hands_on_its_status(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await logged_on(screen, server, starter)
    server.end_session(7)
    assert await process.wait() == 7
    await screen.until("the session has ended")
    assert screen.is_as_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_leaves_the_terminal_as_it_was(
    screen: Screen, server: ScriptedServer, starter: Starter, number: signal.Signals
) -> None:
    process = await logged_on(screen, server, starter)
    process.send_signal(number)
    assert await process.wait() == 128 + number
    assert screen.is_as_before


async def test_a_wrong_password_is_asked_for_again(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    def refuse_once(link: Any, request: Logon) -> None:
        link.send(LogonRefused(code=ErrorCode.LOGON_FAILED, attempts_left=2))
        server.on_logon = server.accept

    server.on_logon = refuse_once
    process = await on_screen(screen, server, starter)
    await screen.until("password")
    screen.type(b"wrong\n")
    await screen.until("wrong; try again(.|\n)*password")
    screen.type(b"secret\n")
    await server.session_shown.wait()
    wrong, right = server.logons
    assert wrong.is_proved_with(b"wrong") and right.is_proved_with(b"secret")
    server.end_session(0)
    assert await process.wait() == 0


async def test_an_encrypted_key_asks_for_its_passphrase_and_no_password(
    screen: Screen, server: ScriptedServer, starter: Starter, tmp_path: Path
) -> None:
    public = written(tmp_path / "key", passphrase=b"open sesame")
    server.ssh_keys = [public.fingerprint]
    options = ("--ca", starter.authority, "--identity-file", tmp_path / "key")
    process = await on_screen(screen, server, starter, *options)
    await screen.until(f"passphrase of {tmp_path / 'key'}: ")
    screen.type(b"sesame\n")
    await screen.until("wrong; try again(.|\n)*passphrase")
    screen.type(b"open sesame\n")
    await server.session_shown.wait()
    [logon] = server.logons
    assert logon.is_proved_by(public)
    assert "sesame" not in screen.shown and "password" not in screen.shown
    server.end_session(0)
    assert await process.wait() == 0


async def test_without_its_passphrase_a_key_gives_way_to_the_password(
    screen: Screen, server: ScriptedServer, starter: Starter, tmp_path: Path
) -> None:
    server.ssh_keys = [written(tmp_path / "key", passphrase=b"open sesame").fingerprint]
    options = ("--ca", starter.authority, "--identity-file", tmp_path / "key")
    process = await on_screen(screen, server, starter, *options)
    await screen.until("passphrase of")
    screen.type(b"\n")
    await screen.until("stays locked(.|\n)*user1's password")
    screen.type(b"secret\n")
    await server.session_shown.wait()
    assert server.logons[-1].is_proved_with(b"secret")
    server.end_session(0)
    assert await process.wait() == 0


async def test_a_lost_link_is_shown_and_can_be_given_up(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await logged_on(screen, server, starter)
    await server.close()
    await screen.until("reconnecting in")
    screen.type(b"\x03")
    assert await process.wait() == 130
    assert screen.is_as_before


async def test_a_lost_link_comes_back_by_itself(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await logged_on(screen, server, starter)
    server.session_shown.clear()
    server.links[-1].abort()
    await server.session_shown.wait()
    assert (server.starts[-1].session_id, server.starts[-1].attachment) == (7, 1)
    screen.type(b"again")
    await screen.until("again")
    server.end_session(0)
    assert await process.wait() == 0


async def test_a_full_screen_program_that_is_left_gives_the_screen_back(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await logged_on(screen, server, starter)
    server.links[-1].send_session_bytes(b"\x1b[?1049h\x1b[?25lpager")
    await screen.until("pager")
    screen.type(b"\x1dd")
    assert await process.wait() == 0
    await screen.until(re.escape("\x1b[?1049l\x1b[?25h\x1b[0m"))


# --- in a script ----------------------------------------------------------------------------------


def printing(server: ScriptedServer, output: bytes, exit_status: int) -> None:
    """Let the server answer a command with this output."""

    def run(link: Any, request: Logon) -> None:
        server.accept(link, request)
        link.send_session_bytes(output)
        link.send(SessionEnded(exit_status=exit_status))

    server.on_logon = run


async def in_script(
    server: ScriptedServer, starter: Starter, *options: str | Path, command: str = "make test"
) -> tuple[int | None, bytes, bytes]:
    process = await starter.start(
        server,
        *options,
        "--",
        *command.split(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output, errors


async def test_a_command_prints_its_output_exactly_and_ends_with_its_status(
    farm: Farm, server: ScriptedServer, starter: Starter, password_file: Path
) -> None:
    output = bytes(range(256)) * 4_000
    printing(server, output, 9)
    options = ("--ca", starter.authority, "--password-file", password_file)
    status, printed, errors = await in_script(server, starter, *options)
    assert (status, printed) == (9, output)
    assert errors == b"[tsfarm] 90 days to go\n"
    assert server.logons[0].proof.command == "make test"


async def test_a_command_whose_output_nobody_reads_is_status_141(
    server: ScriptedServer, starter: Starter, password_file: Path
) -> None:
    printing(server, b"unread\n", 0)
    reader, writer = os.pipe()
    os.close(reader)
    options = ("--ca", starter.authority, "--password-file", password_file, "--", "make")
    process = await starter.start(
        server,
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (141, b"[tsfarm] 90 days to go\n")


async def test_a_new_farm_is_accepted_by_its_fingerprint_only(
    farm: Farm, server: ScriptedServer, starter: Starter, password_file: Path
) -> None:
    printing(server, b"", 0)
    with_password = ("--password-file", password_file)
    status, _, errors = await in_script(server, starter, *with_password)
    assert status == 6
    assert farm.fingerprint.encode() in errors and b"--accept-new" in errors
    wrong = ("--accept-new", ":".join(["AA"] * 32))
    assert (await in_script(server, starter, *with_password, *wrong))[0] == 6
    right = ("--accept-new", farm.fingerprint)
    assert (await in_script(server, starter, *with_password, *right))[0] == 0
    assert (await in_script(server, starter, *with_password))[0] == 0


async def test_a_file_that_holds_the_wrong_thing_is_named_with_status_2(
    server: ScriptedServer, starter: Starter, password_file: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    for content in (b"", b"no certificate\n", b"\x30\x82\x00\xff", "…".encode()):
        wrong.write_bytes(content)
        options = ("--ca", wrong, "--password-file", password_file)
        status, _, errors = await in_script(server, starter, *options)
        said = f"Error: --ca {wrong}: no certificate in PEM form\n"
        assert (status, errors.endswith(said.encode())) == (2, True), errors
    wrong.write_bytes(b"")
    options = ("--ca", starter.authority, "--password-file", wrong)
    status, _, errors = await in_script(server, starter, *options)
    assert status == 2
    assert f"Error: --password-file {wrong}: its first line must be".encode() in errors


async def test_a_script_logs_on_with_the_key_in_a_file_or_of_its_agent(
    server: ScriptedServer, starter: Starter, tmp_path: Path
) -> None:
    printing(server, b"", 0)
    trusting = ("--ca", starter.authority)
    public = written(tmp_path / "key")
    server.ssh_keys = [public.fingerprint]
    named = ("--identity-file", tmp_path / "key")
    assert (await in_script(server, starter, *trusting, *named))[0] == 0
    with ssh.running(tmp_path) as agent:
        agent.add(tmp_path / "key")
        starter.environment |= agent.environment
        assert (await in_script(server, starter, *trusting))[0] == 0
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "key").rename(tmp_path / ".ssh" / "id_ed25519")
    assert (await in_script(server, starter, *trusting))[0] == 0
    assert [logon.is_proved_by(public) for logon in server.logons] == [True, True, True]


async def test_a_key_that_cannot_be_used_is_an_error_of_one_line(
    server: ScriptedServer, starter: Starter, tmp_path: Path
) -> None:
    written(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    named = ("--ca", starter.authority, "--identity-file", tmp_path / "key")
    status, _, errors = await in_script(server, starter, *named)
    assert (status, errors.decode()) == (
        1,
        f"tsfarm: {tmp_path / 'key'} is open to others (mode 0644), who could log on with it: run"
        f" `chmod 600 {tmp_path / 'key'}`\n",
    )


async def test_a_script_with_an_unknown_key_is_told_to_give_another_way(
    server: ScriptedServer, starter: Starter, tmp_path: Path
) -> None:
    written(tmp_path / "key")
    named = ("--ca", starter.authority, "--identity-file", tmp_path / "key")
    status, _, errors = await in_script(server, starter, *named)
    assert status == 1
    assert b"give --password-file FILE, or an SSH key with --identity-file" in errors


async def test_a_script_without_a_password_is_told_so(
    farm: Farm, server: ScriptedServer, starter: Starter
) -> None:
    status, _, errors = await in_script(server, starter, "--ca", starter.authority)
    assert status == 1
    assert errors.splitlines()[-1].startswith(b"tsfarm: standard input is no terminal")


@pytest.mark.parametrize(
    ("code", "status"),
    [(ErrorCode.LOGON_FAILED, 4), (ErrorCode.UNKNOWN_APPLICATION, 4), (ErrorCode.BUSY, 5)],
)
async def test_a_refused_logon_has_its_own_status(
    farm: Farm,
    server: ScriptedServer,
    starter: Starter,
    password_file: Path,
    code: ErrorCode,
    status: int,
) -> None:
    refusal = LogonRefused(code=code, detail="so it is", attempts_left=2)
    server.on_logon = lambda link, request: link.send(refusal)
    options = ("--ca", starter.authority, "--password-file", password_file)
    ended, _, errors = await in_script(server, starter, *options)
    assert ended == status
    assert errors.splitlines()[-1] == f"tsfarm: {code.meaning}: so it is".encode()
