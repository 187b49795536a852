"""What a load run's visitor makes of a farm that errs: scripted terminal servers, real links."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Person
from clients.load.visitors.devices import Devices
from clients.load.visitors.keys import Keys
from clients.load.visitors.shell import OUTPUT_LINE
from clients.load.visitors.visitor import JourneyEnded, VirtualUser, Visitor, WorkerContext
from clients.logon.steps import Host
from tests.integration.scripted_server import Farm
from tests.integration.scripted_shell import ScriptedShell
from tests.unit.clients.licenses import token
from tsproto.errors import ErrorCode
from tsproto.messages import LogoffSession, LogonRefused, NewLicense, Redirect

IMPATIENT_SECONDS = 0.2


class Run:
    """One person's visits to a farm, and what was recorded of them."""

    def __init__(self, *servers: ScriptedShell, patience_seconds: float = 20.0) -> None:
        self.measures = Measures(0, lambda: 0.0)
        self.violations: list[tuple[str, str]] = []
        self.user = VirtualUser(Person("user1", b"secret"))
        self._context = WorkerContext(
            hosts=tuple(Host("127.0.0.1", server.port) for server in servers),
            authority=servers[0].farm.authority,
            devices=Devices(1, None),
            keys=Keys(),
            measures=self.measures,
            on_violation=lambda rule, detail: self.violations.append((rule, detail)),
            sources=itertools.cycle(("127.0.0.9",)),
            patience_seconds=patience_seconds,
        )

    def visitor(self, due: float | None = None) -> Visitor:
        due = time.monotonic() if due is None else due
        return Visitor(self._context, self.user, due, random.Random(1))

    def counts(self) -> dict[str, int]:
        """How often each step succeeded, and of those that failed their code."""
        counts = {}
        for name, step in self.measures.take(0.0, 0).steps.items():
            if step.latencies:
                counts[name] = HdrHistogram.decode(step.latencies).total_count
            counts.update({f"{name} {code}": count for code, count in step.errors.items()})
        return counts


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedShell]:
    async with ScriptedShell(Farm(tmp_path / "pki")) as server:
        assert isinstance(server, ScriptedShell)
        yield server


@pytest.fixture
async def run(server: ScriptedShell) -> Run:
    return Run(server)


async def ended(act: Awaitable[None]) -> None:
    with pytest.raises(JourneyEnded):
        await act


# --- in good order --------------------------------------------------------------------------------


async def test_every_step_is_counted_once(run: Run, server: ScriptedShell) -> None:
    visitor = run.visitor()
    await visitor.first_visit()
    await visitor.work(keystrokes=70, output=5000)
    await visitor.disconnect()
    await visitor.reconnect()
    await visitor.logoff()
    await visitor.renew()
    assert run.counts() == {
        "first-visit": 1,
        "keystroke": 70,
        "output": 1,
        "disconnect": 1,
        "reconnect": 1,
        "logoff": 1,
        "renew": 1,
    }
    assert run.violations == []
    assert server.logons[0].is_proved_with(b"secret")
    assert len(server.logons) == 2, "a renewal leaves before the logon"


async def test_the_first_step_is_timed_from_when_the_journey_was_due(run: Run) -> None:
    visitor = run.visitor(due=time.monotonic() - 100.0)
    await visitor.logon()
    await visitor.disconnect()
    steps = run.measures.take(0.0, 0).steps
    logon, left = (HdrHistogram.decode(steps[name].latencies) for name in ("logon", "disconnect"))
    assert logon.get_min_value() >= 99_000_000
    assert left.get_max_value() < 99_000_000
    await visitor.leave()


async def test_what_needs_a_session_gets_one_first(run: Run) -> None:
    visitor = run.visitor()
    await visitor.roam()
    await visitor.leave()
    assert run.counts() == {"logon": 1, "disconnect": 1, "roam": 1}


async def test_roaming_goes_by_another_host_to_the_session(server: ScriptedShell) -> None:
    async with ScriptedShell(server.farm, "ts2") as other:
        assert isinstance(other, ScriptedShell)
        other.on_logon = lambda link, request: link.send(
            Redirect(host="ts1", address="127.0.0.1", port=server.port, session_id=7)
        )
        run = Run(server, other)
        visitor = run.visitor()
        await visitor.logon()  # whichever host it is dialled at, the session is on ts1
        server.logons.clear()
        other.logons.clear()
        await visitor.roam()
        await visitor.leave()
    assert [logon.proof.redirected for logon in other.logons] == [False]
    assert [logon.proof.redirected for logon in server.logons] == [True]
    assert (run.counts(), run.violations) == ({"logon": 1, "disconnect": 1, "roam": 1}, [])


async def test_a_session_that_was_left_is_there_for_the_next_journey(run: Run) -> None:
    first = run.visitor()
    await first.logon()
    await first.leave()
    await run.visitor().logoff()
    assert run.counts() == {"logon": 1, "reconnect": 1, "logoff": 1}
    assert not run.user.has_session


