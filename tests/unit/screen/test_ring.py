from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from daemons.screen.ring import Ring, create_ring

CAPACITY = 16


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = create_ring(CAPACITY)
    yield descriptor
    os.close(descriptor)


def filled(descriptor: int, *chunks: bytes) -> Ring:
    ring = Ring(descriptor)
    for chunk in chunks:
        ring.write(chunk)
    return ring


def test_a_new_ring_is_empty_and_whole(descriptor: int) -> None:
    ring = filled(descriptor)
    assert (ring.is_empty, ring.begin, ring.contents()) == (True, 0, b"")


def test_what_was_written_comes_out_in_order(descriptor: int) -> None:
    ring = filled(descriptor, b"abc", b"def")
    assert (ring.is_empty, ring.begin, ring.contents()) == (False, 0, b"abcdef")


def test_a_ring_that_is_just_full_is_whole(descriptor: int) -> None:
    ring = filled(descriptor, b"0123456789", b"abcdef")
    assert (ring.begin, ring.contents()) == (0, b"0123456789abcdef")


def test_one_byte_more_pushes_out_the_oldest(descriptor: int) -> None:
    ring = filled(descriptor, b"0123456789", b"abcdefg")
    assert (ring.begin, ring.contents()) == (1, b"123456789abcdefg")


@pytest.mark.parametrize("length", range(1, 50))
def test_chunks_of_every_length_keep_the_last_bytes(descriptor: int, length: int) -> None:
    stream = bytes(range(200))
    chunks = [stream[start : start + length] for start in range(0, len(stream), length)]
    assert filled(descriptor, *chunks).contents() == stream[-CAPACITY:]


def test_any_part_that_is_kept_can_be_read(descriptor: int) -> None:
    ring = filled(descriptor, b"0123456789", b"abcdefghij")
    assert (ring.begin, ring.end, ring.capacity) == (4, 20, CAPACITY)
    assert ring.read(4, 20) == b"456789abcdefghij"
    assert (ring.read(5, 7), ring.read(14, 18), ring.read(17, 19)) == (b"56", b"efgh", b"hi")
    assert ring.read(9, 9) == b""


def test_a_line_begins_after_the_end_of_the_one_before(descriptor: int) -> None:
    ring = filled(descriptor, b"one\ntwo\nthree")
    assert [ring.line_from(offset) for offset in (0, 1, 4, 7, 8)] == [0, 4, 8, 8, 8]


def test_another_mapping_sees_what_was_written(descriptor: int) -> None:
    first = filled(descriptor, b"0123456789", b"abcdefgh")
    second = Ring(descriptor)
    assert second.contents() == first.contents()
    second.write(b"!")
    assert Ring(descriptor).contents() == b"3456789abcdefgh!"


def test_another_mapping_sees_an_unfinished_feed(descriptor: int) -> None:
    filled(descriptor).feeding = True
    assert Ring(descriptor).feeding
    Ring(descriptor).feeding = False
    assert not Ring(descriptor).feeding


def test_a_ring_takes_no_memory_before_something_is_written(descriptor: int) -> None:
    ring = Ring(descriptor)
    assert (ring.contents(), ring.feeding) == (b"", False)
    assert os.fstat(descriptor).st_blocks == 0


def test_nobody_can_shrink_it(descriptor: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
