"""The result of a run: the content of `--json`, and the source of tables and page.

Latencies are milliseconds, rates per second, times seconds since the run began.
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
    """`count` is of successes, `errors` of failures by code. `curve` has pairs of a percentile (0
    to 100) and its latency."""

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
    """`seconds` of the run (1, more in a long run), of all workers. Counts are sums, `in_flight` is
    the value at the end."""

    at: float
    begun: int
    dropped: int
    in_flight: int
    steps: dict[str, PointOfStep]
    seconds: float = 1.0


class ThresholdResult(msgspec.Struct, frozen=True):
    """`measured` is in the threshold's unit; None, which fails it, when the step never happened."""

    expression: str
    measured: float | None
    unit: str
    passed: bool


class CheckResult(msgspec.Struct, frozen=True):
    """A rule of the farm. `passed` is None when it could not be checked; `detail` says why."""

    rule: str
    passed: bool | None
    detail: str


class Generator(msgspec.Struct, frozen=True):
    """The generator itself: lateness of arrivals (milliseconds), CPU use of its processes (1 is a
    whole core each), and a warning when it was the bottleneck, else empty."""

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
    """Measured time, after the warm-up; 0 for a run that was stopped before."""
    warm_up_seconds: float
    seed: int
    """Seed of all random choices; it repeats them in another run."""
    complete: bool
    """False for a run that was stopped early."""
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
        """Steps were tried and none succeeded: the run fails without any threshold."""
        return self.failed > 0 and not any(step.count for step in self.steps)
