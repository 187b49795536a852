"""Results of runs that never were."""

from __future__ import annotations

from typing import Any

from clients.load.measuring.results import (
    Generator,
    Latency,
    Point,
    PointOfStep,
    Result,
    StepResult,
)

NOTHING = Latency(mean=0, p50=0, p90=0, p99=0, p999=0, max=0)
CURVE = [(0.0, 4.0), (50.0, 12.3), (90.0, 15.0), (99.0, 31.0), (99.9, 82.0), (100.0, 1250.0)]


def step(name: str = "logon", errors: dict[str, int] | None = None, **fields: Any) -> StepResult:
    sample: dict[str, Any] = {
        "count": 5990,
        "per_second": 99.83,
        "latency": Latency(mean=13.0, p50=12.3, p90=15.0, p99=31.0, p999=82.0, max=1250.0),
        "curve": CURVE,
    }
    errors = errors or {}
    return StepResult(step=name, failed=sum(errors.values()), errors=errors, **(sample | fields))


def failed_step(name: str, errors: dict[str, int]) -> StepResult:
    return step(name, errors, count=0, per_second=0.0, latency=NOTHING, curve=[])


def generator(workers: int = 2, warning: str = "", **fields: Any) -> Generator:
    late = Latency(mean=0.03, p50=0.02, p90=0.1, p99=0.8, p999=2.0, max=3.1)
    sample: dict[str, Any] = {"lateness": late, "busy": 0.45} | fields
    return Generator(workers=workers, warning=warning, **sample)


def point(at: float, dropped: int = 0, seconds: float = 1.0, **steps: PointOfStep) -> Point:
    return Point(at=at, begun=100, dropped=dropped, in_flight=7, steps=steps, seconds=seconds)


def second(count: int = 100, failed: int = 0, p50: float = 12.0, p99: float = 30.0) -> PointOfStep:
    return PointOfStep(count=count, failed=failed, p50=p50, p99=p99, max=p99 * 2)


def result(**fields: Any) -> Result:
    sample: dict[str, Any] = {
        "scenario": "storm",
        "farm": "lab",
        "started_at": 1_700_000_000.0,
        "seconds": 60.0,
        "warm_up_seconds": 0.0,
        "seed": 7,
        "complete": True,
        "begun": 6000,
        "finished": 5990,
        "dropped": 0,
        "steps": [step()],
        "thresholds": [],
        "checks": [],
        "generator": generator(),
        "timeline": [],
    }
    return Result(**(sample | fields))
