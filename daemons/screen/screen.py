"""Restores a session's screen for a client that attaches later.

An emulator, if one is installed and enabled, restores it exactly. Without one, or after it failed,
the most recent output is replayed, and the program must be made to redraw.
"""

from __future__ import annotations

import re

from daemons.screen.lazy_emulator import EmulatorFactory, LazyEmulator
from daemons.screen.ring import Ring

# A dump takes about a microsecond a cell, and no other session's bytes are moved meanwhile. Larger
# screens, many times the largest in use, are replayed.
EMULATED_CELLS = 100_000

# Brings a terminal into a known state, without ESC c, which would erase the user's scrollback:
# leave the alternate screen, all mouse and keyboard modes off, margins, character sets and
# colours to their defaults, clear.
RESET = (
    b"\x1b[?1049l\x1b[?1047l\x1b[?47l\x1b[!p"
    b"\x1b[?9;1000;1002;1003;1004;1005;1006;1015;1016l\x1b[?2004;2026;69;5;45l\x1b[?1;6;66l\x1b[?7;25h"
    b'\x1b[4;20l\x1b[=0;1u\x1b[r\x1b(B\x1b)B\x0f\x1b]8;;\x1b\\\x1b[0"q\x1b[0 q\x1b[m\x1b[H\x1b[2J'
)

# Questions of a program to its terminal. If they were replayed, the client's terminal would answer
# again, and the program would read the answer as input.
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
    """The screen of one session, whose output is in `ring`.

    `make` makes the emulator, which is first fed an earlier terminal server's output in the ring.
    """

    def __init__(
        self, ring: Ring, columns: int, rows: int, make: EmulatorFactory | None = None
    ) -> None:
        self._ring = ring
        # Earlier sizes are not in the ring, and its beginning may be overwritten.
        self._is_complete = ring.is_empty
        if ring.feeding:
            make = None
            ring.feeding = False
        if columns * rows > EMULATED_CELLS:
            make = None
        self._emulator = LazyEmulator(ring, columns, rows, make)

    @property
    def is_exact(self) -> bool:
        """Whether `restore` gives exactly the screen of a client that was attached all the time; if
        not, the program should be made to redraw."""
        return self._is_complete and self._emulator.ask(lambda _: True) is True

    @property
    def hides_primary(self) -> bool:
        """Whether the alternate screen is shown. A client restored now was never sent the primary
        screen: send `restore()` when the program leaves the alternate one."""
        return self._emulator.ask(lambda emulator: emulator.is_alternate) is True

    @property
    def is_between_sequences(self) -> bool:
        """Whether output of another source may be put in here."""
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
        """Output that makes a client's terminal in any state show this screen."""
        dump = self._emulator.ask(lambda emulator: emulator.dump())
        if dump is not None:
            return RESET + dump
        ring = self._ring
        return RESET + _QUERY.sub(b"", ring.read(ring.line_from(ring.begin), ring.end))

    def rest(self) -> None:
        """Free as much memory as possible until the next question."""
        self._emulator.rest()

    def output_so_far(self) -> bytes:
        """The program's output as far as the ring holds it."""
        return self._ring.contents()

    def close(self) -> None:
        self._emulator.give_up()
        self._ring.close()


def installed_emulator() -> EmulatorFactory | None:
    """The factory of emulators; None when none is installed, or its library does not load on this
    machine. The first call takes a fifth of a second."""
    try:
        from daemons.screen.emulator import GhosttyEmulator
    except Exception:
        return None
    return GhosttyEmulator
