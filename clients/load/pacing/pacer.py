"""Begins journeys when a scenario's open or closed model wants them, by one timer.

All moments are seconds of the worker's monotonic clock. A pace decides; the pacer calls it when a
journey is due or has ended, and reports the end of the last one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

from clients.load.measuring.measures import Measures
from clients.load.pacing import Driver
from clients.load.scenario import Closed

BATCH = 256  # journeys of a burst that begin before the loop reads answers again
RETRY_SECONDS = 1.0  # until a user of a closed model tries again after the driver had no room


class Timer(Protocol):
    """Calls back once, at a moment of the monotonic clock. A new moment replaces the last one."""

    def set(self, at: float, callback: Callable[[], None]) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None:
        """Cancel, and free what the timer holds."""
        ...


class OpenPace:
    """Arrivals at fixed moments, independent of how long journeys take; each is timed from when it
    was due. An arrival that finds `in_flight_max` journeys under way is dropped."""

    def __init__(
        self, arrivals: Iterator[float], in_flight_max: int, driver: Driver, measures: Measures
    ) -> None:
        self._arrivals = arrivals
        self._in_flight_max = in_flight_max
        self._driver = driver
        self._measures = measures
        self._next = next(arrivals, None)

    def next_due(self) -> float | None:
        """When the next journey is due; None: never."""
        return self._next

    def begin_due(self, now: float) -> None:
        for _ in range(BATCH):
            due = self._next
            if due is None or due > now:
                return
            if self._driver.in_flight < self._in_flight_max and self._driver.begin(due):
                self._measures.begun(now - due)
            else:
                self._measures.dropped()
            self._next = next(self._arrivals, None)

    def on_finished(self, now: float) -> None:
        """Arrivals do not depend on it."""

    def stop(self) -> None:
        """Begin no further journey."""
        self._next = None


class ClosedPace:
    """Users who first begin at the moments `begins`, and again `think_seconds` after the end of
    their last journey, until `ends_at`; a journey is timed from when it began."""

    def __init__(
        self,
        begins: Iterable[float],
        think_seconds: float,
        ends_at: float,
        driver: Driver,
        measures: Measures,
    ) -> None:
        self._think_seconds = think_seconds
        self._ends_at = ends_at
        self._driver = driver
        self._measures = measures
        self._due = list(begins)
        heapq.heapify(self._due)

    def next_due(self) -> float | None:
        """None: never, unless a journey ends."""
        return self._due[0] if self._due else None

    def begin_due(self, now: float) -> None:
        if now >= self._ends_at:
            self.stop()
        for _ in range(BATCH):
            if not self._due or self._due[0] > now:
                return
            self._begin(heapq.heappop(self._due), now)

    def on_finished(self, now: float) -> None:
        due = now + self._think_seconds
        if due >= self._ends_at:
            return
        if self._think_seconds:
            heapq.heappush(self._due, due)
        else:
            self._begin(now, now)

    def stop(self) -> None:
        self._due.clear()
        self._ends_at = 0.0

    def _begin(self, due: float, now: float) -> None:
        if self._driver.begin(now):
            self._measures.begun(now - due)
            return
        self._measures.dropped()
        if now + RETRY_SECONDS < self._ends_at:
            heapq.heappush(self._due, now + RETRY_SECONDS)


Pace: TypeAlias = OpenPace | ClosedPace


def first_begins(closed: Closed, share: int, shares: int) -> Iterator[float]:
    """When the users of this share begin, in seconds since the start."""
    for user in range(share, closed.users, shares):
        yield closed.ramp_seconds * user / closed.users


class Pacer:
    """Drives a pace by a timer; calls `on_over` once nothing is due and nothing is under way."""

    def __init__(
        self,
        pace: Pace,
        driver: Driver,
        timer: Timer,
        clock: Callable[[], float],
        on_over: Callable[[], None],
    ) -> None:
        self._on_over = on_over
        self._pace = pace
        self._driver = driver
        self._timer = timer
        self._clock = clock
        self._armed_for: float | None = None
        driver.on_finished = self._on_finished

    def start(self) -> None:
        self._arm()

    def stop(self) -> None:
        """Begin no further journey; `on_over` follows the end of those under way."""
        self._pace.stop()
        self._timer.cancel()
        self._armed_for = None
        self._arm()

    def _on_finished(self) -> None:
        self._pace.on_finished(self._clock())
        self._arm()

    def _on_timer(self) -> None:
        self._armed_for = None
        self._pace.begin_due(self._clock())
        self._arm()

    def _arm(self) -> None:
        due = self._pace.next_due()
        if due is None:
            if not self._driver.in_flight:
                self._on_over()
        elif self._armed_for is None or due < self._armed_for:
            self._armed_for = due
            self._timer.set(due, self._on_timer)
