"""Real worker processes: their common start, their sum, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from bench.trivial import Trivial
from clients.load.measuring.totals import Glimpse, Totals
from clients.load.processes.assignment import Assignment, Ended, Farm, Measured, Ready, Report
from clients.load.processes.coordinator import Coordinator
from clients.load.processes.worker_process import WorkerFailed, WorkerProcess
from clients.load.scenario import Act, Closed, Journey, Open, Scenario, Stage
from clients.logon.steps import Host
from tsproto.messages import Role

HOST = "127.0.0.1"
JOURNEYS = (Journey(acts=(Act("issue"), Act("validate"))),)
ENDLESS = Scenario(
    name="x", drives="licenses", closed=Closed(users=4, seconds=3_600.0), journeys=JOURNEYS
)
SHORT = Scenario(
    name="x",
    drives="licenses",
    open=Open(stages=(Stage(seconds=0.5, rate=200.0, start_rate=200.0),)),
    journeys=JOURNEYS,
)


@contextlib.asynccontextmanager
async def trivial() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Trivial(Role.LICENSE_SERVER), HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def assignments(scenario: Scenario, port: int, shares: int = 1) -> list[Assignment]:
    farm = Farm(name="lab", license_servers=(Host(HOST, port),))
    return [
        Assignment(share=share, shares=shares, farm=farm, scenario=scenario, links=2)
        for share in range(shares)
    ]


def coordinator(
    given: list[Assignment], totals: Totals, show: Callable[[Glimpse], None] = lambda glimpse: None
) -> Coordinator:
    return Coordinator(given, totals, show=show, say=lambda line: None)


async def test_what_two_workers_did_adds_up() -> None:
    totals = Totals()
    async with trivial() as port:
        run = coordinator(assignments(SHORT, port, shares=2), totals)
        await run.run()
    assert (totals.begun, totals.finished, totals.dropped) == (100, 100, 0)
    assert {name: step.count for name, step in totals.steps.items()} == {
        "issue": 100,
        "validate": 100,
    }
    assert (run.stopped_by, run.violations) == (0, [])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_run_in_good_order_with_what_was_measured(
    ending: signal.Signals,
) -> None:
    totals = Totals()
    interrupted = False

    def interrupt(glimpse: Glimpse) -> None:
        nonlocal interrupted
        if glimpse.finished and not interrupted:
            interrupted = True
            os.kill(os.getpid(), ending)

    async with trivial() as port:
        run = coordinator(assignments(ENDLESS, port, shares=2), totals, interrupt)
        await run.run()
    assert run.stopped_by == ending
    assert totals.finished > 0


async def test_a_worker_that_cannot_begin_stops_the_others_and_says_why() -> None:
    async with trivial() as port:
        given = assignments(ENDLESS, port) + assignments(ENDLESS, 1)
        with pytest.raises(WorkerFailed, match=f"{HOST}:1: Connection refused"):
            await coordinator(given, Totals()).run()


# --- one process ----------------------------------------------------------------------------------


class Watched:
    """A worker process that runs `code` in place of a worker."""

    def __init__(self, code: str) -> None:
        self.reports: list[Report] = []
        self.said: list[str] = []
        command = (sys.executable, "-c", code)
        [given] = assignments(SHORT, 1)
        self.process = WorkerProcess(given, self.reports.append, self.said.append, command)


async def test_a_worker_that_dies_is_named_with_its_last_words() -> None:
    watched = Watched("import sys; print('first', file=sys.stderr); sys.exit('no more memory')")
    with pytest.raises(WorkerFailed, match="^worker 0 ended with status 1: no more memory$"):
        await watched.process.run()
    assert watched.said == ["first", "no more memory"]


async def test_a_worker_that_is_killed_is_named_with_the_signal() -> None:
    watched = Watched("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(WorkerFailed, match="^worker 0 ended by signal 9$"):
        await watched.process.run()


async def test_a_worker_that_does_not_stop_is_ended_when_patience_is() -> None:
    watched = Watched("import signal; signal.pause()")
    watched.process.stop(patience_seconds=0.05)
    await watched.process.run()
    assert watched.reports == []


async def test_a_worker_that_is_ended_before_it_runs_does_not_run_on() -> None:
    watched = Watched("import signal; signal.pause()")
    watched.process.kill()
    async with asyncio.timeout(10.0):
        await watched.process.run()
    assert watched.reports == []


async def test_a_worker_hands_on_what_it_has_done_when_its_input_ends() -> None:
    async with trivial() as port:
        reports: list[Report] = []
        [given] = assignments(ENDLESS, port)

        def start_and_stop(report: Report) -> None:
            reports.append(report)
            if isinstance(report, Ready):
                process.start(0.0)
            if isinstance(report, Measured) and report.interval.finished:
                process.stop(patience_seconds=20.0)

        process = WorkerProcess(given, start_and_stop, lambda line: None)
        await process.run()
    assert isinstance(reports[0], Ready) and isinstance(reports[-1], Ended)


async def test_a_worker_that_is_told_to_stop_before_it_runs_ends_in_good_order() -> None:
    async with trivial() as port:
        reports: list[Report] = []
        [given] = assignments(ENDLESS, port)
        process = WorkerProcess(given, reports.append, lambda line: None)
        process.stop(patience_seconds=20.0)
        await process.run()
    assert [type(report) for report in reports] == [Ended]