async def test_a_first_visit_is_from_another_device(run: Run, server: ScriptedShell) -> None:
    visitor = run.visitor()
    await visitor.logon()
    await visitor.first_visit()
    await visitor.leave()
    assert [info.device_name for info in server.infos] == ["user1-0", "user1-1"]


async def test_a_session_in_an_unknown_state_is_logged_off(run: Run, server: ScriptedShell) -> None:
    server.reattached = True
    visitor = run.visitor()
    await visitor.logon()
    await visitor.leave()
    assert server.received == [LogoffSession()]
    assert (len(server.logons), run.counts()) == (2, {"logon": 1})


# --- rules that the farm breaks -------------------------------------------------------------------


async def test_another_session_than_the_one_that_was_left_is_a_violation(
    run: Run, server: ScriptedShell
) -> None:
    visitor = run.visitor()
    await visitor.logon()
    server.session_id = 8
    await ended(visitor.reconnect())
    await visitor.leave()
    left = "session 7 on ts1 was left, and session 8 on ts1 was found"
    assert run.violations == [("session kept", f"user1, by reconnect: {left}")]
    assert run.counts() == {"logon": 1, "disconnect": 1}


async def test_a_session_that_lost_what_was_in_it_is_a_violation(
    run: Run, server: ScriptedShell
) -> None:
    visitor = run.visitor()
    await visitor.logon()
    await visitor.disconnect()
    server.mark = b"another"
    await ended(visitor.reconnect())
    await visitor.leave()
    [(rule, detail)] = run.violations
    assert rule == "session kept" and "another one of that number" in detail


async def test_a_key_that_comes_back_twice_is_a_violation(run: Run, server: ScriptedShell) -> None:
    server.show = lambda key: key * 2
    visitor = run.visitor()
    await ended(visitor.work(keystrokes=3))
    await visitor.leave()
    [(rule, detail)] = run.violations
    assert rule == "keys come back once and in order" and "'a' came instead" in detail


async def test_output_that_is_not_whole_is_a_violation(run: Run, server: ScriptedShell) -> None:
    server.printed = lambda output: output[:-1]
    visitor = run.visitor()
    await ended(visitor.work(output=len(OUTPUT_LINE) + 1))
    await visitor.leave()
    [(rule, detail)] = run.violations
    shown = len(OUTPUT_LINE) + 1
    assert (
        rule == "output complete" and f"{shown} bytes were shown instead of {shown + 1}" in detail
    )


async def test_a_license_of_another_device_is_a_violation(run: Run, server: ScriptedShell) -> None:
    server.push = lambda info: NewLicense(token=token(b"x" * 32), issuer_certificate=b"der")
    visitor = run.visitor()
    await ended(visitor.logon())
    await visitor.leave()
    [(rule, detail)] = run.violations
    assert rule == "license kept" and "not this device's" in detail


# --- steps that fail ------------------------------------------------------------------------------


async def test_a_refused_logon_is_counted_by_its_code(run: Run, server: ScriptedShell) -> None:
    server.on_logon = lambda link, request: link.send(
        LogonRefused(code=ErrorCode.LOGON_FAILED, attempts_left=2)
    )
    visitor = run.visitor()
    await ended(visitor.logon())
    await visitor.leave()
    assert run.counts() == {"logon LOGON_FAILED": 1}
    assert not run.user.has_session


async def test_a_key_that_never_comes_back_is_unanswered(server: ScriptedShell) -> None:
    run = Run(server, patience_seconds=IMPATIENT_SECONDS)
    server.show = lambda key: b""
    visitor = run.visitor()
    await ended(visitor.work(keystrokes=1000, seconds=60.0))
    await visitor.leave()
    assert run.counts() == {"logon": 1, "keystroke UNANSWERED": 1}


async def test_a_logon_that_is_never_answered_is_unanswered(server: ScriptedShell) -> None:
    run = Run(server, patience_seconds=IMPATIENT_SECONDS)
    server.on_logon = lambda link, request: None
    visitor = run.visitor()
    await ended(visitor.logon())
    await visitor.leave()
    assert run.counts() == {"logon UNANSWERED": 1}
    assert run.user.has_session, "there may be one that nobody saw"


async def test_a_link_that_is_lost_while_somebody_thinks_ends_the_journey(
    run: Run, server: ScriptedShell
) -> None:
    visitor = run.visitor()
    await visitor.logon()
    thinking = asyncio.ensure_future(visitor.think(60.0))
    server.links[-1].abort()
    await ended(thinking)
    await visitor.leave()
    assert run.counts() == {"logon": 1, "think CONNECTION_LOST": 1}


async def test_a_farm_that_is_not_there_is_unreachable(run: Run, server: ScriptedShell) -> None:
    await server.close()
    visitor = run.visitor()
    await ended(visitor.renew())
    await visitor.leave()
    assert run.counts() == {"renew UNREACHABLE": 1}
