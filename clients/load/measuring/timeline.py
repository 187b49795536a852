"""A run second by second, of all workers, in bounded memory.

Beyond `POINTS_MAX` points, each two are joined to one of twice the seconds: a day has 675 points of
128 seconds. A point's latencies are rounded up to eight bits (less than 1 %), so that points can be
joined, and late intervals added, in any order; its greatest latency is exact.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from hdrh.histogram import HdrHistogram

from clients.load.measuring.measures import Interval
from clients.load.measuring.percentiles import recorded
from clients.load.measuring.results import Point, PointOfStep

POINTS_MAX: Final = 1200  # twenty minutes by the second; a chart has fewer pixels
KEPT_BITS: Final = 8

Counts: TypeAlias = dict[int, int]  # of latencies, by microseconds

_pack = msgspec.msgpack.Encoder().encode  # a tenth of a dictionary's memory
_unpack = msgspec.msgpack.Decoder(Counts).decode


class MomentOfStep:
    __slots__ = ("_packed", "failed", "max")

    def __init__(self) -> None:
        self._packed = _pack({})
        self.failed = 0
        self.max = 0

    def add(self, counts: Mapping[int, int], failed: int, longest: int) -> None:
        if counts:
            self._packed = _pack(Counter(self._counts()) + Counter(counts))
        self.failed += failed
        self.max = max(self.max, longest)

    def join(self, other: MomentOfStep) -> None:
        self.add(other._counts(), other.failed, other.max)

    def point(self) -> PointOfStep:
        counts = sorted(self._counts().items())
        count = sum(times for _, times in counts)
        p50, p99 = (min(_at(counts, count * part), self.max) / 1e3 for part in (0.5, 0.99))
        return PointOfStep(count, self.failed, p50, p99, self.max / 1e3)

    def _counts(self) -> Counts:
        return _unpack(self._packed)


class Moment:
    """A point that still grows."""

    __slots__ = ("begun", "dropped", "in_flight", "steps")

    def __init__(self) -> None:
        self.begun = self.dropped = 0
        # By worker: time of the report, and the number.
        self.in_flight: dict[int, tuple[float, int]] = {}
        self.steps: defaultdict[str, MomentOfStep] = defaultdict(MomentOfStep)

    def add(self, interval: Interval) -> None:
        self.begun += interval.begun
        self.dropped += interval.dropped
        self._in_flight(interval.worker, (interval.ends_at, interval.in_flight))

    def join(self, other: Moment) -> None:
        self.begun += other.begun
        self.dropped += other.dropped
        for worker, said in other.in_flight.items():
            self._in_flight(worker, said)
        for name, step in other.steps.items():
            self.steps[name].join(step)

    def point(self, at: float, seconds: float) -> Point:
        return Point(
            at=at,
            begun=self.begun,
            dropped=self.dropped,
            in_flight=sum(count for _, count in self.in_flight.values()),
            steps={name: step.point() for name, step in sorted(self.steps.items())},
            seconds=seconds,
        )

    def _in_flight(self, worker: int, said: tuple[float, int]) -> None:
        self.in_flight[worker] = max(said, self.in_flight.get(worker, said))


class Timeline:
    def __init__(self, points_max: int = POINTS_MAX) -> None:
        self._points_max = points_max
        self._seconds = 1
        self._moments: dict[int, Moment] = {}

    def add(self, interval: Interval, latencies: Mapping[str, HdrHistogram]) -> None:
        """Adds an interval and its decoded `latencies` to the second of the interval's middle: two
        ends that are a second apart may fall into one second. The short last interval of a run goes
        to the second before it."""
        moment = self._moment(interval.ends_at - max(1.0, interval.seconds) / 2)
        moment.add(interval)
        for name, step in interval.steps.items():
            taken = latencies.get(name)
            counts = _counts_of(taken) if taken else {}
            longest = taken.get_max_value() if taken else 0
            moment.steps[name].add(counts, sum(step.errors.values()), longest)

    def points(self) -> list[Point]:
        """In order; a second without intervals has no point."""
        return [
            moment.point(float(place * self._seconds), float(self._seconds))
            for place, moment in sorted(self._moments.items())
        ]

    def _moment(self, at: float) -> Moment:
        second = int(max(0.0, at))
        while second // self._seconds not in self._moments:
            if len(self._moments) < self._points_max:
                self._moments[second // self._seconds] = Moment()
            else:
                self._join()
        return self._moments[second // self._seconds]

    def _join(self) -> None:
        self._seconds *= 2
        joined: defaultdict[int, Moment] = defaultdict(Moment)
        for place, moment in self._moments.items():
            joined[place // 2].join(moment)
        self._moments = dict(joined)


def _counts_of(latencies: HdrHistogram) -> Counts:
    counts: Counts = {}
    for microseconds, count in recorded(latencies):
        dropped = max(0, microseconds.bit_length() - KEPT_BITS)
        upper = microseconds | (1 << dropped) - 1
        counts[upper] = counts.get(upper, 0) + count
    return counts


def _at(counts: list[tuple[int, int]], rank: float) -> int:
    """The value at this rank; 0 for none."""
    for microseconds, count in counts:
        rank -= count
        if rank <= 0:
            return microseconds
    return 0
