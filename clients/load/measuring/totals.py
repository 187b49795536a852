"""Adds the intervals of all workers, for progress and for the result.

Intervals come in any order from any number of workers. Memory is bounded: a histogram for each
step, and the timeline (`clients.load.measuring.timeline`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram

from clients.load.measuring import percentiles
from clients.load.measuring.measures import Interval, histogram
from clients.load.measuring.results import (
    CheckResult,
    Generator,
    Result,
    StepResult,
    ThresholdResult,
)
from clients.load.measuring.timeline import Timeline
from clients.load.scenario import ACTS, Scenario

RECENT_SECONDS: Final = 3.0  # for the rates of a glimpse
ORDER: Final = {
    act: place
    for place, act in enumerate(dict.fromkeys(act for acts in ACTS.values() for act in acts))
}

# In an open model latencies of first steps count from when the arrival was due, so they include the
# generator's own lateness. A tenth of the fastest step's median is negligible. Two milliseconds are
# ordinary on a busy machine, or with a loop's own timers.
LATENESS_SHARE: Final = 0.1
LATENESS_MS: Final = 2.0
# Above this a worker lacks CPU, and sends less than the scenario demands.
BUSY_SHARE: Final = 0.9
# First steps of users' journeys: written in the scenario, or inserted to get a session.
CONNECTING: Final = frozenset({"first-visit", "logon", "roam", "reconnect", "renew"})


class GlimpseOfStep(msgspec.Struct, frozen=True):
    """`per_second` is of the last RECENT_SECONDS. Latencies are milliseconds, 0 for none."""

    step: str
    per_second: float
    count: int
    failed: int
    p50: float
    p99: float


class Glimpse(msgspec.Struct, frozen=True):
    """The state of a run. `busy` is the CPU use of the busiest worker, 1 for a whole core."""

    seconds: float
    begun: int
    finished: int
    dropped: int
    in_flight: int
    steps: list[GlimpseOfStep]
    lateness_p99_ms: float
    busy: float


class StepTotals:
    """One step, of all workers. `latencies` are of successes, in microseconds."""

    def __init__(self) -> None:
        self.latencies = histogram()
        self.errors: Counter[str] = Counter()

    @property
    def count(self) -> int:
        count: int = self.latencies.get_total_count()
        return count

    @property
    def failed(self) -> int:
        return self.errors.total()


class WorkerTotals:
    """One worker's totals. Times are seconds since the run began."""

    def __init__(self) -> None:
        self.began_at = inf
        self.ended_at = 0.0
        self.in_flight = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._recent: list[tuple[float, float, Mapping[str, int]]] = []

    def add(self, interval: Interval, counts: Mapping[str, int]) -> None:
        self.began_at = min(self.began_at, interval.ends_at - interval.seconds)
        if interval.ends_at >= self.ended_at:
            self.ended_at, self.in_flight = interval.ends_at, interval.in_flight
        self.seconds += interval.seconds
        self.cpu_seconds += interval.cpu_seconds
        self._recent.append((interval.ends_at, interval.seconds, counts))
        self._recent = self._since(self.ended_at - RECENT_SECONDS)

    def rates(self, now: float) -> dict[str, float]:
        """Successes a second of each step, in the last RECENT_SECONDS before `now`."""
        recent = self._since(now - RECENT_SECONDS)
        seconds = sum(seconds for _, seconds, _ in recent)
        counts: Counter[str] = Counter()
        for _, _, found in recent:
            counts.update(found)
        return {step: count / seconds for step, count in counts.items()} if seconds else {}

    @property
    def busy(self) -> float:
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    def _since(self, moment: float) -> list[tuple[float, float, Mapping[str, int]]]:
        return [recent for recent in self._recent if recent[0] > moment]


