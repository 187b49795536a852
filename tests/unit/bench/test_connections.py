"""How many sessions a machine has room for."""

from __future__ import annotations

import pytest

from bench.connections import Room, room_for, smallest


def test_the_smallest_limit_counts_and_is_named() -> None:
    assert smallest({"wanted": 10_000, "terminals": 3_796, "descriptors": 9_000}) == Room(
        3_796, "terminals"
    )


def test_a_machine_without_room_is_told() -> None:
    with pytest.raises(OSError, match="no room for a session: descriptors"):
        smallest({"wanted": 20, "descriptors": -40})


def test_no_more_is_taken_than_is_wanted() -> None:
    assert room_for(1, servers=1) == Room(1, "as many as are wanted")
