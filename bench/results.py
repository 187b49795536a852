"""One line of the comparison: a figure of ours, the same of a peer's, and their ratio.

Every figure is the median of interleaved repetitions, and its spread is kept: on a machine that
others use as well a single number says nothing, and only a ratio of the same run says much.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The median of so many repetitions, the lowest and the highest."""

    median: float
    low: float
    high: float
    repetitions: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


class Aim(msgspec.Struct, frozen=True):
    """What the figure, or with `of_ratio` the ratio to the peer's, should reach; with `least` it
    should be between the two."""

    bound: float
    at_most: bool = True
    of_ratio: bool = True
    least: float | None = None

    def __str__(self) -> str:
        times = " × the peer's" if self.of_ratio else ""
        if self.least is not None:
            return f"{self.least:g} to {self.bound:g}{times}"
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}{times}"

    def is_met(self, ours: float, ratio: float | None) -> bool | None:
        """None where there is no peer to compare with."""
        value = ratio if self.of_ratio else ours
        if value is None:
            return None
        if self.least is not None and value < self.least:
            return False
        return value <= self.bound if self.at_most else value >= self.bound


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is ours through the peer's, pair by pair of the interleaved repetitions. A detail is
    kept, and not shown in tables."""

    bench: str
    case: str
    figure: str
    unit: str
    ours: Spread
    peer: str = ""
    beside: Spread | None = None
    ratio: Spread | None = None
    aim: str = ""
    met: bool | None = None
    note: str = ""
    is_detail: bool = False


def alone(
    bench: str, case: str, figure: str, unit: str, ours: Sequence[float], *, note: str = ""
) -> Row:
    """A figure that has no peer."""
    return Row(bench=bench, case=case, figure=figure, unit=unit, ours=spread(ours), note=note)


def within(
    bench: str, case: str, figure: str, unit: str, ours: Sequence[float], aim: Aim, note: str = ""
) -> Row:
    """A figure without a peer that has an aim of its own."""
    measured = spread(ours)
    return Row(
        bench=bench,
        case=case,
        figure=figure,
        unit=unit,
        ours=measured,
        aim=str(aim),
        met=aim.is_met(measured.median, None),
        note=note,
    )


def beside(
    bench: str,
    case: str,
    figure: str,
    unit: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    aim: Aim | None = None,
    note: str = "",
) -> Row:
    """A figure and a peer's; the two have as many values, in the order in which they alternated."""
    measured = spread(ours)
    ratio = spread([mine / other for mine, other in zip(ours, theirs, strict=True)])
    return Row(
        bench=bench,
        case=case,
        figure=figure,
        unit=unit,
        ours=measured,
        peer=peer,
        beside=spread(theirs),
        ratio=ratio,
        aim=str(aim) if aim else "",
        met=aim.is_met(measured.median, ratio.median) if aim else None,
        note=note,
    )
