"""Looking for the mark at the end of what a session shows."""

from __future__ import annotations

import asyncio

from bench.viewer import Mark


def counted(mark: bytes, *pieces: bytes) -> int | None:
    async def count() -> int | None:
        awaited = Mark(mark)
        for piece in pieces:
            awaited.take(piece)
        return awaited.came.result() if awaited.came.done() else None

    return asyncio.run(count())


def test_a_mark_is_found_at_the_end_of_a_piece() -> None:
    assert counted(b"over", b"0123over") == 8
    assert counted(b"over", b"0123", b"over") == 8


def test_a_mark_is_found_across_pieces() -> None:
    assert counted(b"over", b"0123o", b"v", b"er") == 8
    assert counted(b"over", *(bytes([byte]) for byte in b"oooover")) == 7


def test_a_mark_that_more_follows_is_no_end() -> None:
    assert counted(b"over", b"over and ", b"over") == 13


def test_without_the_mark_nothing_has_come() -> None:
    assert counted(b"over", b"ove", b"ove") is None