class Totals:
    """`lateness` is of the begin of arrivals, in microseconds."""

    def __init__(self) -> None:
        self.begun = self.finished = self.dropped = 0
        self.lateness = histogram()
        self._steps: defaultdict[str, StepTotals] = defaultdict(StepTotals)
        self._workers: defaultdict[int, WorkerTotals] = defaultdict(WorkerTotals)
        self._timeline = Timeline()

    def add(self, interval: Interval) -> None:
        latencies = {
            name: HdrHistogram.decode(step.latencies)
            for name, step in interval.steps.items()
            if step.latencies
        }
        for name, step in interval.steps.items():
            total = self._steps[name]
            total.errors.update(step.errors)
            if name in latencies:
                total.latencies.add(latencies[name])
        if interval.lateness:
            self.lateness.decode_and_add(interval.lateness)
        self.begun += interval.begun
        self.finished += interval.finished
        self.dropped += interval.dropped
        counts = {name: taken.get_total_count() for name, taken in latencies.items()}
        self._workers[interval.worker].add(interval, counts)
        self._timeline.add(interval, latencies)

    @property
    def steps(self) -> dict[str, StepTotals]:
        """In the order of a journey; steps that are not acts come last."""
        names = sorted(self._steps, key=lambda name: (ORDER.get(name, len(ORDER)), name))
        return {name: self._steps[name] for name in names}

    @property
    def ended_at(self) -> float:
        """Seconds since the run began."""
        return max((worker.ended_at for worker in self._workers.values()), default=0.0)

    @property
    def seconds(self) -> float:
        """The measured time, without the warm-up."""
        began_at = min((worker.began_at for worker in self._workers.values()), default=0.0)
        return self.ended_at - began_at

    def now(self) -> Glimpse:
        rates: Counter[str] = Counter()
        for worker in self._workers.values():
            rates.update(worker.rates(self.ended_at))
        return Glimpse(
            seconds=self.ended_at,
            begun=self.begun,
            finished=self.finished,
            dropped=self.dropped,
            in_flight=sum(worker.in_flight for worker in self._workers.values()),
            steps=[_glimpse(name, step, rates[name]) for name, step in self.steps.items()],
            lateness_p99_ms=percentiles.latency(self.lateness).p99,
            busy=self._busiest,
        )

    def result(
        self,
        scenario: Scenario,
        farm_name: str,
        started_at: float,
        complete: bool,
        thresholds: Sequence[ThresholdResult],
        checks: Sequence[CheckResult],
        seed: int = 0,
    ) -> Result:
        steps = [_result(name, step, self.seconds) for name, step in self.steps.items()]
        return Result(
            scenario=scenario.name,
            farm=farm_name,
            started_at=started_at,
            seconds=self.seconds,
            warm_up_seconds=scenario.warm_up_seconds,
            seed=seed,
            complete=complete,
            begun=self.begun,
            finished=self.finished,
            dropped=self.dropped,
            steps=steps,
            thresholds=list(thresholds),
            checks=list(checks),
            generator=self._generator(scenario, steps),
            timeline=self._timeline.points(),
        )

    @property
    def _busiest(self) -> float:
        return max((worker.busy for worker in self._workers.values()), default=0.0)

    def _generator(self, scenario: Scenario, steps: Sequence[StepResult]) -> Generator:
        seconds = sum(worker.seconds for worker in self._workers.values())
        cpu_seconds = sum(worker.cpu_seconds for worker in self._workers.values())
        lateness = percentiles.latency(self.lateness)
        first = first_steps(scenario)
        medians = [step.latency.p50 for step in steps if step.count and step.step in first]
        # In a closed model steps count from their begin.
        late_ms = lateness.p99 if scenario.open else 0.0
        return Generator(
            workers=len(self._workers),
            lateness=lateness,
            busy=cpu_seconds / seconds if seconds else 0.0,
            warning=_warning(late_ms, min(medians, default=0.0), self._busiest),
        )


def _glimpse(name: str, step: StepTotals, per_second: float) -> GlimpseOfStep:
    so_far = percentiles.latency(step.latencies)
    return GlimpseOfStep(name, per_second, step.count, step.failed, so_far.p50, so_far.p99)


def _result(name: str, step: StepTotals, seconds: float) -> StepResult:
    return StepResult(
        step=name,
        count=step.count,
        failed=step.failed,
        per_second=step.count / seconds if seconds else 0.0,
        latency=percentiles.latency(step.latencies),
        errors=dict(sorted(step.errors.items())),
        curve=percentiles.curve(step.latencies),
    )


def first_steps(scenario: Scenario) -> frozenset[str]:
    """The steps that are timed from when a journey was due."""
    if scenario.drives == "users":
        return CONNECTING
    return frozenset(journey.acts[0].do for journey in scenario.journeys)


def _warning(late_ms: float, fastest_ms: float, busiest: float) -> str:
    is_late = late_ms > max(LATENESS_MS, LATENESS_SHARE * fastest_ms)
    late = f"began arrivals {late_ms:.1f} ms late (p99)"
    if busiest > BUSY_SHARE:
        also = f", and it {late}" if is_late else ""
        return (
            "the generator was the bottleneck: a worker was busy for"
            f" {100 * busiest:.0f} % of its time{also}; add --workers"
        )
    if is_late:
        return (
            f"the generator {late}, which is within the latencies, though no worker was busy: this"
            " machine had other things to do; give the generator cores of its own"
        )
    return ""
