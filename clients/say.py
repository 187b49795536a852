"""Messages of the client itself to the user, apart from a session's output."""

from __future__ import annotations

import contextlib
import sys


def say(text: str, *, raw: bool = False) -> None:
    """Prints one line on standard error. `raw`: the terminal is in raw mode."""
    end = "\r\n" if raw else "\n"
    with contextlib.suppress(OSError):
        sys.stderr.write(f"[tsfarm] {printable(text)}{end}")
        sys.stderr.flush()


def printable(text: str) -> str:
    """`text` with control characters replaced, so that a host cannot command the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
