"""The charts of a run's page, as SVG: rate and latency over time, latency by percentile.

Elements of step N (its place in `Result.steps`, from 1) have the class `step-N`, by which the
page's stylesheet colours and hides them. Only shared definitions have ids, so that several charts
fit in one page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise
from math import log10, nan
from typing import Any, Final, TypeAlias

import matplotlib
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator

from clients.load.measuring.results import Point, PointOfStep, Result
from clients.load.report import figures
from tsproto.printable import printable

WIDTH, HEIGHT = 880, 320  # points, and user units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 84, 32, 14, 48  # margins; equal, so that charts can be compared
POINTS_AN_INCH = 72
CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
DAY = 86_400
TIME_MARKS = 8
TOOLTIPS_MAX = 240  # across a chart: a narrower strip is too thin for a pointer
HEADROOM = 1.02  # a line along the upper edge would be half hidden
Style: TypeAlias = dict[str, Any]

SOLID: Final[Style] = {"linewidth": 1.8}
DASHED: Final[Style] = {"linewidth": 1.4, "linestyle": (0, (3, 3))}
LINE_OF_FAILED: Final[Style] = {"linewidth": 1.8, "linestyle": (0, (5, 3))}
LINE_OF_DROPPED: Final[Style] = {"linewidth": 1.8, "linestyle": (0, (1, 3))}
PERCENTILES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)
GROUP = re.compile(r'<g id="([^"]*)"(/?)>')
LONG_FRACTION = re.compile(r"(\.\d)\d{4,}")  # of coordinates: a tenth of a unit is enough
TOLD = re.compile(r"told-(\d+)")
# Text is written as SVG text, in the page's font.
SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 12.0,
    "axes.linewidth": 0.0,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

Values: TypeAlias = Sequence[float | None]


class Chart(msgspec.Struct, frozen=True):
    """`name` is unique on a page. `svg` is empty where there is nothing to draw."""

    name: str
    title: str
    description: str
    svg: str


def charts(result: Result) -> list[Chart]:
    return [rate(result), latency(result), percentiles(result)]


def rate(result: Result) -> Chart:
    points = result.timeline
    steps = [step.step for step in result.steps]
    failed = [sum(step.failed for step in point.steps.values()) for point in points]
    dropped = [point.dropped for point in points]
    lines = [
        *(
            (name, f"step-{number}", SOLID, _rates(points, _counts(points, name)))
            for number, name in enumerate(steps, 1)
        ),
        ("failed", "failed", LINE_OF_FAILED, _without_zeros(_rates(points, failed))),
        ("dropped", "dropped", LINE_OF_DROPPED, _without_zeros(_rates(points, dropped))),
    ]

    def told(index: int) -> Iterator[str]:
        for name, _, _, values in lines:
            if (value := values[index]) is not None:
                yield f"{name} {figures.per_second(value)}/s"
        yield f"in flight {figures.count(points[index].in_flight)}"

    def draw(drawing: Drawing) -> None:
        drawing.over_time(points, told)
        for _, classes, style, values in lines:
            drawing.line(classes, _middles(points), values, style)
        highest = max((value for *_, values in lines for value in values if value), default=1.0)
        marks = drawing.axes.yaxis.get_major_locator().tick_values(0, highest * HEADROOM)
        drawing.axes.set_ylim(0, marks[-1])
        drawing.axes.set_ylabel("per second")
        drawing.axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.6g}"))

    return Chart(
        "rate",
        "Rate",
        "Successes of each step a second; failures and dropped arrivals of all steps.",
        _drawn("rate", draw) if points else "",
    )


def latency(result: Result) -> Chart:
    points = result.timeline
    names = [step.step for step in result.steps]
    medians = [_latencies(points, name, lambda step: step.p50) for name in names]
    highs = [_latencies(points, name, lambda step: step.p99) for name in names]
    seen = [took for values in medians + highs for took in values if took]

    def told(index: int) -> Iterator[str]:
        for name in names:
            step = points[index].steps.get(name)
            if step and step.count:
                shown = map(figures.latency, (step.p50, step.p99, step.max))
                yield "{} p50 {}, p99 {}, max {}".format(name, *shown)

    def draw(drawing: Drawing) -> None:
        drawing.over_time(points, told)
        for lines, style in ((medians, DASHED), (highs, SOLID)):
            for number, values in enumerate(lines, 1):
                drawing.line(f"step-{number}", _middles(points), values, style)
        drawing.latencies_upwards(seen)

    return Chart(
        "latency",
        "Latency over time",
        "Each step's p99 (solid) and p50 (dashed), on a logarithmic scale.",
        _drawn("latency", draw) if seen else "",
    )


def percentiles(result: Result) -> Chart:
    curves = [dict(step.curve) for step in result.steps]
    seen = [took for curve in curves for took in curve.values() if took]
    reached = sorted({percentile for curve in curves for percentile in curve})

    def told(percentile: float) -> Iterator[str]:
        for step, curve in zip(result.steps, curves, strict=True):
            if percentile in curve:
                yield f"{step.step} {figures.latency(curve[percentile])}"

    def draw(drawing: Drawing) -> None:
        finest = max((each for each in reached if each < 100), default=0.0)
        marks = [each for each in PERCENTILES if each <= 90 or each < finest]
        marks += [each for each in PERCENTILES if each not in marks][:1]
        places = [_nines(min(percentile, marks[-1])) for percentile in reached]
        edges = [places[0], *((left + right) / 2 for left, right in pairwise(places)), places[-1]]
        for percentile, (left, right) in zip(reached, pairwise(edges), strict=True):
            drawing.strip(left, right, [f"{percentile:.6g} % took at most", *told(percentile)])
        for number, curve in enumerate(curves, 1):
            along = [_nines(min(percentile, marks[-1])) for percentile in curve]
            drawing.line(f"step-{number}", along, [took or None for took in curve.values()], SOLID)
        drawing.axes.set_xlim(0, _nines(marks[-1]))
        drawing.axes.set_xticks([_nines(each) for each in marks], [f"{each:g} %" for each in marks])
        drawing.axes.set_xlabel("percentile")
        drawing.latencies_upwards(seen)

    return Chart(
        "percentiles",
        "Latency by percentile",
        "The latency that so many of a step's successes did not exceed, in the whole run.",
        _drawn("percentiles", draw) if seen else "",
    )


# --- drawing --------------------------------------------------------------------------------------


class Drawing:
    """A chart in progress. A strip is an upright part of it with a tooltip."""

    def __init__(self) -> None:
        self._figure = Figure(figsize=(WIDTH / POINTS_AN_INCH, HEIGHT / POINTS_AN_INCH))
        self._figure.patch.set_visible(False)
        across, upwards = (WIDTH - LEFT - RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / HEIGHT
        self.axes: Axes = self._figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, across, upwards))
        self.axes.patch.set_visible(False)
        self.axes.grid(gid="grid", linewidth=1.0)
        self.axes.tick_params(which="both", length=0, pad=6)
        self._tooltips: list[Sequence[str]] = []

    def line(self, classes: str, x: Sequence[float], y: Values, style: Style) -> None:
        """Broken where there is no value; a value between two gaps is a dot."""
        around = [None, *y, None]
        alone = [
            place
            for place, value in enumerate(y)
            if value is not None and around[place] is None and around[place + 2] is None
        ]
        known = [nan if value is None else value for value in y]
        self.axes.plot(
            x,
            known,
            gid=f"line {classes}",
            marker="o",
            markersize=5,
            markevery=alone,
            solid_capstyle="round",
            **style,
        )

    def strip(self, left: float, right: float, told: Sequence[str]) -> None:
        self.axes.axvspan(left, right, gid=f"strip told-{len(self._tooltips)}", zorder=9)
        self._tooltips.append(told)

    def over_time(self, points: Sequence[Point], told: Callable[[int], Iterator[str]]) -> None:
        """The axis of time, and tooltips: one for each point, or in a long run for every n-th."""
        apart = -(-len(points) // TOOLTIPS_MAX)
        start, end = points[0].at, points[-1].at + points[-1].seconds
        for index in range(0, len(points), apart):
            at, seconds = points[index].at, points[index].seconds
            span = f"{figures.clock(at)} to {figures.clock(at + seconds)}"
            self.strip(at, min(at + seconds * apart, end), [span, *told(index)])
        wanted = (end - start) / TIME_MARKS
        step = next((step for step in CLOCK_STEPS if step >= wanted), -(-wanted // DAY) * DAY)
        self.axes.set_xlim(start, end)
        self.axes.xaxis.set_major_locator(MultipleLocator(step))
        self.axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: figures.clock(at)))
        self.axes.set_xlabel("time since the run began")

    def latencies_upwards(self, milliseconds: Sequence[float]) -> None:
        self.axes.set_yscale("log")
        self.axes.set_ylim(min(milliseconds) / 1.1, max(milliseconds) * 1.1)
        is_wide = max(milliseconds) > 3000 * min(milliseconds)  # 2 and 5 would touch the tens
        self.axes.yaxis.set_major_locator(LogLocator(subs=(1,) if is_wide else (1, 2, 5)))
        self.axes.yaxis.set_major_formatter(FuncFormatter(lambda took, _: _mark_of_latency(took)))
        self.axes.yaxis.set_minor_locator(LogLocator(subs=()))
        self.axes.set_ylabel("latency")

    def svg(self, name: str) -> str:
        """The chart, named and described by the elements `name-title` and `name-description`."""
        written = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": name}):
            self._figure.savefig(written, format="svg", metadata=NO_METADATA)
        _, _, drawn = LONG_FRACTION.sub(r"\1", written.getvalue()).partition("<svg ")
        named = f'<svg role="img" aria-labelledby="{name}-title {name}-description" '
        return named + GROUP.sub(self._classed, drawn)

    def _classed(self, group: re.Match[str]) -> str:
        """Turns our names of groups into classes, and drops matplotlib's numbered ones."""
        name = group[1]
        if name.split(" ")[0] not in ("line", "strip", "grid"):
            return f"<g{group[2]}>"
        if not (told := TOLD.search(name)):
            return f'<g class="{name}"{group[2]}>'
        tooltip = "\n".join(map(printable, self._tooltips[int(told[1])]))
        return f'<g class="strip"><title>{escape(tooltip)}</title>'


