"""A worker's share, in this process: when it reports what, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import AsyncIterator

import pytest

from bench.trivial import Trivial
from clients.load.processes.assignment import (
    Assignment,
    Ended,
    Farm,
    Measured,
    Ready,
    Report,
    Start,
    Stop,
    Violated,
)
from clients.load.processes.worker import VIOLATIONS_MAX, Worker
from clients.load.scenario import Act, Closed, Drives, Journey, Open, Scenario, Stage
from clients.logon.steps import Host
from tsproto.errors import TsfarmError
from tsproto.messages import Role

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def trivial(role: Role = Role.LICENSE_SERVER) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: Trivial(role), HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def scenario(drives: Drives = "licenses", *acts: str) -> Scenario:
    return Scenario(
        name="x",
        drives=drives,
        open=Open(stages=(Stage(seconds=0.25, rate=800.0, start_rate=800.0),)),
        journeys=(Journey(acts=tuple(Act(act) for act in acts or ("issue",))),),
    )


def once(warm_up_seconds: float = 0.0) -> Scenario:
    """Two users of an hour who have nothing to do after their first journey."""
    return Scenario(
        name="x",
        drives="licenses",
        closed=Closed(users=2, seconds=3_600.0, think_seconds=3_600.0),
        journeys=(Journey(acts=(Act("issue"),)),),
        warm_up_seconds=warm_up_seconds,
    )


class Commands:
    """Both ends of a worker's connection to its coordinator; `told` is the worker's."""

    def __init__(self, *messages: Start | Stop) -> None:
        self._coordinator, self.told = multiprocessing.Pipe()
        for message in messages:
            self.send(message)

    def send(self, message: Start | Stop) -> None:
        self._coordinator.send(message)

    def hang_up(self) -> None:
        self._coordinator.close()


def assignment(port: int, given: Scenario) -> Assignment:
    host = Host(HOST, port)
    farm = Farm(name="lab", license_servers=(host,), directory=host)
    return Assignment(share=0, shares=1, farm=farm, scenario=given)


async def reports_of(port: int, given: Scenario, told: Commands) -> list[Report]:
    reports: list[Report] = []
    await Worker(assignment(port, given), reports.append).run(told.told)
    return reports


def begun(reports: list[Report]) -> int:
    return sum(report.interval.begun for report in reports if isinstance(report, Measured))


async def test_it_is_ready_then_measures_then_ends() -> None:
    async with trivial() as port:
        reports = await reports_of(port, scenario(), Commands(Start(time.monotonic())))
    assert isinstance(reports[0], Ready) and isinstance(reports[-1], Ended)
    assert {type(report) for report in reports[1:-1]} == {Measured}
    assert begun(reports) == 200


async def test_it_ends_without_a_start_when_it_is_told_to() -> None:
    async with trivial() as port:
        told = Commands()
        reports: list[Report] = []

        def on_report(report: Report) -> None:
            reports.append(report)
            if isinstance(report, Ready):
                told.hang_up()

        await Worker(assignment(port, scenario()), on_report).run(told.told)
    assert [type(report) for report in reports] == [Ready, Ended]


async def test_it_need_not_get_ready_for_a_run_that_was_given_up() -> None:
    async with trivial() as port:
        reports = await reports_of(port, scenario(), Commands(Stop()))
    assert [type(report) for report in reports] == [Ended]


async def test_it_stops_early_with_what_it_has_measured() -> None:
    async with trivial() as port:
        told = Commands(Start(time.monotonic()), Stop())
        reports = await reports_of(port, once(), told)
    assert [type(report) for report in reports] == [Ready, Measured, Ended]


async def test_what_happens_in_the_warm_up_does_not_count() -> None:
    async with trivial() as port:
        told = Commands(Start(time.monotonic()))
        reports = await reports_of(port, once(warm_up_seconds=1_000.0), told)
    assert [type(report) for report in reports] == [Ready, Ended]


async def test_what_getting_ready_took_is_no_part_of_the_run() -> None:
    ready_at = 0.0
    measured: list[float] = []

    def on_report(report: Report) -> None:
        nonlocal ready_at
        if isinstance(report, Ready):
            ready_at = time.process_time() + 0.05
            while time.process_time() < ready_at:
                pass  # as certificates and handshakes do
        if isinstance(report, Measured):
            measured.append(report.interval.cpu_seconds)

    async with trivial() as port:
        given = assignment(port, scenario())
        told = Commands(Start(time.monotonic()))
        await Worker(given, on_report).run(told.told)
    assert 0 < sum(measured) <= time.process_time() - ready_at


async def test_a_rule_that_is_broken_all_the_time_is_told_often_enough() -> None:
    """The trivial directory forgets whom it was told of."""
    async with trivial(Role.SESSION_DIRECTORY) as port:
        given = scenario("directory", "place", "report", "query")
        reports = await reports_of(port, given, Commands(Start(time.monotonic())))
    assert sum(isinstance(report, Violated) for report in reports) == VIOLATIONS_MAX


async def test_a_farm_that_is_not_there_is_told_before_it_is_ready() -> None:
    with pytest.raises(TsfarmError, match=f"{HOST}:1: Connection refused"):
        await reports_of(1, scenario(), Commands())
