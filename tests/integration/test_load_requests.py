"""Drivers of bare requests on real links, to peers that answer at once, late, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram

from bench.trivial import Trivial
from clients.load.drivers import requests
from clients.load.drivers.directory import Directory
from clients.load.drivers.licenses import Licenses
from clients.load.drivers.request_link import JOURNEYS_MAX
from clients.load.measuring.measures import Interval, Measures
from clients.load.pacing import Driver
from clients.load.processes.assignment import Assignment, Farm
from clients.load.scenario import Act, Closed, Drives, Journey, Scenario
from clients.logon.steps import Host
from tests.integration.listener import listen
from tsproto import limits
from tsproto.connection import Event, Received
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import AcquireLicense, LicenseIssued, LicenseKind, Refused, Role
from tsproto.transport.link import Link

HOST = "127.0.0.1"


def assignment(drives: Drives, port: int, *acts: str, links: int = 1) -> Assignment:
    host = Host(HOST, port)
    scenario = Scenario(
        name="x",
        drives=drives,
        closed=Closed(users=1, seconds=1.0),
        journeys=(Journey(acts=tuple(Act(act) for act in acts)),),
    )
    farm = Farm(name="lab", license_servers=(host,), directory=host)
    return Assignment(share=0, shares=1, farm=farm, scenario=scenario, links=links)


class Ends:
    """Counts the journeys that have ended, and lets somebody wait for them."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()

    def one(self) -> None:
        self.count += 1
        self._more.set()

    async def reach(self, count: int) -> None:
        while self.count < count:
            self._more.clear()
            await self._more.wait()


class Run:
    """A driver that has been opened, what it measures, and what it saw broken."""

    def __init__(self, given: Assignment) -> None:
        self.measures = Measures(0, lambda: 0.0)
        self.violations: list[str] = []
        self.ends = Ends()
        kind = Directory if given.scenario.drives == "directory" else Licenses
        chance = random.Random(1)
        self.driver: Driver = kind(
            given, self.measures, lambda rule, _: self.violations.append(rule), chance
        )
        self.driver.on_finished = self.ends.one

    async def __aenter__(self) -> Run:
        await self.driver.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.driver.close()

    def begin(self, journeys: int) -> int:
        """How many of them could be begun."""
        return sum(self.driver.begin(time.monotonic()) for _ in range(journeys))

    def taken(self) -> Interval:
        return self.measures.take(1.0, self.driver.in_flight)


