"""A terminal emulator that is fed only when its screen is asked for.

Until then a session's output lies in its ring, and the emulator takes neither time nor memory. Most
sessions print less than a ring holds and are never restored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from daemons.screen.ring import Ring

# Output that the emulator may not have been fed yet. Feeding it takes about a millisecond for lines
# of text, and no other session's bytes are moved meanwhile.
BEHIND_BYTES = 256 * 1024
EARLIER_BYTES = 4 * 1024 * 1024  # output of an earlier terminal server that is fed at first use
PIECE_BYTES = 64 * 1024  # copied out of the ring at once
LITTLE_BYTES = 512  # after a write this small the emulator frees memory
SIZES_MAX = 64  # remembered changes of size; dragging a window's corner makes dozens

T = TypeVar("T")


class Emulator(Protocol):
    """A terminal without a display. If it raises an exception it is not used any more."""

    @property
    def is_alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        ...

    @property
    def is_between_sequences(self) -> bool:
        """Whether the last byte fed ended a character or control sequence."""
        ...

    def feed(self, data: bytes) -> None:
        """Cutting the output into other pieces must not change the screen."""
        ...

    def give_back(self) -> None:
        """Free the memory that only speeds up feeding much output."""
        ...

    def resize(self, columns: int, rows: int) -> None: ...
    def dump(self) -> bytes:
        """Output that brings a terminal of the same size, after a reset, into the same state."""
        ...


EmulatorFactory: TypeAlias = Callable[[int, int], Emulator]


class LazyEmulator:
    """Follows the output in `ring`; must be told of every write and every change of size."""

    def __init__(
        self, ring: Ring, columns: int, rows: int, make: EmulatorFactory | None = None
    ) -> None:
        self._ring = ring
        self._make = make
        self._emulator: Emulator | None = None
        self._first_size = self._size = (columns, rows)
        self._begin = self._fed = ring.line_from(max(ring.begin, ring.end - EARLIER_BYTES))
        # Since `begin`: the offset of the output that followed, columns, rows.
        self._sizes: list[tuple[int, int, int]] = []
        self._sizes_fed = 0
        self._can_begin_again = True
        self._behind_max = min(BEHIND_BYTES, ring.capacity)

    def before_write(self, count: int) -> None:
        """Feed the output that `count` more bytes, at most the ring's capacity, would overwrite."""
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
        """Ask the emulator after feeding it all output; None without a working emulator."""
        make = self._make
        if make is None:
            return None
        return self._guarded(lambda: question(self._caught_up(make)))

    def rest(self) -> None:
        """Free the emulator until the next question, if the ring still holds all it was fed."""
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
