"""Virtual time: one heap of what happens next, one source of randomness, one trace.

Two things that happen at the same instant happen in the order in which they were scheduled, so a
seed decides everything.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from typing import final

import msgspec

START = 1_700_000_000.0  # a day in November 2023; any would do
TRACE_LINES_KEPT = 400


class Violation(Exception):
    """A law was broken; the text says which and how."""

    def __init__(self, text: str, law: str = "the contract of cores") -> None:
        super().__init__(text)
        self.law = law


@final
class Timer:
    """Something scheduled; `cancel` makes it never happen."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[], object]) -> None:
        self.at = at
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        self.action = None


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = START
        self.slept_from = self.woke_at = float("-inf")  # the last jump
        self.rng = self.stream("wire")
        self.events = 0
        self.messages = 0  # heard by daemons and devices, heartbeats left out
        self.seen: Counter[str] = Counter()
        self.on_event: Callable[[], None] | None = None
        self._heap: list[tuple[float, int, Timer | Callable[[], object]]] = []
        self._scheduled = 0
        self._digest = hashlib.sha256()
        self._digested: list[tuple[float, str]] = []  # the latest lines
        self._undigested: list[tuple[float, str]] = []

    def stream(self, name: str) -> random.Random:
        """Randomness of its own for one purpose: draws made for another do not move it, so a run
        keeps its course when a fault or a client is left out."""
        return random.Random(f"{self.seed}/{name}")

    def at(self, when: float, action: Callable[[], object]) -> Timer:
        if when < self.now:
            when = self.now
        timer = Timer(when, action)
        self._scheduled += 1
        heappush(self._heap, (when, self._scheduled, timer))
        return timer

    def happen_at(self, when: float, action: Callable[[], object]) -> None:
        """As `at`, for what lies ahead and is never cancelled: most of what happens."""
        self._scheduled += 1
        heappush(self._heap, (when, self._scheduled, action))

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        return self.at(self.now + seconds, action)

    def run_until(self, end: float) -> None:
        """Let everything happen that is due until `end`, then stand there."""
        heap, on_event = self._heap, self.on_event
        while heap and heap[0][0] <= end:
            when, _, due = heappop(heap)
            action = due.action if type(due) is Timer else due
            if action is None:
                continue
            if when > self.now:
                self.now = when
            self.events += 1
            action()
            if on_event is not None:
                on_event()
        self.now = max(self.now, end)

    def jump(self, seconds: float) -> None:
        """Everybody sleeps, and wakes this much later: what fell due meanwhile comes late."""
        self.slept_from = self.now
        self.now += seconds
        self.woke_at = self.now
        self.trace(f"{seconds / 86_400:.1f} days later")

    def trace(self, line: str) -> None:
        """Note what happened: it goes into the digest that tells two runs apart."""
        self._undigested.append((self.now, line))
        if len(self._undigested) == TRACE_LINES_KEPT:
            self._take_in()

    def tail(self) -> list[str]:
        """The lines that were traced last, each with its seconds since the start."""
        lines = [*self._digested, *self._undigested][-TRACE_LINES_KEPT:]
        return [f"{when - START:14.6f} {line}" for when, line in lines]

    def saw(self, what: str) -> None:
        """Count a case that must sometimes happen, or the simulation tests less than it says."""
        self.seen[what] += 1

    def digest(self) -> str:
        self._take_in()
        return self._digest.hexdigest()[:16]

    def _take_in(self) -> None:
        self._digest.update(msgspec.msgpack.encode(self._undigested))
        self._digested = [*self._digested, *self._undigested][-TRACE_LINES_KEPT:]
        self._undigested.clear()
