"""The local terminal: raw mode that is always undone, lines read without echo, and output that
never blocks the loop.

It needs the plain asyncio loop. The flags of the shell's own file descriptors stay as they are: a
non-blocking standard output would stay so after the client's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from tsproto.errors import TsfarmError

OUTPUT_BYTES_MAX = 64 * 1024  # beyond this the session has to wait
LINE_BYTES_MAX = 4096  # the longest line of a terminal's line editing
READ_BYTES = 16 * 1024
_LFLAG = 3


class RawMode:
    """Raw mode of one terminal. `enter` and `leave` may be called in any order; `leave` restores
    the modes before the first `enter`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    @property
    def is_raw(self) -> bool:
        return self._before is not None

    def enter(self) -> None:
        if self._before is None:
            self._before = termios.tcgetattr(self._descriptor)
        tty.setraw(self._descriptor, termios.TCSANOW)

    def leave(self) -> None:
        if self._before is not None:
            before, self._before = self._before, None
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)


def silence(descriptor: int) -> None:
    quiet = termios.tcgetattr(descriptor)
    quiet[_LFLAG] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)


@contextlib.contextmanager
def silent(descriptor: int) -> Iterator[None]:
    """Context manager: no echo of typed keys; line editing and signals go on."""
    before = termios.tcgetattr(descriptor)
    try:
        silence(descriptor)
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def read_line(descriptor: int) -> str | None:
    """A typed line without its end; None at the end of input."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    typed = bytearray()

    def on_readable() -> None:
        try:
            data = os.read(descriptor, LINE_BYTES_MAX)
        except OSError:
            data = b""
        typed.extend(data)
        if not done.done() and (not data or b"\n" in data or len(typed) > LINE_BYTES_MAX):
            done.set_result(bytes(typed))

    loop.add_reader(descriptor, on_readable)
    try:
        line = await done
    finally:
        loop.remove_reader(descriptor)
    return line.decode(errors="replace").rstrip("\r\n") if b"\n" in line else None


class Output:
    """Writes to one descriptor as fast as its reader reads."""

    def __init__(
        self, descriptor: int, on_room: Callable[[], None], on_gone: Callable[[], None]
    ) -> None:
        self._descriptor = _own_description(descriptor)
        self._on_room = on_room
        self._on_gone = on_gone
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_full = False
        self._is_gone = False
        self.error: OSError | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    def write(self, data: bytes) -> bool:
        """False: write no more before `on_room`. After `on_gone` all output is dropped."""
        if self._is_gone or not data:
            return True
        self._waiting.append(data)
        self._bytes += len(data)
        if self._drained.is_set():
            self._drained.clear()
            self._write_some()
        self._is_full = self._bytes > OUTPUT_BYTES_MAX
        return not self._is_full

    async def drain(self, seconds: float) -> None:
        """Waits until everything is written, at most these seconds: a stopped terminal must not
        keep us."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._drained.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._is_gone = True

    def _write_some(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                data = self._waiting.popleft()
                written = 0
                try:
                    written = os.write(self._descriptor, data)
                finally:
                    self._bytes -= written
                    if written < len(data):
                        self._waiting.appendleft(data[written:])
        except BlockingIOError:
            loop.add_writer(self._descriptor, self._write_some)
            return
        except OSError as error:
            self.error = OSError(error.errno, error.strerror, "standard output")
            self._be_gone()
        loop.remove_writer(self._descriptor)
        self._drained.set()
        if self._is_full:
            self._is_full = False
            self._on_room()

    def _be_gone(self) -> None:
        self._is_gone = True
        self._waiting.clear()
        self._bytes = 0
        asyncio.get_running_loop().call_soon(self._on_gone)


def _own_description(descriptor: int) -> int:
    """The same terminal or pipe, opened once more so that only our descriptor is non-blocking.

    A regular file is duplicated instead: opened again it would be written from its beginning, and
    it never blocks anyway.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if os.isatty(descriptor) or stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):  # another user's terminal, after su
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return os.dup(descriptor)


def size_of(descriptor: int) -> tuple[int, int]:
    """Columns and rows; 80 and 24 when unknown."""
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return 80, 24
    return found.columns or 80, found.lines or 24


def check_is_terminal(stdin: int = 0, stdout: int = 1) -> None:
    """Raises TsfarmError when standard input or output is no terminal."""
    for descriptor, name in ((stdin, "input"), (stdout, "output")):
        if not os.isatty(descriptor):
            raise TsfarmError(
                f"standard {name} is no terminal: run one command with `-- COMMAND`, or start this"
                " from a terminal"
            )