def _drawn(name: str, draw: Callable[[Drawing], None]) -> str:
    with matplotlib.rc_context(SETTINGS):
        drawing = Drawing()
        draw(drawing)
        return drawing.svg(name)


# --- values ---------------------------------------------------------------------------------------


def _middles(points: Sequence[Point]) -> list[float]:
    return [point.at + point.seconds / 2 for point in points]


def _counts(points: Sequence[Point], name: str) -> list[int]:
    steps = [point.steps.get(name) for point in points]
    return [step.count if step else 0 for step in steps]


def _rates(points: Sequence[Point], counts: Sequence[int]) -> Values:
    return [count / point.seconds for point, count in zip(points, counts, strict=True)]


def _without_zeros(values: Values) -> Values:
    return [value or None for value in values]


def _latencies(
    points: Sequence[Point], name: str, latency_of: Callable[[PointOfStep], float]
) -> Values:
    steps = [point.steps.get(name) for point in points]
    return [latency_of(step) if step and step.count else None for step in steps]


def _nines(percentile: float) -> float:
    """A scale on which each further nine takes as much room as the one before."""
    return -log10(1 - percentile / 100)


def _mark_of_latency(milliseconds: float) -> str:
    value, unit = figures.latency(milliseconds).split(" ")
    return f"{value.rstrip('0').rstrip('.') if '.' in value else value} {unit}"
