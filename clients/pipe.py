"""A session without a terminal, for scripts: standard input and output are the command's.

The command runs on a PTY at the other end, in its line mode. So the end of input is typed as a
person would, and input is text: lines of at most 4,095 bytes, without control characters.
"""

from __future__ import annotations

import asyncio
import os

from clients import tty
from clients.client import Client
from clients.prompts import Prompts
from clients.steps import Attached, Finished
from clients.terminal import READ_BYTES, Signals

END_OF_INPUT = b"\x04"  # VEOF of a PTY
# A command whose reader is gone must end; its output has somewhere to go until then.
DRAIN_SECONDS = 60.0


class Pipe:
    """The surface of `tsfarm connect … -- COMMAND`."""

    def __init__(self, prompts: Prompts, stdin: int = 0, stdout: int = 1) -> None:
        self._prompts = prompts
        self._stdin = stdin
        self._stdout = stdout
        self._is_at_line_start = True
        self._polls = False
        self._client: Client

    async def run(self, client: Client) -> tuple[Finished, int]:
        """Run until the command or the connection has ended; gives that end and the signal that
        was its cause, 0 for none. Raises what `Client.run` raises."""
        self._client = client
        self._output = tty.Output(self._stdout, client.resume_output, client.cancel)
        with Signals(client.cancel) as signals:
            try:
                finished = await client.run()
                if not signals.received:
                    await self._output.drain(DRAIN_SECONDS)
                return finished, signals.received
            finally:
                self._stop_reading()
                self._output.close()

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        return await self._prompts.password(user_name, host, again)

    def say(self, text: str) -> None:
        tty.say(text)

    def on_attached(self, attached: Attached) -> None:
        self.on_input_wanted()

    def on_detached(self) -> None:
        """A command is not looked for again."""

    def on_output(self, data: bytes) -> bool:
        return self._output.write(data)

    def on_input_wanted(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(self._stdin, self._on_readable)
            self._polls = True
        except PermissionError:  # epoll takes no files, and no /dev/null: they are always readable
            loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        if not self._client.is_attached:
            self._stop_reading()
            return
        try:
            data = os.read(self._stdin, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
            # In the middle of a line the first one only hands over what is there.
            self._client.send(END_OF_INPUT if self._is_at_line_start else END_OF_INPUT * 2)
            return
        self._is_at_line_start = data.endswith(b"\n")
        if not self._client.send(data):
            self._stop_reading()
        elif not self._polls:
            asyncio.get_running_loop().call_soon(self._on_readable)

    def _stop_reading(self) -> None:
        if self._polls:
            asyncio.get_running_loop().remove_reader(self._stdin)
            self._polls = False
