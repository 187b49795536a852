from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import pytest

from clients.client import Client
from clients.interactive import Terminal
from clients.logon.steps import Attached, Finished, Outcome
from clients.prompts import Prompts
from clients.tty import check_is_terminal
from tsproto.errors import ErrorCode, TsfarmError

ENDED = Finished(Outcome.ENDED, ErrorCode.LOGGED_OFF)


class ScriptedClient:
    """Stands in for a client: shows a session, does what the test says, and ends."""

    def __init__(self, script: Callable[[], Awaitable[None]]) -> None:
        self._script = script
        self.is_attached = True
        self.takes_input = True
        self.sent = b""
        self.told: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.changed = asyncio.Event()

    async def run(self) -> Finished:
        await self._script()
        return ENDED

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def send(self, data: bytes) -> bool:
        self.sent += data
        self.changed.set()
        return self.takes_input

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))
        self.changed.set()

    def disconnect(self) -> None:
        self.told.append("disconnect")
        self.changed.set()

    def cancel(self) -> None:
        self.told.append("cancel")
        self.changed.set()

    def resume_output(self) -> None:
        self.told.append("resume")
        self.changed.set()


SHOWN_SECONDS_MAX = 10.0  # a PTY delivers in its own time, on a busy machine late


class Seat:
    """A person's seat: their end of a terminal, and what is shown on it."""

    def __init__(self) -> None:
        self.person, self.program = os.openpty()
        os.set_blocking(self.person, False)
        self.before = termios.tcgetattr(self.program)
        self.terminal = Terminal(
            Prompts(descriptor=self.program), stdin=self.program, stdout=self.program
        )

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.program)[3] & termios.ICANON

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def shown_until(self, end: bytes) -> bytes:
        """What the terminal shows up to `end`, or all when that does not come in time."""
        data = b""
        while not data.endswith(end) and self._has_more():
            data += os.read(self.person, 65536)
        return data

    def _has_more(self) -> bool:
        return bool(select.select([self.person], [], [], SHOWN_SECONDS_MAX)[0])

    async def show(self, script: Callable[[ScriptedClient], Awaitable[None]]) -> int:
        """Run the terminal with a client that attaches at once and then does `script`."""

        async def attach_and_do() -> None:
            self.terminal.on_attached(Attached("ts1", 7, "user1", False))
            await script(client)

        client = ScriptedClient(attach_and_do)
        finished, number = await self.terminal.run(cast(Client, client))
        assert finished == ENDED
        return number


@pytest.fixture
def seat() -> Iterator[Seat]:
    made = Seat()
    yield made
    for descriptor in (made.person, made.program):
        os.close(descriptor)


pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def test_keys_go_to_the_session_raw(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        assert seat.is_raw
        seat.type(b"ls\r\x03\x04")
        await client.until(lambda: client.sent == b"ls\r\x03\x04")
        assert client.told == []

    await seat.show(script)
    assert termios.tcgetattr(seat.program) == seat.before


async def test_the_escape_disconnects_and_explains(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        seat.type(b"\x1d?\x1d\x1d\x1dd")
        await client.until(lambda: client.told == ["disconnect"])
        assert client.sent == b"\x1d"

    await seat.show(script)


async def test_a_session_that_takes_no_input_stops_the_reading(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        client.takes_input = False
        seat.type(b"one")
        await client.until(lambda: client.sent == b"one")
        seat.type(b"two")
        client.takes_input = True
        seat.terminal.on_input_wanted()
        await client.until(lambda: client.sent == b"onetwo")

    await seat.show(script)


async def test_while_reconnecting_only_ctrl_c_counts(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        client.is_attached = False
        seat.terminal.on_detached()
        seat.type(b"\x03")
        await client.until(lambda: client.told == ["cancel"])

    await seat.show(script)


async def test_a_new_size_is_told(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        size = struct.pack("HHHH", 40, 100, 0, 0)
        fcntl.ioctl(seat.program, termios.TIOCSWINSZ, size)
        os.kill(os.getpid(), signal.SIGWINCH)
        await client.until(lambda: client.sizes[-1] == (100, 40))

    await seat.show(script)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_in_good_order(seat: Seat, number: signal.Signals) -> None:
    async def script(client: ScriptedClient) -> None:
        os.kill(os.getpid(), number)
        await client.until(lambda: client.told == ["cancel"])

    assert await seat.show(script) == number
    assert termios.tcgetattr(seat.program) == seat.before
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


async def test_what_a_program_left_changed_is_put_back(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        seat.terminal.on_output(b"\x1b[?1049h\x1b[?25lpager")

    await seat.show(script)
    restored = b"\x1b[?1049l\x1b[?25h\x1b[0m"
    assert seat.shown_until(restored).endswith(b"pager" + restored)


async def test_a_fault_leaves_the_terminal_as_it_was(seat: Seat) -> None:
    async def script(client: ScriptedClient) -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        await seat.show(script)
    assert termios.tcgetattr(seat.program) == seat.before


async def test_a_question_in_the_middle_is_asked_in_line_mode_and_without_echo(
    seat: Seat, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script(client: ScriptedClient) -> None:
        asking = asyncio.create_task(seat.terminal.ask_password("user1", "ts1", again=True))
        await asyncio.sleep(0)
        assert not seat.is_raw
        assert not termios.tcgetattr(seat.program)[3] & termios.ECHO
        seat.type(b"secret\n")
        assert await asking == b"secret"
        assert seat.is_raw
        seat.type(b"ls\r")
        await client.until(lambda: client.sent == b"ls\r")

    await seat.show(script)
    assert "user1's password at ts1: " in capsys.readouterr().err


async def test_a_terminal_that_is_closed_disconnects() -> None:
    seat = Seat()

    async def script(client: ScriptedClient) -> None:
        os.close(seat.person)
        await client.until(lambda: "disconnect" in client.told)

    await seat.show(script)
    os.close(seat.program)


async def test_an_interactive_session_needs_a_terminal() -> None:
    reader, writer = os.pipe()
    with pytest.raises(TsfarmError, match="standard input is no terminal.*-- COMMAND"):
        check_is_terminal(reader, writer)
    for descriptor in (reader, writer):
        os.close(descriptor)
