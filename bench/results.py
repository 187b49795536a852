"""One row of the comparison: a figure of ours, the same of a peer, and their ratio.

Every figure is the median of interleaved repetitions, with its spread: on a shared machine only a
ratio within one run is reliable.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Median, lowest and highest value of the repetitions."""

    median: float
    low: float
    high: float
    repetitions: int


def spread(values: Sequence[float]) -> Spread:
    """`values` has at least one."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


class Aim(msgspec.Struct, frozen=True):
    """Bounds the figure, or with `of_ratio` its ratio to the peer's; `least` is the lower bound."""

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
        """None without a peer to compare with."""
        value = ratio if self.of_ratio else ours
        if value is None:
            return None
        if self.least is not None and value < self.least:
            return False
        return value <= self.bound if self.at_most else value >= self.bound


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is of ours to the peer's, pair by pair of the interleaved repetitions. Tables leave
    out details. `bench` is filled in when the bench has run."""

    bench: str = ""
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


def row(
    case: str,
    figure: str,
    unit: str,
    ours: Sequence[float],
    peer: str = "",
    theirs: Sequence[float] | None = None,
    aim: Aim | None = None,
    note: str = "",
) -> Row:
    """A figure, and a peer's if there is one: as many values, in the order in which they
    alternated. A `peer` without values is missing on this machine, and the row says so."""
    measured, ratio = spread(ours), None
    if theirs is not None:
        ratio = spread([mine / other for mine, other in zip(ours, theirs, strict=True)])
    if peer and theirs is None:
        note = f"not compared: {peer} is missing"
    return Row(
        case=case,
        figure=figure,
        unit=unit,
        ours=measured,
        peer=peer if theirs is not None else "",
        beside=spread(theirs) if theirs is not None else None,
        ratio=ratio,
        aim=str(aim) if aim else "",
        met=aim.is_met(measured.median, ratio.median if ratio else None) if aim else None,
        note=note,
    )
