"""One load run, from what it is to be to what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from clients.load import thresholds
from clients.load.assignment import Assignment, Credentials, Farm, Person
from clients.load.checks import Asks, Checks
from clients.load.coordinator import Coordinator
from clients.load.results import Result
from clients.load.scenario import Drives, Scenario
from clients.load.totals import Glimpse, Totals
from clients.load.worker_process import WorkerFailed


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run. `links` is each worker's number of them."""

    scenario: Scenario
    script: str
    farm: Farm
    people: tuple[Person, ...]
    workers: int
    links: int
    sources: tuple[str, ...]
    devices: Path | None
    seed: int

    def assignments(self) -> list[Assignment]:
        return [self._assignment(share) for share in range(self.workers)]

    def _assignment(self, share: int) -> Assignment:
        return Assignment(
            share=share,
            shares=self.workers,
            farm=msgspec.structs.replace(self.farm, as_terminal_servers=self._identities(share)),
            scenario=self.scenario,
            script=self.script,
            people=self.people[share :: self.workers],
            links=self.links,
            devices=self.devices,
            sources=self.sources,
            seed=self.seed,
        )

    def _identities(self, share: int) -> tuple[Credentials, ...]:
        """Every worker's own, as long as there is one for each."""
        every = self.farm.as_terminal_servers
        return every[share :: self.workers] or every


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped_by` is the signal that ended the run early, 0 for none; `failure` what a worker
    could not do."""

    result: Result
    totals: Totals
    stopped_by: int
    failure: WorkerFailed | None


class Shows(Protocol):
    """The part of `clients.load.progress.Progress` that is used here."""

    def show(self, glimpse: Glimpse) -> None: ...
    def line(self, text: str) -> None: ...


def perform(run: Run, administrator: Asks | None, progress: Shows) -> Outcome:
    """Raises WorkerFailed where the run could not even begin."""
    return asyncio.run(_perform(run, administrator, progress))


async def _perform(run: Run, administrator: Asks | None, progress: Shows) -> Outcome:
    totals = Totals()
    checks = Checks(administrator, run.farm.license_servers, run.farm.directory)
    coordinator = Coordinator(run.assignments(), totals, show=progress.show, say=progress.line)
    failure = None
    async with checks.around():
        try:
            await coordinator.run()
        except WorkerFailed as failed:
            if not totals.seconds:
                raise
            failure = failed
    result = totals.result(
        run.scenario,
        run.farm.name,
        coordinator.started_at,
        not coordinator.stopped_by and failure is None,
        [thresholds.judge(thresholds.parse(each), totals) for each in run.scenario.thresholds],
        checks.results(coordinator.violations, rules_of(run.scenario.drives)),
    )
    return Outcome(result=result, totals=totals, stopped_by=coordinator.stopped_by, failure=failure)


def rules_of(drives: Drives) -> Sequence[str]:
    """The rules that the drivers watch themselves."""
    match drives:
        case "licenses":
            from clients.load.licenses import RULES
        case "directory":
            from clients.load.directory import RULES
        case _:
            from clients.load.users import JOURNEYS_RUN, LOGGED_OFF
            from clients.load.visitor import LICENSE_KEPT, SESSION_KEPT

            return (SESSION_KEPT, LICENSE_KEPT, LOGGED_OFF, JOURNEYS_RUN)
    return RULES
