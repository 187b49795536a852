"""What a session's terminal shows, so that a client which comes later can be shown the same.

An emulator, where one is installed and enabled, gives an exact picture. Without one, or once it
has failed, the most recent output is replayed and the program has to be nudged to draw anew.
"""

from __future__ import annotations

import re

from daemons.screen.lazy_emulator import EmulatorFactory, LazyEmulator
from daemons.screen.ring import Ring

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


class Screen:
    """The output of one session, kept in `ring`, on a terminal of so many columns and rows.

    `make` makes the emulator. It is shown first what the ring holds from an earlier terminal
    server.
    """

    def __init__(
        self, ring: Ring, columns: int, rows: int, make: EmulatorFactory | None = None
    ) -> None:
        self._ring = ring
        # Sizes of the past are not in the ring, and its beginning may be gone.
        self._is_complete = ring.is_empty
        if ring.feeding:
            make = None
            ring.feeding = False
        if columns * rows > EMULATED_CELLS:
            make = None
        self._emulator = LazyEmulator(ring, columns, rows, make)

    @property
    def is_exact(self) -> bool:
        """`restore` shows what a client that had been there all along would see; otherwise the
        program should be nudged to draw anew."""
        return self._is_complete and self._emulator.ask(lambda _: True) is True

    @property
    def hides_primary(self) -> bool:
        """Leaving the alternate screen will show a primary screen that a client restored now has
        never been sent; send `restore()` then."""
        return self._emulator.ask(lambda emulator: emulator.is_alternate) is True

    @property
    def is_between_sequences(self) -> bool:
        """Other output may be put in here."""
        return self._emulator.ask(lambda emulator: emulator.is_between_sequences) is not False

    def feed(self, data: bytes) -> None:
        for start in range(0, len(data), self._ring.capacity):
            piece = data[start : start + self._ring.capacity]
            self._emulator.before_write(len(piece))
            self._ring.write(piece)

    def resize(self, columns: int, rows: int) -> None:
        if columns * rows > EMULATED_CELLS:
            self._emulator.give_up()
        self._emulator.resize(columns, rows)

    def restore(self) -> bytes:
        """What makes a client's terminal, whatever it showed, show this screen."""
        dump = self._emulator.ask(lambda emulator: emulator.dump())
        if dump is not None:
            return RESET + dump
        ring = self._ring
        return RESET + _QUERY.sub(b"", ring.read(ring.line_from(ring.begin), ring.end))

    def rest(self) -> None:
        """Nothing will be asked for a while: need as little memory as may be."""
        self._emulator.rest()

    def output_so_far(self) -> bytes:
        """The plain output, as much as is kept."""
        return self._ring.contents()

    def close(self) -> None:
        self._emulator.give_up()
        self._ring.close()


def installed_emulator() -> EmulatorFactory | None:
    """Makes an emulator of so many columns and rows; None when none is installed, or when its
    library does not load on this machine. The first call takes a fifth of a second."""
    try:
        from daemons.screen.emulator import GhosttyEmulator
    except Exception:
        return None
    return GhosttyEmulator
