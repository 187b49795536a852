"""The plots of a run's page: rate and latency over time, and latency by percentile.

What belongs to a step is of the classes `c1` to `c8`, its colour, and `step-N`, by which it can be
hidden; N is its place in `Result.steps`, from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from clients.load.measuring.results import Point, PointOfStep, Result
from clients.load.report import axes, figures, svg
from clients.load.report.stylesheet import COLOURS

TOOLTIPS_MAX = 240  # across a plot: a narrower strip could not be pointed at
HEADROOM = 1.02  # above the highest rate: a line along the plot's edge would be half hidden


class Plot(msgspec.Struct, frozen=True):
    """`svg` is empty where there is nothing to draw."""

    title: str
    description: str
    svg: str


class Series(msgspec.Struct, frozen=True):
    """A value for each point of the timeline, None where there is none."""

    name: str
    classes: str
    values: list[float | None]


def plots(result: Result) -> list[Plot]:
    return [rate(result), latency(result), percentiles(result)]


def classes_of(index: int) -> str:
    return f"c{index % COLOURS + 1} step-{index + 1}"


def rate(result: Result) -> Plot:
    title = "Rate"
    description = "Successes of each step a second; what failed and was dropped, all steps."
    points = result.timeline
    if not points:
        return Plot(title, description, "")
    of_steps = [
        Series(step.step, classes_of(index), _rates(points, _counts(points, step.step)))
        for index, step in enumerate(result.steps)
    ]
    failed = [sum(step.failed for step in point.steps.values()) for point in points]
    dropped = [point.dropped for point in points]
    series = [
        *of_steps,
        Series("failed", "failed", _without_zeros(_rates(points, failed))),
        Series("dropped", "dropped", _without_zeros(_rates(points, dropped))),
    ]
    highest = max((value for each in series for value in each.values if value), default=0.0)
    upright = svg.Axis("per second", axes.from_nothing(highest * HEADROOM), _mark_of_rate)
    frame = svg.Frame("rate", title, description, _time(points), upright)

    def told(index: int) -> list[str]:
        rates = [(each.name, each.values[index]) for each in series]
        said = [f"{name} {figures.per_second(rate)}/s" for name, rate in rates if rate is not None]
        return [*said, f"in flight {figures.count(points[index].in_flight)}"]

    return Plot(title, description, _over_time(frame, points, series, told))


def latency(result: Result) -> Plot:
    title = "Latency over time"
    description = "Each step's p99 (solid) and p50 (dashed), on a logarithmic scale."
    points = result.timeline
    names = [step.step for step in result.steps]
    medians = [_latencies(points, name, lambda step: step.p50) for name in names]
    highs = [_latencies(points, name, lambda step: step.p99) for name in names]
    seen = [took for values in medians + highs for took in values if took]
    if not seen:
        return Plot(title, description, "")
    series = [
        Series(name, f"{classes_of(index)}{more}", values[index])
        for values, more in ((medians, " lower"), (highs, ""))
        for index, name in enumerate(names)
    ]
    upright = svg.Axis("latency", axes.of_latencies(seen), _mark_of_latency)
    frame = svg.Frame("latency", title, description, _time(points), upright)

    def told(index: int) -> list[str]:
        steps = [(name, points[index].steps.get(name)) for name in names]
        return [_told_of(name, step) for name, step in steps if step and step.count]

    return Plot(title, description, _over_time(frame, points, series, told))


def percentiles(result: Result) -> Plot:
    title = "Latency by percentile"
    description = "How many of each step's successes took so long at most, in the whole run."
    curves = [[(p, took) for p, took in step.curve if took > 0] for step in result.steps]
    if not any(curves):
        return Plot(title, description, "")
    reached = max((p for curve in curves for p, _ in curve if p < 100), default=0.0)
    frame = svg.Frame(
        "percentiles",
        title,
        description,
        svg.Axis("percentile", axes.of_percentiles(reached), lambda value: f"{value:.6g} %"),
        svg.Axis(
            "latency",
            axes.of_latencies([took for curve in curves for _, took in curve]),
            _mark_of_latency,
        ),
    )
    lines = [
        svg.line(frame, classes_of(index), curve) for index, curve in enumerate(curves) if curve
    ]
    dots = [
        svg.dot(
            frame,
            classes_of(index),
            percentile,
            took,
            f"{result.steps[index].step}: {percentile:.6g} % within {figures.latency(took)}",
        )
        for index, curve in enumerate(curves)
        for percentile, took in curve
    ]
    return Plot(title, description, svg.plot(frame, lines + dots))


# --- over time ------------------------------------------------------------------------------------


def _over_time(
    frame: svg.Frame,
    points: Sequence[Point],
    series: Sequence[Series],
    told: Callable[[int], list[str]],
) -> str:
    middles = [point.at + point.seconds / 2 for point in points]
    lines = [
        svg.line(frame, each.classes, list(zip(middles, each.values, strict=True)))
        for each in series
    ]
    return svg.plot(frame, [*lines, *_strips(frame, points, told)])


def _strips(
    frame: svg.Frame, points: Sequence[Point], told: Callable[[int], list[str]]
) -> Iterator[str]:
    """Each tells of its first point alone; there are fewer strips than points in a long run."""
    apart = -(-len(points) // TOOLTIPS_MAX)
    for index in range(0, len(points), apart):
        point = points[index]
        span = f"{figures.clock(point.at)} to {figures.clock(point.at + point.seconds)}"
        end = point.at + point.seconds * apart
        yield svg.strip(frame, point.at, end, [span, *told(index)])


def _time(points: Sequence[Point]) -> svg.Axis:
    """From the first point's beginning to the last one's end; there is one at least."""
    scale = axes.of_time(points[0].at, points[-1].at + points[-1].seconds)
    return svg.Axis("time since the run began", scale, figures.clock)


def _counts(points: Sequence[Point], name: str) -> list[int]:
    steps = [point.steps.get(name) for point in points]
    return [step.count if step else 0 for step in steps]


def _rates(points: Sequence[Point], counts: Sequence[int]) -> list[float | None]:
    return [count / point.seconds for point, count in zip(points, counts, strict=True)]


def _without_zeros(values: Sequence[float | None]) -> list[float | None]:
    return [value or None for value in values]


def _latencies(
    points: Sequence[Point], name: str, latency_of: Callable[[PointOfStep], float]
) -> list[float | None]:
    steps = [point.steps.get(name) for point in points]
    return [latency_of(step) if step and step.count else None for step in steps]


def _told_of(name: str, step: PointOfStep) -> str:
    p50, p99, longest = (figures.latency(each) for each in (step.p50, step.p99, step.max))
    return f"{name} p50 {p50}, p99 {p99}, max {longest}"


# --- marks ----------------------------------------------------------------------------------------


def _mark_of_rate(rate: float) -> str:
    return _without_end(figures.digits(rate))


def _mark_of_latency(milliseconds: float) -> str:
    value, unit = figures.latency(milliseconds).split(" ")
    return f"{_without_end(value)} {unit}"


def _without_end(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
