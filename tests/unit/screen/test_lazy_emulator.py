"""An emulator that works late shows what one shows that was there all along."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeAlias

from daemons.screen.lazy_emulator import (
    BEHIND_BYTES,
    EARLIER_BYTES,
    LITTLE_BYTES,
    SIZES_MAX,
    LazyEmulator,
)
from daemons.screen.ring import Ring, create_ring

COLUMNS, ROWS = 20, 6
CAPACITY = 16
Size: TypeAlias = tuple[int, int]


@contextlib.contextmanager
def new_ring(capacity: int = CAPACITY) -> Iterator[Ring]:
    descriptor = create_ring(capacity)
    ring = Ring(descriptor)
    os.close(descriptor)
    yield ring
    ring.close()


class Journal:
    """Records the calls to the emulators that it makes, one after the other."""

    is_alternate = False
    is_between_sequences = True

    def __init__(self) -> None:
        self.told: list[bytes | Size] = []
        self.made = 0
        self.gave_back = 0

    def make(self, columns: int, rows: int) -> Journal:
        self.made += 1
        self.told = [(columns, rows)]
        return self

    def feed(self, data: bytes) -> None:
        self.told.append(data)

    def give_back(self) -> None:
        self.gave_back += 1

    def resize(self, columns: int, rows: int) -> None:
        self.told.append((columns, rows))

    def dump(self) -> bytes:
        return b"%d" % self.made


class Rig:
    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.journal = Journal()
        self.lazy = LazyEmulator(ring, COLUMNS, ROWS, self.journal.make)

    def write(self, data: bytes) -> None:
        self.lazy.before_write(len(data))
        self.ring.write(data)

    def ask(self) -> None:
        assert self.lazy.ask(lambda emulator: emulator.is_between_sequences)


@contextlib.contextmanager
def new_rig(capacity: int = CAPACITY) -> Iterator[Rig]:
    with new_ring(capacity) as ring:
        yield Rig(ring)


def test_before_a_question_no_emulator_is_made() -> None:
    with new_rig() as rig:
        rig.write(b"0123456789abcdef")
        rig.lazy.resize(30, 7)
        assert rig.journal.made == 0


def test_a_question_is_answered_when_all_was_fed_in_its_order() -> None:
    with new_rig() as rig:
        rig.lazy.resize(30, 7)
        rig.write(b"one")
        rig.write(b"two")
        rig.lazy.resize(40, 8)
        rig.lazy.resize(50, 9)
        rig.write(b"three")
        rig.ask()
        rig.write(b"four")
        rig.ask()
        expected = [(20, 6), (30, 7), b"onetwo", (40, 8), (50, 9), b"three", b"four"]
        assert rig.journal.told == expected


def test_what_the_ring_would_lose_is_fed_first_and_all_at_once() -> None:
    with new_rig() as rig:
        for data in (b"0123456789", b"abcdef", b"g"):
            rig.write(data)
        assert rig.journal.told == [(20, 6), b"0123456789abcdef"]
        for data in (b"h" * 15, b"i"):
            rig.write(data)
        assert rig.journal.told == [(20, 6), b"0123456789abcdef", b"g" + b"h" * 15]


def test_however_large_the_ring_the_emulator_is_little_behind() -> None:
    with new_rig(4 * BEHIND_BYTES) as rig:
        for _ in range(9):
            rig.write(b"x" * (BEHIND_BYTES // 8))
        assert b"".join(rig.journal.told[1:]) == b"x" * BEHIND_BYTES  # type: ignore[arg-type]


def test_when_little_is_written_it_need_not_be_quick() -> None:
    with new_rig(2 * BEHIND_BYTES) as rig:
        rig.write(b"x" * BEHIND_BYTES)
        rig.write(b"x" * (LITTLE_BYTES + 1))
        assert rig.journal.gave_back == 0
        rig.write(b"x" * LITTLE_BYTES)
        assert rig.journal.gave_back == 1


def test_a_size_that_it_has_is_no_new_one() -> None:
    with new_rig() as rig:
        rig.lazy.resize(COLUMNS, ROWS)
        rig.lazy.resize(30, 7)
        rig.lazy.resize(30, 7)
        rig.ask()
        assert rig.journal.told == [(20, 6), (30, 7)]


def test_more_sizes_than_are_remembered_reach_it_all_the_same() -> None:
    sizes = [(10 + number, 5) for number in range(2 * SIZES_MAX + 1)]
    with new_rig() as rig:
        for size in sizes:
            rig.lazy.resize(*size)
        assert rig.journal.told == [(20, 6), *sizes[: 2 * SIZES_MAX]]
        rig.lazy.rest()
        rig.ask()
        assert rig.journal.told == [(20, 6), *sizes]


def test_what_rests_is_made_anew_and_told_the_same() -> None:
    with new_rig() as rig:
        rig.write(b"one")
        rig.lazy.resize(30, 7)
        rig.ask()
        before = list(rig.journal.told)
        rig.lazy.rest()
        rig.ask()
        assert (rig.journal.made, rig.journal.told) == (2, before)


def test_what_the_ring_cannot_bring_back_does_not_rest() -> None:
    with new_rig() as rig:
        rig.write(b"lost")
        rig.ask()
        rig.write(b"x" * (CAPACITY - 3))
        rig.lazy.rest()
        rig.ask()
        assert (rig.journal.made, rig.journal.told[1]) == (1, b"lost")


def test_it_begins_with_the_first_whole_line_of_an_earlier_terminal_server() -> None:
    with new_ring() as ring:
        ring.write(b"cut in two\r\nthe rest\r\n")
        rig = Rig(ring)
        rig.write(b"more")
        rig.ask()
        assert rig.journal.told == [(20, 6), b"the rest\r\nmore"]


def test_of_a_large_ring_it_is_fed_the_last_part() -> None:
    with new_ring(2 * EARLIER_BYTES) as ring:
        ring.write(b"lost\n" + b"x" * EARLIER_BYTES + b"\nthe rest")
        rig = Rig(ring)
        rig.ask()
        assert rig.journal.told == [(20, 6), b"the rest"]


def test_what_failed_once_is_not_asked_again() -> None:
    with new_rig() as rig:
        rig.write(b"x")
        assert rig.lazy.ask(lambda _: 1 // 0) is None
        rig.write(b"y" * 2 * CAPACITY)
        assert rig.lazy.ask(lambda emulator: emulator.dump()) is None
        assert rig.journal.told == [(20, 6), b"x"]
