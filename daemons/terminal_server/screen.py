"""What a session's terminal shows, so that a client which comes later can be shown the same.

An emulator, where one is installed and enabled, gives an exact picture. Without one, or once it
has failed, the most recent output is replayed and the program has to be nudged to draw anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, TypeAlias

from daemons.terminal_server.ring import Ring

# A dump takes about a microsecond a cell, in which no other session's bytes are moved. What larger
# screens showed, many times the largest in use, is replayed.
EMULATED_CELLS = 100_000

# From any state to a known one, without ESC c, which would take the user's scrollback with it:
# leave the alternate screen, all mouse and keyboard modes off, margins, character sets and
# colours to their defaults, clear.
RESET = (
    b"\x1b[?1049l\x1b[?1047l\x1b[?47l\x1b[!p"
    b"\x1b[?9;1000;1002;1003;1004;1005;1006;1015;1016l\x1b[?2004;2026;69;5;45l\x1b[?1;6;66l\x1b[?7;25h"
    b'\x1b[4;20l\x1b[=0;1u\x1b[r\x1b(B\x1b)B\x0f\x1b]8;;\x1b\\\x1b[0"q\x1b[0 q\x1b[m\x1b[H\x1b[2J'
)

# What a program asks its terminal. Replayed, the client's terminal would answer a second time,
# and the answer would be typed into a program that expects none.
_QUERY = re.compile(
    rb"\x05"  # ENQ
    rb"|\x1bZ"  # DECID
    rb"|\x1b\[[>=?]?[0-9;]*[cn]"  # device attributes, device status
    rb"|\x1b\[\??[0-9;]*\$p"  # DECRQM
    rb"|\x1b\[[>?][0-9]*[qu]"  # XTVERSION, kitty keyboard
    rb"|\x1b\[(?:1[1345689]|2[01])(?:;[0-9]*)*t"  # window reports
    rb"|\x1b\][0-9;]*;\?(?:\x07|\x1b\\)"  # colours
    rb"|\x1bP[+$]q[^\x1b]*\x1b\\"  # DECRQSS, XTGETTCAP
)


class Emulator(Protocol):
    """A terminal without a display. It may raise anything: the screen then does without it."""

    @property
    def is_alternate(self) -> bool:
        """The alternate screen is shown, which hides the primary one."""
        ...

    @property
    def is_between_sequences(self) -> bool:
        """The last byte fed ended a character or control sequence."""
        ...

    def feed(self, data: bytes) -> None: ...
    def resize(self, columns: int, rows: int) -> None: ...
    def dump(self) -> bytes:
        """What makes a terminal of the same size, after RESET, show and do the same."""
        ...


class Screen:
    """The output of one session, kept in `ring`; `emulator` starts blank, and is fed what the ring
    holds from an earlier terminal server."""

    def __init__(self, ring: Ring, emulator: Emulator | None = None) -> None:
        self._ring = ring
        self._emulator = emulator
        # Sizes of the past are not in the ring, and its beginning may be gone.
        self._complete = ring.is_empty
        if ring.feeding:
            self._emulator = None
            ring.feeding = False
        elif not ring.is_empty:
            self._feed_emulator(_from_a_line_on(ring))

    @property
    def is_exact(self) -> bool:
        """`restore` shows what a client that had been there all along would see; otherwise the
        program should be nudged to draw anew."""
        return self._emulator is not None and self._complete

    @property
    def hides_primary(self) -> bool:
        """Leaving the alternate screen will show a primary screen that a client restored now has
        never been sent; send `restore()` then."""
        try:
            return self._emulator is not None and self._emulator.is_alternate
        except Exception:
            self._emulator = None
            return False

    @property
    def is_between_sequences(self) -> bool:
        """Other output may be put in here."""
        try:
            return self._emulator is None or self._emulator.is_between_sequences
        except Exception:
            self._emulator = None
            return True

    def feed(self, data: bytes) -> None:
        self._ring.write(data)
        self._feed_emulator(data)

    def resize(self, columns: int, rows: int) -> None:
        if columns * rows > EMULATED_CELLS:
            self._emulator = None
        if self._emulator is not None:
            try:
                self._emulator.resize(columns, rows)
            except Exception:
                self._emulator = None

    def restore(self) -> bytes:
        """What makes a client's terminal, whatever it showed, show this screen."""
        if self._emulator is not None:
            try:
                return RESET + self._emulator.dump()
            except Exception:
                self._emulator = None
        return RESET + _QUERY.sub(b"", _from_a_line_on(self._ring))

    def output_so_far(self) -> bytes:
        """The plain output, as much as is kept."""
        return self._ring.contents()

    def close(self) -> None:
        self._emulator = None
        self._ring.close()

    def _feed_emulator(self, data: bytes) -> None:
        if self._emulator is None:
            return
        self._ring.feeding = True
        try:
            self._emulator.feed(data)
        except Exception:
            self._emulator = None
        self._ring.feeding = False


EmulatorFactory: TypeAlias = Callable[[int, int], Emulator]


def installed_emulator() -> EmulatorFactory | None:
    """Makes an emulator of so many columns and rows; None when none is installed, or when its
    library does not load on this machine. The first call takes a fifth of a second."""
    try:
        from daemons.terminal_server.emulator import GhosttyEmulator
    except Exception:
        return None
    return GhosttyEmulator


def open_screen(ring: Ring, columns: int, rows: int, make: EmulatorFactory | None) -> Screen:
    if make is None or columns * rows > EMULATED_CELLS:
        return Screen(ring)
    try:
        return Screen(ring, make(columns, rows))
    except Exception:  # no memory for an emulator: the ring is enough
        return Screen(ring)


def _from_a_line_on(ring: Ring) -> bytes:
    """What the ring holds; where its beginning is gone, from the first whole line on."""
    contents = ring.contents()
    if ring.is_whole:
        return contents
    return contents[contents.find(b"\n") + 1 :]
