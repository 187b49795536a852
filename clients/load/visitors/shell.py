"""A session's shell: what is typed at its prompt, and what must come back.

It must be one that POSIX describes (sh, bash, zsh, ksh, but not fish or csh). What is looked for in
its output never stands in the command that prints it, so a command's echo is not taken for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from clients.load.visitors.surface import Sitting, StepFailed
from clients.load.visitors.watches import Echoes, Line, Text
from tsproto.errors import ErrorCode, TsfarmError

KEYS_COME_BACK = "keys come back once and in order"
OUTPUT_COMPLETE = "output complete"

# Loops wake up at whole milliseconds: what is as little late as that is typed when it is due.
TIMER_SECONDS = 0.002
KEYS_A_LINE = 60  # a terminal in line mode has a bound, and 80 columns
OUTPUT_LINE = "a line of sixty-four characters, as programs may print them...."
# Output may take a second longer for so many bytes.
OUTPUT_BYTES_A_SECOND = 1_000_000


class RuleBroken(TsfarmError):
    """The farm did what it never may. `rule` names what was broken."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class Shell:
    """Types at the prompts of the sessions that one visitor sees. `token` is a word of the
    visitor's own: what an earlier one had printed may be shown again."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._prints = 0

    def mark(self, sitting: Sitting) -> str:
        """Give a new session a variable to know it by; gives its value."""
        sitting.type(f" TSFARM_LOAD={self._token}\r")
        return self._token

    async def read_mark(self, sitting: Sitting) -> str:
        line = Line()
        command, printed = self._print(' "$TSFARM_LOAD"')
        sitting.expect(Text(printed), line)
        sitting.type(f"{command}\r")
        await sitting.seen()
        return line.text.decode(errors="backslashreplace")

    async def type_keys(
        self, sitting: Sitting, seconds: float, keys: int, on_echo: Callable[[float], None]
    ) -> None:
        """Spread `keys` evenly over `seconds`; `on_echo` is called for each with the seconds from
        when it was due until its echo. Raises StepFailed, and RuleBroken when something else comes.

        They go to `cat`: the terminal itself echoes them, and no shell edits its line.
        """
        command, printed = self._print()
        sitting.expect(Text(printed + b"\r\n"))
        sitting.type(f"{command}; cat >/dev/null\r")
        await sitting.seen()
        echoes = Echoes(keys, on_echo)
        sitting.expect(echoes)
        began = time.monotonic()
        for index in range(keys):
            due = began + seconds * index / keys
            await _until(due)
            _check_patience(echoes, sitting)
            if sitting.is_over:
                break
            key, echo = _key(index)
            now = time.monotonic()
            echoes.typed(echo, now if now - due < TIMER_SECONDS else due)
            sitting.type(key)
        await sitting.seen()
        if echoes.strange:
            came = echoes.strange.decode(errors="backslashreplace")
            raise RuleBroken(KEYS_COME_BACK, f"{came!r} came instead of an echo")
        await _until(began + seconds)
        sitting.type("\r\x04")

    async def print_bytes(self, sitting: Sitting, size: int) -> float:
        """Have `size` bytes printed; gives the seconds from the command until the last of them.
        Raises StepFailed, and RuleBroken when there are more or less."""
        first_command, first = self._print()
        last_command, last = self._print()
        whole = Text(last)
        sitting.expect(Text(first + b"\r\n"), whole)
        began = time.monotonic()
        lines = f" yes '{OUTPUT_LINE}' | head -c {size}"
        sitting.type(f"{first_command};{lines};{last_command}\r")
        await sitting.seen(longer_seconds=size / OUTPUT_BYTES_A_SECOND)
        expected = size + size // len(f"{OUTPUT_LINE}\n")  # a line ends in two bytes on a terminal
        if whole.passed != expected:
            detail = f"{whole.passed} bytes were shown instead of {expected}"
            raise RuleBroken(OUTPUT_COMPLETE, detail)
        return sitting.came_at - began

    def _print(self, value: str = "") -> tuple[str, bytes]:
        """A command, and what it prints before the value."""
        self._prints += 1
        command = f" printf '%s-%d:%s\\n' {self._token} {self._prints}{value}"
        return command, f"{self._token}-{self._prints}:".encode()


def _key(index: int) -> tuple[str, bytes]:
    """A key and its echo; now and then it is Enter."""
    if index % KEYS_A_LINE == KEYS_A_LINE - 1:
        return "\r", b"\r\n"
    letter = chr(ord("a") + index % 26)
    return letter, letter.encode()


def _check_patience(echoes: Echoes, sitting: Sitting) -> None:
    oldest = echoes.oldest_due
    if oldest is not None and time.monotonic() - oldest > sitting.patience_seconds:
        raise StepFailed(ErrorCode.UNANSWERED)


async def _until(moment: float) -> None:
    remaining = moment - time.monotonic()
    if remaining > 0:
        await asyncio.sleep(remaining)
