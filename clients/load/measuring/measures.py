"""Measures of one worker: durations of steps, and errors by code.

Latencies are kept in HDR histograms of whole microseconds with three exact digits, from 1 µs to one
hour; longer ones count as one hour. A worker reports an `Interval` every second; the intervals of
all workers are added to `Totals` in any order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import msgspec
from hdrh.histogram import HdrHistogram

from tsproto.errors import ErrorCode

LOWEST_MICROSECONDS = 1
HIGHEST_MICROSECONDS = 3_600_000_000
DIGITS = 3
# Values below 2**11 µs are counted exactly, which is what a histogram of three digits does.
EXACT_BITS = 11
EXACT_MICROSECONDS = (1 << EXACT_BITS) - 1


def histogram() -> HdrHistogram:
    return HdrHistogram(LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS, DIGITS)


class StepInterval(msgspec.Struct, frozen=True):
    """The encoded histogram of a step's successes, empty for none; its failures by code name."""

    latencies: bytes
    errors: dict[str, int]


class Interval(msgspec.Struct, frozen=True):
    """One worker's `seconds` before `ends_at` (seconds since the run began). `lateness` is the
    encoded histogram of how late arrivals began, empty for none; it is the generator's own
    delay."""

    worker: int
    ends_at: float
    seconds: float
    steps: dict[str, StepInterval]
    begun: int
    finished: int
    dropped: int
    in_flight: int
    lateness: bytes
    cpu_seconds: float


class Latencies:
    """Counts of latencies, cheap to add to; encoded as a histogram only when taken."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        microseconds = int(seconds * 1e6)
        if microseconds > EXACT_MICROSECONDS:  # fewer distinct values, as exact as the histogram
            rounded = microseconds.bit_length() - EXACT_BITS
            microseconds = microseconds >> rounded << rounded
        counts = self._counts
        counts[microseconds] = counts.get(microseconds, 0) + 1

    def take(self) -> bytes:
        """The encoded histogram of all since the last call, empty for none."""
        if not self._counts:
            return b""
        taken = histogram()
        for microseconds, count in self._counts.items():
            within = min(max(microseconds, LOWEST_MICROSECONDS), HIGHEST_MICROSECONDS)
            taken.record_value(within, count)
        self._counts = {}
        encoded: bytes = taken.encode()
        return encoded


class Measures:
    """Collects for one worker; cheap enough for 100,000 steps a second. `cpu_clock` gives the
    seconds of CPU time that its process has used."""

    def __init__(self, worker: int, cpu_clock: Callable[[], float]) -> None:
        self._worker = worker
        self._cpu_clock = cpu_clock
        self._latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        self._errors: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lateness = Latencies()
        self._begun = self._finished = self._dropped = 0
        self._cpu_seconds = self._cpu_clock()
        self._taken_at = 0.0

    def latencies(self, step: str) -> Latencies:
        """The counts of a step's successes, for a driver that adds many."""
        return self._latencies[step]

    def took(self, step: str, seconds: float) -> None:
        self.latencies(step).add(seconds)

    def failed(self, step: str, code: ErrorCode) -> None:
        self._errors[step][code.name] += 1

    def begun(self, late_seconds: float) -> None:
        """A journey has begun, `late_seconds` after it was due."""
        self._begun += 1
        self._lateness.add(late_seconds)

    def finished(self) -> None:
        self._finished += 1

    def dropped(self) -> None:
        """An arrival was dropped."""
        self._dropped += 1

    def forget(self, elapsed: float = 0.0) -> None:
        """Drop all measures so far, `elapsed` seconds after the run began."""
        self.take(elapsed, 0)

    def take(self, elapsed: float, in_flight: int) -> Interval:
        """All since the last call; `elapsed` is in seconds since the run began."""
        cpu_seconds = self._cpu_clock()
        steps = {name: self._step(name) for name in sorted({*self._latencies, *self._errors})}
        interval = Interval(
            worker=self._worker,
            ends_at=elapsed,
            seconds=elapsed - self._taken_at,
            steps={name: step for name, step in steps.items() if step.latencies or step.errors},
            begun=self._begun,
            finished=self._finished,
            dropped=self._dropped,
            in_flight=in_flight,
            lateness=self._lateness.take(),
            cpu_seconds=cpu_seconds - self._cpu_seconds,
        )
        self._errors.clear()
        self._begun = self._finished = self._dropped = 0
        self._cpu_seconds, self._taken_at = cpu_seconds, elapsed
        return interval

    def _step(self, name: str) -> StepInterval:
        found = self._latencies.get(name)
        return StepInterval(found.take() if found else b"", dict(self._errors.get(name, {})))
