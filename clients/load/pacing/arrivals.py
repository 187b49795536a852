"""Computes when the arrivals of an open model are due.

Nothing is summed up. In the even model arrival k, from 0, is due where the integral of the rate
reaches k: each stage knows the integral before it exactly, as a fraction, and an arrival is found
by inverting the stage's quadratic. A run of days is as exact in its last second as in its first, in
constant memory.

The poisson model rescales time: exponential steps of mean 1 along the integral are arrivals at the
wanted rate, whatever its shape. Bursts stay whole in both models.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from math import ceil, fsum, log1p, sqrt

import msgspec

from clients.load.scenario import Open, Scenario, Stage
from clients.logon.route import Randomness


class Slope(msgspec.Struct, frozen=True, gc=False):
    """A stage with all values known: `first` is the rate at its start, `before` the number of
    earlier arrivals, fractions included."""

    starts_at: float
    seconds: float
    first: float
    last: float
    before: Fraction

    @property
    def whole(self) -> Fraction:
        """The number of its arrivals. A burst's is its rate."""
        if not self.seconds:
            return Fraction(self.last)
        return (Fraction(self.first) + Fraction(self.last)) / 2 * Fraction(self.seconds)

    def due(self, come: float) -> float:
        """When `come` of its arrivals have come."""
        if not self.seconds:
            return self.starts_at
        steepness = (self.last - self.first) / self.seconds
        rates = self.first + sqrt(max(0.0, self.first * self.first + 2 * steepness * come))
        return self.starts_at + (min(2 * come / rates, self.seconds) if rates else 0.0)


def arrivals(open: Open, rng: Randomness, share: int = 0, shares: int = 1) -> Iterator[float]:
    """When this share's arrivals are due, in seconds since the start, never decreasing: the
    arrivals `share`, `share + shares` and so on. All shares together, with equal `rng`s, are the
    whole model."""
    assert 0 <= share < shares
    if open.arrivals == "poisson":
        return islice(_poisson(slopes(open.stages), rng), share, None, shares)
    return _even(slopes(open.stages), share, shares)


def length(scenario: Scenario) -> float:
    """The seconds in which journeys begin."""
    if scenario.closed:
        return scenario.closed.seconds
    return fsum(stage.seconds for stage in scenario.open.stages) if scenario.open else 0.0


def expected(open: Open) -> float:
    """The number of arrivals: the integral of the rate, and the bursts."""
    return float(sum(slope.whole for slope in slopes(open.stages)))


def slopes(stages: tuple[Stage, ...]) -> Iterator[Slope]:
    """A burst does not change the rate; the rate before the first stage is 0."""
    rate, before = 0.0, Fraction(0)
    for index, stage in enumerate(stages):
        first = rate if stage.start_rate is None else stage.start_rate
        starts_at = fsum(earlier.seconds for earlier in stages[:index])
        slope = Slope(starts_at, stage.seconds, first, stage.rate, before)
        yield slope
        rate = stage.rate if stage.seconds else first
        before += slope.whole


def _even(slopes: Iterator[Slope], share: int, shares: int) -> Iterator[float]:
    for slope in slopes:
        first, end = ceil(slope.before), ceil(slope.before + slope.whole)
        part = float(first - slope.before)
        for number in range(first + (share - first) % shares, end, shares):
            yield slope.due(part + (number - first))


def _poisson(slopes: Iterator[Slope], rng: Randomness) -> Iterator[float]:
    """Each stage draws anew: its arrivals do not depend on the stage before."""
    for slope in slopes:
        whole = float(slope.whole)
        if not slope.seconds:
            yield from (slope.starts_at for _ in range(round(whole)))
            continue
        come = _exponential(rng)
        while come < whole:
            yield slope.due(come)
            come += _exponential(rng)


def _exponential(rng: Randomness) -> float:
    return -log1p(-rng.random())