async def first_of(*waits: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def counts(interval: Interval) -> dict[str, int]:
    return {
        name: HdrHistogram.decode(step.latencies).get_total_count()
        for name, step in interval.steps.items()
        if step.latencies
    }


def errors(interval: Interval) -> dict[str, dict[str, int]]:
    return {name: step.errors for name, step in interval.steps.items() if step.errors}


@contextlib.asynccontextmanager
async def trivial(role: Role) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: Trivial(role), HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class LicenseServer:
    """Keeps the requests that came, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Link, AcquireLicense]] = []
        self.links: list[Link] = []
        self._more = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        listener = await listen(
            HOST, 0, self, role=Role.LICENSE_SERVER, name="license-a", farm="lab", tls=None
        )
        try:
            yield listener.port
        finally:
            await listener.close()

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and isinstance(event.message, AcquireLicense):
                self.asked.append((link, event.message))
        if link not in self.links:
            self.links.append(link)
        self._more.set()

    def on_writable(self, link: Link) -> None: ...

    async def reach(self, asked: int) -> None:
        while len(self.asked) < asked:
            self._more.clear()
            await self._more.wait()

    async def reach_links(self, links: int) -> None:
        while len(self.links) < links:
            self._more.clear()
            await self._more.wait()

    def answer(self, number: int) -> None:
        link, request = self.asked[number]
        issued = LicenseIssued(
            license_id=bytes(16),
            kind=LicenseKind.TEMPORARY,
            expires_at=1,
            token=b"",
            issuer_certificate=b"",
        )
        link.send(issued, request.request_id)
        link.flush()

    def refuse(self, number: int, code: ErrorCode) -> None:
        link, request = self.asked[number]
        link.send(Refused(code=code), request.request_id)
        link.flush()


# --- what goes well -------------------------------------------------------------------------------


async def test_every_step_of_every_journey_is_counted() -> None:
    async with trivial(Role.LICENSE_SERVER) as port:
        async with Run(assignment("licenses", port, "issue", "validate", "renew", links=3)) as run:
            assert run.begin(100) == 100
            await run.ends.reach(100)
            taken = run.taken()
    assert counts(taken) == {"issue": 100, "validate": 100, "renew": 100}
    assert (taken.finished, taken.in_flight, errors(taken), run.violations) == (100, 0, {}, [])


async def test_hosts_join_the_directory_before_their_users_are_placed() -> None:
    async with trivial(Role.SESSION_DIRECTORY) as port:
        async with Run(assignment("directory", port, "place", "query", links=2)) as run:
            assert run.begin(10) == 10
            await run.ends.reach(10)
            taken = run.taken()
    assert counts(taken) == {"place": 10, "query": 10}
    assert run.violations == []


async def test_what_is_told_without_an_answer_is_done_when_it_is_said() -> None:
    async with trivial(Role.SESSION_DIRECTORY) as port:
        async with Run(assignment("directory", port, "place", "report", "end")) as run:
            run.begin(5)
            await run.ends.reach(5)
            assert counts(run.taken()) == {"place": 5, "report": 5, "end": 5}


async def test_a_directory_that_leads_to_a_session_that_is_not_there_is_seen() -> None:
    """The trivial peer has forgotten what was reported to it."""
    async with trivial(Role.SESSION_DIRECTORY) as port:
        async with Run(assignment("directory", port, "place", "report", "query")) as run:
            run.begin(1)
            await run.ends.reach(1)
    assert run.violations == ["a user with a session is led to it"]


async def test_a_journey_is_timed_from_when_it_was_due() -> None:
    server = LicenseServer()
    async with server.listening() as port, Run(assignment("licenses", port, "issue")) as run:
        assert run.driver.begin(time.monotonic() - 10.0)
        await server.reach(1)
        server.answer(0)
        await run.ends.reach(1)
        latencies = HdrHistogram.decode(run.taken().steps["issue"].latencies)
    assert latencies.get_min_value() >= 9_990_000


# --- what does not --------------------------------------------------------------------------------


async def test_a_refusal_is_counted_by_its_code_and_ends_the_journey() -> None:
    server = LicenseServer()
    async with (
        server.listening() as port,
        Run(assignment("licenses", port, "issue", "renew")) as run,
    ):
        run.begin(1)
        await server.reach(1)
        server.refuse(0, ErrorCode.TOO_MANY_DEVICES)
        await run.ends.reach(1)
        taken = run.taken()
    assert (errors(taken), counts(taken)) == ({"issue": {"TOO_MANY_DEVICES": 1}}, {})


async def test_no_journey_begins_where_the_peer_has_all_the_requests_that_it_may() -> None:
    server = LicenseServer()
    async with server.listening() as port, Run(assignment("licenses", port, "issue")) as run:
        assert run.begin(JOURNEYS_MAX + 10) == JOURNEYS_MAX
        await server.reach(JOURNEYS_MAX)
        server.answer(0)
        await run.ends.reach(1)
        assert run.begin(2) == 1


async def test_an_answer_that_does_not_come_is_given_up_and_its_late_coming_is_nobodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.05)
    server = LicenseServer()
    async with server.listening() as port, Run(assignment("licenses", port, "issue")) as run:
        run.begin(1)
        await run.ends.reach(1)
        assert errors(run.taken()) == {"issue": {"UNANSWERED": 1}}
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 60.0)
        run.begin(1)
        await server.reach(2)
        server.answer(0)
        server.answer(1)
        await run.ends.reach(2)
        assert counts(run.taken()) == {"issue": 1}


async def test_a_lost_link_fails_its_journeys_and_is_dialled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REJOIN_SECONDS", 0.01)
    monkeypatch.setattr(requests, "SWEEP_SECONDS", 0.001)
    server = LicenseServer()
    async with server.listening() as port, Run(assignment("licenses", port, "issue")) as run:
        run.begin(3)
        await server.reach(3)
        server.links[0].abort()
        await run.ends.reach(3)
        assert errors(run.taken()) == {"issue": {"CONNECTION_LOST": 3}}
        while len(server.asked) < 4:  # until the new link has been welcomed
            ended = run.ends.count
            assert run.begin(1) == 1
            await first_of(run.ends.reach(ended + 1), server.reach(4))
        server.answer(3)
        while run.driver.in_flight:
            await run.ends.reach(run.ends.count + 1)
        assert counts(run.taken()) == {"issue": 1}


async def test_while_no_link_stands_journeys_fail_as_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "SWEEP_SECONDS", 0.01)
    server = LicenseServer()
    async with server.listening() as port, Run(assignment("licenses", port, "issue")) as run:
        run.begin(1)
        await server.reach(1)
        server.links[0].abort()
        await run.ends.reach(1)
        assert run.begin(5) == 5
        assert run.driver.in_flight == 5
        await run.ends.reach(6)
        assert errors(run.taken()) == {"issue": {"CONNECTION_LOST": 1, "UNREACHABLE": 5}}


async def test_a_host_that_is_lost_and_comes_back_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(limits, "REJOIN_SECONDS", 0.01)
    server = LicenseServer()
    async with server.listening() as port:
        async with Run(assignment("licenses", port, "issue", links=3)) as run:
            run.begin(3)
            await server.reach(3)
            for link in server.links[:3]:
                link.abort()
            await run.ends.reach(3)
            told = ""
            while "is back" not in told:
                await asyncio.sleep(0)
                told += capsys.readouterr().err
    lost = f"{HOST}:{port} was lost: the connection broke without a Goodbye"
    assert told.splitlines() == [f"{lost}; its links are dialled again", f"{HOST}:{port} is back"]


async def test_links_come_from_the_source_addresses_in_turn() -> None:
    server = LicenseServer()
    sources = ("127.0.0.7", "127.0.0.8")
    async with server.listening() as port:
        given = assignment("licenses", port, "issue", links=4)
        async with Run(msgspec.structs.replace(given, sources=sources)) as run:
            run.begin(4)
            await server.reach(4)
    assert sorted(link.host for link in server.links) == sorted(sources * 2)


async def test_a_peer_of_another_role_is_told_before_the_run() -> None:
    async with trivial(Role.SESSION_DIRECTORY) as port:
        run = Run(assignment("licenses", port, "issue"))
        with pytest.raises(TsfarmError, match="the license-server cannot be asked .*: see that it"):
            await run.driver.open()
        await run.driver.close()


async def test_links_share_the_journeys() -> None:
    server = LicenseServer()
    async with server.listening() as port:
        async with Run(assignment("licenses", port, "issue", links=4)) as run:
            run.begin(40)
            await server.reach(40)
    assert sorted(Counter(id(link) for link, _ in server.asked).values()) == [10, 10, 10, 10]
