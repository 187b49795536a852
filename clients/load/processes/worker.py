"""One process of a load run: `python -m clients.load.processes.worker DESCRIPTOR`.

The descriptor is of a connection to the coordinator (`clients.load.processes.assignment`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

import uvloop

from clients.load.drivers import driver_class
from clients.load.measuring.measures import Measures
from clients.load.pacing.arrivals import arrivals, length
from clients.load.pacing.pacer import ClosedPace, OpenPace, Pace, Pacer, first_begins
from clients.load.processes.assignment import (
    Assignment,
    Ended,
    Failed,
    Measured,
    Ready,
    Report,
    Start,
    Stop,
    Violated,
)
from clients.load.processes.channel import receive
from clients.load.processes.timer import timer
from clients.say import show
from tsproto.errors import TsfarmError

INTERVAL_SECONDS = 1.0
SETTLE_SECONDS = 30.0  # for journeys that are under way at the end
VIOLATIONS_MAX = 100  # reported of one rule: some farm may break it all the time

Coordinator: TypeAlias = "Connection[Report, Start | Stop]"


class Worker:
    """Carries out an assignment; `report` sends its reports."""

    def __init__(self, assignment: Assignment, report: Callable[[Report], None]) -> None:
        self._assignment = assignment
        self._report = report
        self._measures = Measures(assignment.share, time.process_time)
        self._violations: Counter[str] = Counter()
        rng = random.Random(f"{assignment.seed} {assignment.share}")
        make_driver = driver_class(assignment.scenario.drives)
        self._driver = make_driver(assignment, self._measures, self._on_violation, rng)

    async def run(self, commands: Coordinator) -> None:
        """Return when the share is done, after a `Stop`, or when the coordinator is gone. Raises
        TsfarmError when it cannot begin."""
        told = asyncio.create_task(receive(commands))
        try:
            start = await self._get_ready(told)
            if start is not None:
                await self._run(start.at, commands)
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            await self._driver.close()
        self._report(Ended())

    async def _get_ready(self, told: asyncio.Task[Start | Stop | None]) -> Start | None:
        """Open the driver, then wait for the start; None where the run is given up before."""
        opening = asyncio.create_task(self._driver.open())
        try:
            await asyncio.wait((opening, told), return_when=asyncio.FIRST_COMPLETED)
            if told.done() and not isinstance(told.result(), Start):
                return None
            await opening
            self._report(Ready())
            start = await told
            return start if isinstance(start, Start) else None
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _run(self, starts_at: float, commands: Coordinator) -> None:
        gc.collect()
        gc.freeze()  # objects made so far stay: collections skip them
        self._measures.forget()  # the preparation is not part of the run
        alarm = timer(asyncio.get_running_loop())
        over = asyncio.Event()
        pacer = Pacer(self._pace(starts_at), self._driver, alarm, time.monotonic, over.set)
        pacer.start()
        measuring = asyncio.create_task(self._measure(starts_at))
        ends_at = starts_at + length(self._assignment.scenario)
        all_done = asyncio.create_task(over.wait())
        told_to_stop = asyncio.create_task(receive(commands))
        remaining = max(0.0, ends_at + SETTLE_SECONDS - time.monotonic())
        try:
            await asyncio.wait(
                (all_done, told_to_stop, measuring),
                timeout=remaining,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            pacer.stop()
            alarm.close()
            for task in (all_done, told_to_stop, measuring):
                task.cancel()
            self._hand_on(starts_at)
        with contextlib.suppress(asyncio.CancelledError):
            await measuring

    def _pace(self, starts_at: float) -> Pace:
        share, shares = self._assignment.share, self._assignment.shares
        scenario = self._assignment.scenario
        if scenario.open is not None:
            # Equal in all workers: they draw the same arrivals, and each takes its share.
            rng = random.Random(self._assignment.seed)
            due = arrivals(scenario.open, rng, share, shares)
            in_flight_max = len(range(share, scenario.open.in_flight_max, shares))
            return OpenPace(
                (starts_at + at for at in due), in_flight_max, self._driver, self._measures
            )
        assert scenario.closed is not None
        begins = [starts_at + at for at in first_begins(scenario.closed, share, shares)]
        ends_at = starts_at + scenario.closed.seconds
        think_seconds = scenario.closed.think_seconds
        return ClosedPace(begins, think_seconds, ends_at, self._driver, self._measures)

    async def _measure(self, starts_at: float) -> None:
        """Report an interval every second, once the warm-up is over."""
        at = starts_at + self._assignment.scenario.warm_up_seconds
        await asyncio.sleep(at - time.monotonic())
        if at > starts_at:
            self._measures.forget(time.monotonic() - starts_at)
        while True:
            at += INTERVAL_SECONDS
            await asyncio.sleep(at - time.monotonic())
            self._hand_on(starts_at)

    def _hand_on(self, starts_at: float) -> None:
        elapsed = time.monotonic() - starts_at
        if elapsed > self._assignment.scenario.warm_up_seconds:
            self._report(Measured(self._measures.take(elapsed, self._driver.in_flight)))

    def _on_violation(self, rule: str, detail: str) -> None:
        self._violations[rule] += 1
        if self._violations[rule] <= VIOLATIONS_MAX:
            self._report(Violated(rule, detail))


async def work(assignment: Assignment, coordinator: Coordinator) -> None:
    def report(message: Report) -> None:
        with contextlib.suppress(OSError):  # the coordinator is gone: the run ends
            coordinator.send(message)

    try:
        await Worker(assignment, report).run(coordinator)
    except TsfarmError as error:
        report(Failed(str(error)))


def main() -> int:
    if len(sys.argv) != 2:
        show("a worker is started by `tsfarm load`", err=True)
        return 2
    with Connection(int(sys.argv[1])) as coordinator:
        assignment = coordinator.recv()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(assignment, coordinator))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
