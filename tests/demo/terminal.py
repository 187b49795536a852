"""A person at a terminal: types into `tsfarm connect` on a real PTY, and looks at the screen."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from types import TracebackType

import pexpect
import pyte

SECONDS = 20.0
COLUMNS, ROWS = 80, 24


class NotObserved(Exception):
    """What the story tells did not happen; the text says what was seen instead."""


class Terminal:
    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.transcript = ""
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=environment,
            dimensions=(ROWS, COLUMNS),
            encoding="utf-8",
            codec_errors="replace",
            timeout=SECONDS,
        )
        self._child.delaybeforesend = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close(force=True)

    def type(self, text: str) -> None:
        self._child.send(text)

    def wait_for(self, pattern: str, seconds: float = SECONDS) -> None:
        """Read until the pattern stands on the screen or in what has been printed so far."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + seconds
        while not (wanted.search(self.transcript) or wanted.search(self.screen())):
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise NotObserved(f"waited for {pattern!r}, the terminal shows:\n{self.screen()}")

    def forget(self) -> None:
        """Look only at what comes from now on; the screen stays."""
        self.transcript = ""

    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).strip()

    def wait_for_end(self, seconds: float = SECONDS) -> int:
        """Read to the end; gives the exit status of the command."""
        deadline = time.monotonic() + seconds
        while self._read(max(deadline - time.monotonic(), 0.0)):
            if time.monotonic() > deadline:
                raise NotObserved(f"no end within {seconds:.0f} s, it shows:\n{self.screen()}")
        self._child.wait()
        status = self._child.exitstatus
        return int(status) if status is not None else 128 + int(self._child.signalstatus or 0)

    def _read(self, seconds: float) -> bool:
        """Take what comes within a while; False at the end of the terminal or of the time."""
        try:
            text = self._child.read_nonblocking(65536, timeout=seconds)
        except (pexpect.EOF, pexpect.TIMEOUT):
            return False
        self.transcript += text
        self._stream.feed(text)
        return True
