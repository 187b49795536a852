"""A session's shell: types at its prompt and checks what comes back.

The shell must be a POSIX one (sh, bash, zsh, ksh, not fish or csh). The expected output never
stands in the command that prints it, so a command's echo does not match.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from clients.load.visitors.client_session import ClientSession, StepFailed
from clients.load.visitors.watches import Echoes, Line, Text
from tsproto.errors import ErrorCode, TsfarmError

KEYS_COME_BACK = "keys come back once and in order"
OUTPUT_COMPLETE = "output complete"

TIMER_SECONDS = 0.002  # resolution of the loop's timer: a key less late than this counts as on time
KEYS_A_LINE = 60  # fits 80 columns, and the terminal's limit of a line
OUTPUT_LINE = "a line of sixty-four characters, as programs may print them...."
OUTPUT_BYTES_A_SECOND = 1_000_000  # the slowest rate that is waited for


class RuleBroken(TsfarmError):
    """The farm broke a rule."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class Shell:
    """Types at the prompts of one visitor's sessions. `token` is unique to the visitor: re-
    attaching may show an earlier visitor's output."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._prints = 0

    def mark(self, client: ClientSession) -> str:
        """Set a variable in a new session, and return its value."""
        client.type(f" TSFARM_LOAD={self._token}\r")
        return self._token

    async def read_mark(self, client: ClientSession) -> str:
        line = Line()
        command, printed = self._print(' "$TSFARM_LOAD"')
        client.expect(Text(printed), line)
        client.type(f"{command}\r")
        await client.seen()
        return line.text.decode(errors="backslashreplace")

    async def type_keys(
        self, client: ClientSession, seconds: float, keys: int, on_echo: Callable[[float], None]
    ) -> None:
        """Type `keys` keys evenly over `seconds`; `on_echo` gets for each the seconds from when it
        was due to its echo. Raises StepFailed, and RuleBroken for other output.

        The keys go to `cat`: the terminal echoes them, and no shell edits the line.
        """
        command, printed = self._print()
        client.expect(Text(printed + b"\r\n"))
        client.type(f"{command}; cat >/dev/null\r")
        await client.seen()
        echoes = Echoes(keys, on_echo)
        client.expect(echoes)
        began = time.monotonic()
        for index in range(keys):
            due = began + seconds * index / keys
            await _until(due)
            _check_patience(echoes, client)
            if client.is_over:
                break
            key, echo = _key(index)
            now = time.monotonic()
            echoes.typed(echo, now if now - due < TIMER_SECONDS else due)
            client.type(key)
        await client.seen()
        if echoes.strange:
            came = echoes.strange.decode(errors="backslashreplace")
            raise RuleBroken(KEYS_COME_BACK, f"{came!r} came instead of an echo")
        await _until(began + seconds)
        client.type("\r\x04")

    async def print_bytes(self, client: ClientSession, size: int) -> float:
        """Have `size` bytes printed; returns the seconds from the command to the last byte. Raises
        StepFailed, and RuleBroken for another number of bytes."""
        first_command, first = self._print()
        last_command, last = self._print()
        whole = Text(last)
        client.expect(Text(first + b"\r\n"), whole)
        began = time.monotonic()
        lines = f" yes '{OUTPUT_LINE}' | head -c {size}"
        client.type(f"{first_command};{lines};{last_command}\r")
        await client.seen(longer_seconds=size / OUTPUT_BYTES_A_SECOND)
        expected = size + size // len(f"{OUTPUT_LINE}\n")  # a terminal sends \r\n for \n
        if whole.passed != expected:
            detail = f"{whole.passed} bytes were shown instead of {expected}"
            raise RuleBroken(OUTPUT_COMPLETE, detail)
        return client.came_at - began

    def _print(self, value: str = "") -> tuple[str, bytes]:
        """A command, and the text that it prints before the value."""
        self._prints += 1
        command = f" printf '%s-%d:%s\\n' {self._token} {self._prints}{value}"
        return command, f"{self._token}-{self._prints}:".encode()


def _key(index: int) -> tuple[str, bytes]:
    """A key and its echo; every KEYS_A_LINE-th is Enter."""
    if index % KEYS_A_LINE == KEYS_A_LINE - 1:
        return "\r", b"\r\n"
    letter = chr(ord("a") + index % 26)
    return letter, letter.encode()


def _check_patience(echoes: Echoes, client: ClientSession) -> None:
    oldest = echoes.oldest_due
    if oldest is not None and time.monotonic() - oldest > client.patience_seconds:
        raise StepFailed(ErrorCode.UNANSWERED)


async def _until(moment: float) -> None:
    remaining = moment - time.monotonic()
    if remaining > 0:
        await asyncio.sleep(remaining)
