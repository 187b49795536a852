"""A terminal emulator that works only when somebody wants to know what its terminal shows.

Until then a session's output lies in its ring, and costs an emulator neither time nor memory. Most
sessions print less than a ring holds, and are never restored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from daemons.screen.ring import Ring

# What an emulator may be behind. To catch up takes about a millisecond for lines of text, in which
# no other session's bytes are moved.
BEHIND_BYTES = 256 * 1024
EARLIER_BYTES = 4 * 1024 * 1024  # of an earlier terminal server's output, all before a first answer
PIECE_BYTES = 64 * 1024  # copied out of the ring at once
LITTLE_BYTES = 512  # a program that writes so little is not printing much
SIZES_MAX = 64  # remembered of a session; who drags a window's corner brings dozens

T = TypeVar("T")


class Emulator(Protocol):
    """A terminal without a display. It may raise anything: it is then done without."""

    @property
    def is_alternate(self) -> bool:
        """The alternate screen is shown, which hides the primary one."""
        ...

    @property
    def is_between_sequences(self) -> bool:
        """The last byte fed ended a character or control sequence."""
        ...

    def feed(self, data: bytes) -> None:
        """What is shown then does not depend on how the output was cut into pieces."""
        ...

    def give_back(self) -> None:
        """Do without memory that only makes it quicker to be fed much."""
        ...

    def resize(self, columns: int, rows: int) -> None: ...
    def dump(self) -> bytes:
        """What makes a terminal of the same size, after a reset, show and do the same."""
        ...


EmulatorFactory: TypeAlias = Callable[[int, int], Emulator]


class LazyEmulator:
    """Follows what is written to `ring`: every write and change of size is to be announced."""

    def __init__(
        self, ring: Ring, columns: int, rows: int, make: EmulatorFactory | None = None
    ) -> None:
        self._ring = ring
        self._make = make
        self._emulator: Emulator | None = None
        self._first_size = self._size = (columns, rows)
        self._begin = self._fed = ring.line_from(max(ring.begin, ring.end - EARLIER_BYTES))
        # From `begin` on: each with the offset of the output before which it came.
        self._sizes: list[tuple[int, int, int]] = []
        self._sizes_fed = 0
        self._can_begin_again = True
        self._behind_max = min(BEHIND_BYTES, ring.capacity)

    def before_write(self, count: int) -> None:
        """At most the ring's capacity: what it pushes out of the ring must have been fed."""
        if self._make is not None and self._ring.end + count - self._fed > self._behind_max:
            self._catch_up_for_good()
        if self._emulator is not None and count <= LITTLE_BYTES:
            self._guarded(self._emulator.give_back)

    def resize(self, columns: int, rows: int) -> None:
        if (columns, rows) == self._size or self._make is None:
            return
        if len(self._sizes) == SIZES_MAX:
            self._catch_up_for_good()
        self._sizes.append((self._ring.end, columns, rows))
        self._size = (columns, rows)

    def ask(self, question: Callable[[Emulator], T]) -> T | None:
        """Its answer when all output was fed; None when there is no emulator, or not any more."""
        make = self._make
        if make is None:
            return None
        return self._guarded(lambda: question(self._caught_up(make)))

    def rest(self) -> None:
        """Do without the emulator until the next question, if the ring can bring it back."""
        if self._can_begin_again and self._ring.end - self._begin <= self._behind_max:
            self._emulator = None
            self._fed = self._begin
            self._sizes_fed = 0

    def give_up(self) -> None:
        self._make = self._emulator = None
        self._sizes.clear()

    def _guarded(self, work: Callable[[], T]) -> T | None:
        self._ring.feeding = True
        try:
            return work()
        except Exception:
            self.give_up()
            return None
        finally:
            self._ring.feeding = False

    def _catch_up_for_good(self) -> None:
        self._can_begin_again = False
        self.ask(lambda _: None)
        self._sizes.clear()
        self._sizes_fed = 0

    def _caught_up(self, make: EmulatorFactory) -> Emulator:
        if self._emulator is None:
            self._emulator = make(*self._first_size)
        for offset, columns, rows in self._sizes[self._sizes_fed :]:
            self._feed(self._emulator, offset)
            self._emulator.resize(columns, rows)
            self._sizes_fed += 1
        self._feed(self._emulator, self._ring.end)
        return self._emulator

    def _feed(self, emulator: Emulator, end: int) -> None:
        while self._fed < end:
            piece_end = min(end, self._fed + PIECE_BYTES)
            emulator.feed(self._ring.read(self._fed, piece_end))
            self._fed = piece_end
