"""Performs a load run: checks, workers, thresholds, result."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from clients.load.checks import Asks, Checks
from clients.load.drivers import driver_class
from clients.load.measuring import thresholds
from clients.load.measuring.results import Result
from clients.load.measuring.totals import Totals
from clients.load.processes.assignment import Assignment
from clients.load.processes.coordinator import Coordinator
from clients.load.processes.worker_process import WorkerFailed
from clients.load.scenario import Drives

if TYPE_CHECKING:
    from clients.load.report.progress import Progress


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped_by` is the signal that ended the run early, or 0; `failure` a worker's error."""

    result: Result
    totals: Totals
    stopped_by: int
    failure: WorkerFailed | None


def perform(run: Assignment, administrator: Asks | None, progress: Progress) -> Outcome:
    """`run` is the whole run, not yet parted. Raises WorkerFailed when it cannot begin."""
    return asyncio.run(_perform(run, administrator, progress))


async def _perform(run: Assignment, administrator: Asks | None, progress: Progress) -> Outcome:
    totals = Totals()
    logs_on = run.scenario.drives == "users"
    people = frozenset(person.name for person in run.people if logs_on)
    checks = Checks(administrator, run.farm.license_servers, run.farm.directory, people)
    coordinator = Coordinator(run.parts(), totals, show=progress.show, say=progress.line)
    failure = None
    async with checks.sampling():
        try:
            await coordinator.run()
        except WorkerFailed as failed:
            if not totals.seconds:
                raise
            failure = failed
    if not await unless_interrupted(checks.look_again()):
        checks.not_looked_again("given up with Ctrl-C")
    asked = run.scenario.thresholds if totals.seconds else ()  # nothing was measured
    judged = [thresholds.judge(thresholds.parse(each), totals) for each in asked]
    result = totals.result(
        run.scenario,
        run.farm.name,
        coordinator.started_at,
        not coordinator.stopped_by and failure is None,
        judged,
        checks.results(coordinator.violations, evidence(run.scenario.drives, totals)),
        run.seed,
    )
    return Outcome(result=result, totals=totals, stopped_by=coordinator.stopped_by, failure=failure)


async def unless_interrupted(looking: Coroutine[Any, Any, None]) -> bool:
    """Returns False when Ctrl-C ends it; what was measured is kept."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(looking)
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        await asyncio.wait((task,))
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    return not task.cancelled() and task.result() is None


def evidence(drives: Drives, totals: Totals) -> dict[str, int]:
    """The rules that the driver checks itself, and how often each was checked."""
    every = max(totals.begun, totals.finished)  # some began in the warm-up
    counts = {name: step.count for name, step in totals.steps.items()}
    return {
        rule: sum(counts.get(step, 0) for step in steps) if steps else every
        for rule, steps in driver_class(drives).rules.items()
    }
