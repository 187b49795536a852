"""Watches for text in a session's output, one after the other; each keeps at most a line.

`now` is in seconds of `time.monotonic()`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

LINE_BYTES_MAX = 256


class Text:
    """Finds `text`, also across reads. `passed` counts the bytes before it."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._tail = b""
        self.passed = 0

    def feed(self, data: bytes, now: float) -> bytes | None:
        """The bytes after the match; None while there is none. So in all watches."""
        seen = self._tail + data
        at = seen.find(self._text)
        if at >= 0:
            self.passed += at
            return seen[at + len(self._text) :]
        passed = max(0, len(seen) - len(self._text) + 1)
        self.passed += passed
        self._tail = seen[passed:]
        return None


class Line:
    """Collects the output of a session up to the end of the line; `text` holds at most its first
    LINE_BYTES_MAX bytes."""

    def __init__(self) -> None:
        self.text = b""

    def feed(self, data: bytes, now: float) -> bytes | None:
        line, ended, after = (self.text + data).partition(b"\r\n")
        self.text = line[:LINE_BYTES_MAX]
        return after if ended or len(line) > LINE_BYTES_MAX else None


class Echoes:
    """Waits for the echoes of `keys` keys, once each and in order.

    `on_echo` is called for each with the seconds since the key was due. Other output ends the watch
    and is kept in `strange`.
    """

    def __init__(self, keys: int, on_echo: Callable[[float], None]) -> None:
        self._remaining = keys
        self._on_echo = on_echo
        self._typed: deque[tuple[bytes, float]] = deque()
        self._part = b""
        self.strange = b""

    def typed(self, echo: bytes, due: float) -> None:
        """Call it before a key is typed: its echo, and when the key was due."""
        self._typed.append((echo, due))

    @property
    def oldest_due(self) -> float | None:
        """When the oldest key without an echo was due."""
        return self._typed[0][1] if self._typed else None

    def feed(self, data: bytes, now: float) -> bytes | None:
        came = self._part + data
        while self._typed and came.startswith(self._typed[0][0]):
            echo, due = self._typed.popleft()
            came = came[len(echo) :]
            self._remaining -= 1
            self._on_echo(now - due)
        if not self._remaining:
            return came
        self._part = came
        if came and not (self._typed and self._typed[0][0].startswith(came)):
            self.strange = came[:LINE_BYTES_MAX]
            return b""
        return None


Watch: TypeAlias = Text | Line | Echoes
