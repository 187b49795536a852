"""Chooses the journey of an arrival, at random by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeVar

from clients.logon.route import Randomness

J = TypeVar("J")


def chooser(weighted: Sequence[tuple[J, int]], rng: Randomness) -> Callable[[], J]:
    journeys = [journey for journey, _ in weighted]
    sums = list(accumulate(weight for _, weight in weighted))
    if len(journeys) == 1:
        return lambda: journeys[0]
    return lambda: journeys[bisect_right(sums, rng.random() * sums[-1])]
