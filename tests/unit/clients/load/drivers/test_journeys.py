from __future__ import annotations

import random
from collections import Counter

from clients.load.drivers.journeys import chooser


class Drawn:
    """Chance that draws these."""

    def __init__(self, *numbers: float) -> None:
        self._numbers = list(numbers)

    def random(self) -> float:
        return self._numbers.pop(0)


def test_each_journey_has_the_part_of_chance_that_its_weight_says() -> None:
    choose = chooser(
        [("a", 1), ("b", 2), ("c", 1)], Drawn(0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 1e-16)
    )
    assert [choose() for _ in range(6)] == ["a", "a", "b", "b", "c", "c"]


def test_many_come_in_about_these_proportions() -> None:
    choose = chooser([("a", 9), ("b", 1)], random.Random(1))
    counts = Counter(choose() for _ in range(1_000))
    assert 860 < counts["a"] < 940
    assert counts.total() == 1_000


def test_one_journey_takes_no_chance() -> None:
    assert chooser([("a", 3)], Drawn())() == "a"
