"""The scales of a plot: from what is measured to where it is drawn, and the marks in between."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Protocol

import msgspec

NICE_STEPS = (1, 2, 2.5, 5, 10)
CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
DAY = 86_400
DECADES_MARKED_FINELY = 3.5  # beyond, marks between the powers of ten would touch
PERCENTILES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)


class Scale(Protocol):
    """`place` is from 0, the axis' beginning, to 1, its end; `marks` are values."""

    @property
    def marks(self) -> Sequence[float]: ...

    def place(self, value: float) -> float: ...


class Linear(msgspec.Struct, frozen=True):
    low: float
    high: float
    marks: tuple[float, ...]

    def place(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


class Logarithmic(msgspec.Struct, frozen=True):
    """Of values above 0; what is below `low` is drawn at the beginning."""

    low: float
    high: float
    marks: tuple[float, ...]

    def place(self, value: float) -> float:
        return log10(max(value, self.low) / self.low) / log10(self.high / self.low)


class Percentile(msgspec.Struct, frozen=True):
    """From 0 to `high`; each nine takes as much room as the one before it."""

    high: float
    marks: tuple[float, ...]

    def place(self, value: float) -> float:
        return _nines(min(value, self.high)) / _nines(self.high)


def _nines(percentile: float) -> float:
    return -log10(1 - percentile / 100)


def from_nothing(highest: float, marks: int = 5) -> Linear:
    """From 0 to above `highest`, marked at about so many round numbers."""
    highest = highest or 1.0
    rough = highest / marks
    magnitude = 10.0 ** floor(log10(rough))
    step = next(nice * magnitude for nice in NICE_STEPS if nice * magnitude >= rough * 0.999)
    steps = max(1, ceil(highest / step - 1e-9))
    return Linear(0.0, steps * step, tuple(index * step for index in range(steps + 1)))


def of_time(start: float, end: float, marks: int = 8) -> Linear:
    """Seconds, marked as a clock's are."""
    wanted = (end - start) / marks
    step = next((step for step in CLOCK_STEPS if step >= wanted), ceil(wanted / DAY) * DAY)
    first = ceil(start / step)
    values = tuple(float(index * step) for index in range(first, floor(end / step) + 1))
    return Linear(start, end, values)


def of_latencies(values: Sequence[float]) -> Logarithmic:
    """Around all of them (above 0), from one of 1, 2, 5, 10 … to another."""
    lowest, highest = min(values, default=1.0), max(values, default=10.0)
    low = max(nice for nice in _nice_around(lowest) if nice <= lowest * 1.001)
    high = min(nice for nice in _nice_around(highest) if nice >= highest * 0.999)
    if high <= low * 1.001:
        low, high = low / 2, high * 2
    decades = log10(high / low)
    steps = (1, 2, 5) if decades < DECADES_MARKED_FINELY else (1,)
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    marks = (step * 10.0**power for power in powers for step in steps)
    return Logarithmic(low, high, tuple(m for m in marks if low * 0.999 <= m <= high * 1.001))


def _nice_around(value: float) -> list[float]:
    power = floor(log10(value))
    return [nice * 10.0**p for p in (power - 1, power, power + 1) for nice in (1, 2, 5)]


def of_percentiles(highest: float) -> Percentile:
    """As far as the nines that `highest` (below 100) reaches."""
    within = [mark for mark in PERCENTILES if mark <= 90 or mark < highest]
    beyond = [mark for mark in PERCENTILES if mark not in within][:1]
    return Percentile((within + beyond)[-1], (*within, *beyond))
