"""The interactive terminal: shows a session on the user's own terminal.

Keys go to the session as they are typed, except those after `Ctrl-]`. The terminal is always left
as it was found: after the session's end, a key, a signal or an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from clients import tty
from clients.client import Client
from clients.logon.steps import Attached, Finished
from clients.prompts import Prompts
from clients.say import say
from clients.scanners import Command, EscapeScanner, ModeTracker
from clients.signals import Signals
from tsproto.messages import PamQuestion

DRAIN_SECONDS = 2.0  # for the last output, on a terminal that may be stopped
INTERRUPT = b"\x03"  # Ctrl-C, as it is typed in raw mode
HELP = "Ctrl-] d disconnects, Ctrl-] Ctrl-] sends one Ctrl-], Ctrl-] ? shows this"


class Terminal:
    """The surface of an interactive client, by default on the standard streams of the process."""

    def __init__(self, prompts: Prompts, stdin: int = 0, stdout: int = 1) -> None:
        self._prompts = prompts
        self._stdin = stdin
        self._stdout = stdout
        self._raw = tty.RawMode(stdin)
        self._scanner = EscapeScanner()
        self._modes = ModeTracker()
        self._reads = False
        self._was_attached = False
        self._client: Client

    async def run(self, client: Client) -> tuple[Finished, int]:
        """Shows the session of `client` until it has ended. Returns its end, and the signal that
        caused it, 0 for none. Raises what `Client.run` raises."""
        self._client = client
        self._output = tty.Output(self._stdout, client.resume_output, client.disconnect)
        with Signals(client.cancel, SIGWINCH=self._resize, SIGCONT=self._continue) as signals:
            try:
                return await client.run(), signals.received
            finally:
                await self._restore()

    @property
    def output_error(self) -> OSError | None:
        return self._output.error

    # --- what the client tells --------------------------------------------------------------------

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        with self._cooked():
            return await self._prompts.password(user_name, host, again)

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        with self._cooked():
            return await self._prompts.answer(prompts)

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        with self._cooked():
            return await self._prompts.passphrase(key, again)

    def say(self, text: str) -> None:
        say(text, raw=self._raw.is_raw)

    def on_attached(self, attached: Attached) -> None:
        if self._was_attached and not attached.reattached:
            self.say(f"this is a new session, on {attached.host}: the old one could not be reached")
        self._was_attached = True
        self._raw.enter()
        self._read(True)
        self._resize()

    def on_detached(self) -> None:
        """Keys are still read, because Ctrl-C ends the search for the session."""

    def on_output(self, data: bytes) -> bool:
        self._modes.feed(data)
        return self._output.write(data)

    def on_input_wanted(self) -> None:
        self._read(True)

    # --- what is typed ----------------------------------------------------------------------------

    def _read(self, reads: bool) -> None:
        if reads == self._reads:
            return
        self._reads = reads
        loop = asyncio.get_running_loop()
        if reads:
            loop.add_reader(self._stdin, self._on_typed)
        else:
            loop.remove_reader(self._stdin)

    def _on_typed(self) -> None:
        try:
            data = os.read(self._stdin, tty.READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._read(False)
            self._client.disconnect()
        elif not self._client.is_attached and INTERRUPT in data:
            self._client.cancel()
        else:
            for typed in self._scanner.feed(data):
                self._on_key(typed)

    def _on_key(self, typed: bytes | Command) -> None:
        if isinstance(typed, bytes):
            if not self._client.send(typed):
                self._read(False)
        elif typed is Command.DISCONNECT:
            self._client.disconnect()
        else:
            self.say(HELP)

    # --- the terminal itself --------------------------------------------------------------------

    def _resize(self) -> None:
        self._client.resize(*tty.size_of(self._stdin))

    def _continue(self) -> None:
        """The process was stopped and continued, and the shell has changed the terminal's modes
        meanwhile."""
        if self._raw.is_raw:
            self._raw.enter()
        self._prompts.on_continued()
        self._resize()

    @contextlib.contextmanager
    def _cooked(self) -> Iterator[None]:
        """Context manager: line editing for a question during a session; the question reads the
        keys."""
        was_raw, was_reading = self._raw.is_raw, self._reads
        self._read(False)
        self._raw.leave()
        try:
            yield
        finally:
            if was_raw:
                self._raw.enter()
            self._read(was_reading)

    async def _restore(self) -> None:
        try:
            self._read(False)
            if self._raw.is_raw:
                self._output.write(self._modes.restoring())
                await self._output.drain(DRAIN_SECONDS)
        finally:
            self._raw.leave()
            self._output.close()
