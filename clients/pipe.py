"""A session without a terminal, for scripts: its command reads our standard input, and writes to
our standard output.

The command runs on a PTY in line mode. Input is sent as keys that a person would type, so that
every byte and the end of input arrive.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from clients import tty
from clients.client import Client
from clients.logon.steps import Attached, Finished
from clients.prompts import Prompts
from clients.say import say
from clients.signals import Signals
from tsproto.messages import PamQuestion

END_OF_INPUT = b"\x04"  # VEOF: in the middle of a line it sends the line so far
QUOTE = b"\x16"  # VLNEXT: the next byte has no special meaning
# A PTY drops the bytes of a line beyond 4,095; half of that leaves room.
LINE_BYTES_MAX = 2048
# When our reader is gone, the command's output is dropped until the command ends, this long.
DRAIN_SECONDS = 60.0


class TypedInput:
    """Encodes bytes as keys for a terminal in line mode (termios(3)): bytes with a meaning there
    are quoted, and long lines sent in parts."""

    _MEANINGFUL = re.compile(rb"[\x03\x04\r\x0f\x11-\x13\x15-\x17\x1a\x1c\x7f]")

    def __init__(self) -> None:
        self._column = 0

    def encode(self, data: bytes) -> bytes:
        return b"".join(self._parts(data))

    def end(self) -> bytes:
        """The keys for the end of input; within a line it takes two."""
        return END_OF_INPUT * (2 if self._column else 1)

    def _parts(self, data: bytes) -> Iterator[bytes]:
        position = 0
        while position < len(data):
            if self._column >= LINE_BYTES_MAX:
                self._column = 0
                yield END_OF_INPUT
            reach = data[position : position + LINE_BYTES_MAX - self._column]
            newline = reach.rfind(b"\n")
            self._column = len(reach) - newline - 1 if newline >= 0 else self._column + len(reach)
            position += len(reach)
            yield self._MEANINGFUL.sub(QUOTE + rb"\g<0>", reach)


class Pipe:
    """The surface of `tsfarm connect … -- COMMAND`."""

    def __init__(self, prompts: Prompts, stdin: int = 0, stdout: int = 1) -> None:
        self._prompts = prompts
        self._stdin = stdin
        self._stdout = stdout
        self._keys = TypedInput()
        self._polls = False
        self._client: Client

    async def run(self, client: Client) -> tuple[Finished, int]:
        """Runs until the command or the connection has ended. Returns its end, and the signal that
        caused it, 0 for none. Raises what `Client.run` raises."""
        self._client = client
        self._output = tty.Output(self._stdout, client.resume_output, client.cancel)
        with Signals(client.cancel, SIGCONT=self._prompts.on_continued) as signals:
            try:
                finished = await client.run()
                if not signals.received:
                    await self._output.drain(DRAIN_SECONDS)
                return finished, signals.received
            finally:
                self._stop_reading()
                self._output.close()

    @property
    def output_error(self) -> OSError | None:
        return self._output.error

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        return await self._prompts.password(user_name, host, again)

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        return await self._prompts.answer(prompts)

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        return await self._prompts.passphrase(key, again)

    def say(self, text: str) -> None:
        say(text)

    def on_attached(self, attached: Attached) -> None:
        self.on_input_wanted()

    def on_detached(self) -> None:
        """A command that was lost is not looked for."""

    def on_output(self, data: bytes) -> bool:
        return self._output.write(data)

    def on_input_wanted(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(self._stdin, self._on_readable)
            self._polls = True
        except PermissionError:  # epoll refuses files and /dev/null, which are always readable
            loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        if not self._client.is_attached:
            self._stop_reading()
            return
        try:
            data = os.read(self._stdin, tty.READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
            self._client.send(self._keys.end())
            return
        if not self._client.send(self._keys.encode(data)):
            self._stop_reading()
        elif not self._polls:
            asyncio.get_running_loop().call_soon(self._on_readable)

    def _stop_reading(self) -> None:
        if self._polls:
            asyncio.get_running_loop().remove_reader(self._stdin)
            self._polls = False
