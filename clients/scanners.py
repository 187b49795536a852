"""Scanners of two byte streams: typed keys, for commands to the client; and the output of programs,
for the terminal modes that they set."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TypeAlias

ESCAPE = b"\x1d"  # Ctrl-], as in telnet


class Command(Enum):
    """A command to the client, typed as `Ctrl-]` and a key."""

    DISCONNECT = auto()
    HELP = auto()


Typed: TypeAlias = bytes | Command

_COMMANDS = {b"d": Command.DISCONNECT, b"?": Command.HELP}


class EscapeScanner:
    """Splits typed keys into bytes for the session and commands for the client.

    `Ctrl-]` twice sends one to the session; `Ctrl-]` and a key that is no command are both sent.
    """

    def __init__(self) -> None:
        self._escaped = False

    def feed(self, data: bytes) -> list[Typed]:
        typed: list[Typed] = []
        for index, part in enumerate(data.split(ESCAPE)):
            if index:
                self._on_escape(typed)
            if part and self._escaped:
                part = self._on_key(part, typed)
            if part:
                _append(typed, part)
        return typed

    def _on_escape(self, typed: list[Typed]) -> None:
        if self._escaped:
            _append(typed, ESCAPE)
        self._escaped = not self._escaped

    def _on_key(self, part: bytes, typed: list[Typed]) -> bytes:
        self._escaped = False
        command = _COMMANDS.get(part[:1])
        if command is None:
            return ESCAPE + part
        typed.append(command)
        return part[1:]


def _append(typed: list[Typed], part: bytes) -> None:
    if typed and isinstance(typed[-1], bytes):
        typed[-1] += part
    else:
        typed.append(part)


class ModeTracker:
    """Tracks which private modes of the terminal programs have changed and not restored (ECMA-48
    CSI ? … h and l, as in xterm)."""

    # Modes of a fresh terminal, in the order of restoring: the alternate screen is left before the
    # cursor is shown on the other one.
    FRESH = {
        1049: False,  # alternate screen
        1047: False,
        47: False,
        1000: False,  # reports of the mouse
        1002: False,
        1003: False,
        1005: False,
        1006: False,
        1015: False,
        1004: False,  # reports of focus
        2004: False,  # bracketed paste
        1: False,  # application cursor keys
        25: True,  # the cursor is visible
    }
    _SEQUENCE = re.compile(rb"\x1b\[\?([0-9;]{1,64})([hl])|\x1bc|\x1b([=>])")
    _UNFINISHED = re.compile(rb"\x1b(\[(\?[0-9;]{0,64})?)?\Z")

    def __init__(self) -> None:
        self._changed: dict[int, bool] = {}
        self._keypad = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if b"\x1b" not in data and not self._rest:
            return
        data = self._rest + data
        for found in self._SEQUENCE.finditer(data):
            modes, verb, keypad = found.groups()
            if keypad:
                self._keypad = keypad == b"="
            elif modes is None:  # ESC c, a full reset
                self._changed.clear()
                self._keypad = False
            else:
                self._set([int(mode) for mode in modes.split(b";") if mode], verb == b"h")
        unfinished = self._UNFINISHED.search(data[-80:])
        self._rest = unfinished.group() if unfinished else b""

    def _set(self, modes: list[int], to: bool) -> None:
        for mode in modes:
            if mode in self.FRESH:
                self._changed[mode] = to

    def restoring(self) -> bytes:
        """The bytes that restore the modes of a fresh terminal; forgets the changes."""
        parts = [
            b"\x1b[?%d%c" % (mode, ord("h" if fresh else "l"))
            for mode, fresh in self.FRESH.items()
            if self._changed.get(mode, fresh) is not fresh
        ]
        if self._keypad:
            parts.append(b"\x1b>")
        parts.append(b"\x1b[0m")
        self._changed.clear()
        self._keypad = False
        return b"".join(parts)
