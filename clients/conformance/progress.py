"""The progress of a run: a status line on a terminal, elsewhere a plain line now and then. A
failure is told at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from clients.conformance import report
from clients.conformance.runner import Result, Verdict
from tsproto.printable import printable_lines

QUIET_SECONDS = 30.0  # between two plain lines
COLUMNS = 80  # of a terminal of unknown width
ERASE_LINE = "\r\x1b[K"
RED, PLAIN = "\x1b[31m", "\x1b[0m"


class Progress:
    """Failures go to `out`, progress to `err`.

    A stream that is no terminal gets neither colour nor cursor movement; NO_COLOR (not empty) takes
    the colour from terminals, and TERM=dumb both.
    """

    def __init__(
        self,
        cases: int,
        out: TextIO,
        err: TextIO,
        *,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cases = cases
        self._out = out
        self._err = err
        self._clock = clock
        self._number = 0
        self._played = ""
        self._failed = 0
        self._told_at = clock()
        is_dumb = environment.get("TERM") == "dumb"
        self._has_line = err.isatty() and not is_dumb
        has_colour = not environment.get("NO_COLOR") and not is_dumb
        self._colours_out = has_colour and out.isatty()
        self._colours_err = has_colour and self._has_line

    def begins(self, id: str) -> None:
        """The next case is played."""
        self._number += 1
        self._played = id
        if self._has_line:
            self._show_line()
        elif self._clock() - self._told_at >= QUIET_SECONDS:
            self._told_at = self._clock()
            print(self._state(), file=self._err, flush=True)

    def came(self, result: Result) -> None:
        """The result of the case."""
        self._played = ""
        if result.verdict is not Verdict.FAILED:
            return
        self._failed += 1
        text = printable_lines(report.explained(result))
        if self._colours_out:
            text = text.replace(report.FAILED, f"{RED}{report.FAILED}{PLAIN}", 1)
        self._print(text)

    def tell(self, text: str) -> None:
        """Prints these lines at once, apart from the status line."""
        self._print(printable_lines(text))

    def _print(self, text: str) -> None:
        self.ends()
        print(text, file=self._out, flush=True)
        if self._has_line and self._played:
            self._show_line()

    def ends(self) -> None:
        """Ends the status line, so that later output begins on a line of its own."""
        if self._has_line:
            print(ERASE_LINE, end="", file=self._err, flush=True)

    def _show_line(self) -> None:
        shown = self._state()[: _columns(self._err) - 1]  # a line that wraps is not erased
        failed = self._failed_words()
        if self._colours_err and self._failed:
            shown = shown.replace(failed, f"{RED}{failed}{PLAIN}", 1)
        print(f"{ERASE_LINE}{shown}", end="", file=self._err, flush=True)

    def _state(self) -> str:
        return f"{self._number} of {self._cases}, {self._failed_words()}: {self._played}"

    def _failed_words(self) -> str:
        return f"{self._failed} failed"


def _columns(terminal: TextIO) -> int:
    try:
        return os.get_terminal_size(terminal.fileno()).columns or COLUMNS
    except OSError:
        return COLUMNS
