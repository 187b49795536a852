"""Chooses the journey of an arrival, at random by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

J = TypeVar("J")


class Chance(Protocol):
    def random(self) -> float: ...


class Journeys(Generic[J]):
    def __init__(self, weighted: Sequence[tuple[J, int]], rng: Chance) -> None:
        self._journeys = [journey for journey, _ in weighted]
        self._sums = list(accumulate(weight for _, weight in weighted))
        self._rng = rng

    def choose(self) -> J:
        if len(self._journeys) == 1:
            return self._journeys[0]
        drawn = self._rng.random() * self._sums[-1]
        return self._journeys[bisect_right(self._sums, drawn)]
