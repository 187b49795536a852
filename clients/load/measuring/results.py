"""What a run found, as `--json` prints it and as tables and pages are drawn from it.

Latencies are milliseconds, rates are per second, times are seconds since the run began.
"""

from __future__ import annotations

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds; all 0 where nothing succeeded."""

    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class StepResult(msgspec.Struct, frozen=True):
    """`count` succeeded, `errors` counts those that failed by code. `curve` is pairs of a
    percentile (0 to 100) and its latency."""

    step: str
    count: int
    failed: int
    per_second: float
    latency: Latency
    errors: dict[str, int]
    curve: list[tuple[float, float]]


class PointOfStep(msgspec.Struct, frozen=True):
    count: int
    failed: int
    p50: float
    p99: float
    max: float


class Point(msgspec.Struct, frozen=True):
    """`seconds` of the run, all workers together: one, or more of a long run. Counts are of all of
    them, `in_flight` is at their end."""

    at: float
    begun: int
    dropped: int
    in_flight: int
    steps: dict[str, PointOfStep]
    seconds: float = 1.0


class ThresholdResult(msgspec.Struct, frozen=True):
    """`measured` is in the threshold's own unit; None: its step never happened, which fails it."""

    expression: str
    measured: float | None
    unit: str
    passed: bool


class CheckResult(msgspec.Struct, frozen=True):
    """A rule of the farm's, and what was seen. `passed` is None where it could not be checked, and
    `detail` says why."""

    rule: str
    passed: bool | None
    detail: str


class Generator(msgspec.Struct, frozen=True):
    """The generator itself: how much later than due it began arrivals (milliseconds), how busy its
    processes were (share of a core each, 1 is all of it), and a warning where it was the
    bottleneck, empty where it was not."""

    workers: int
    lateness: Latency
    busy: float
    warning: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    scenario: str
    farm: str
    started_at: float
    """Unix seconds."""
    seconds: float
    """How long was measured, after the warm-up; 0 where it was stopped before."""
    warm_up_seconds: float
    seed: int
    """Of all chances: a run that is given it has the same ones."""
    complete: bool
    """False where it was stopped before its end."""
    begun: int
    finished: int
    dropped: int
    steps: list[StepResult]
    thresholds: list[ThresholdResult]
    checks: list[CheckResult]
    generator: Generator
    timeline: list[Point]

    @property
    def passed(self) -> bool:
        missed = any(not each.passed for each in self.thresholds)
        broken = any(each.passed is False for each in self.checks)
        return not (missed or broken or self.all_failed)

    @property
    def failed(self) -> int:
        return sum(step.failed for step in self.steps)

    @property
    def all_failed(self) -> bool:
        """Steps were tried and none succeeded: that is good enough for no threshold."""
        return self.failed > 0 and not any(step.count for step in self.steps)
