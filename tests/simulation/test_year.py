"""Months of a small farm: every kind of token comes about, and a planted bug is found."""

from __future__ import annotations

from tests.simulation.planted import PLANTED
from tests.simulation.year import Months

DEVICES = 20


def test_devices_come_every_month_and_get_temporary_and_full_tokens() -> None:
    months = Months(DEVICES)
    lived = months.live(100)
    assert lived.violation == ""
    assert 3 * DEVICES - 10 <= lived.visits <= 4 * DEVICES
    assert lived.refused == 0
    seen = months.farm.world.seen
    assert seen["temporary token"] >= DEVICES
    assert seen["full token"] >= DEVICES


def test_the_same_months_are_lived_twice() -> None:
    first, second = Months(DEVICES), Months(DEVICES)
    assert first.live(40) == second.live(40)
    assert first.farm.world.digest() == second.farm.world.digest()


def test_a_law_that_is_broken_ends_them() -> None:
    months = Months(DEVICES)
    PLANTED["answers before the commit"](months.farm)
    lived = months.live(40)
    assert "is performed before its commit" in lived.violation
    assert lived.visits < DEVICES
