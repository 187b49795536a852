"""A shell around a scripted core, over real sockets: what leaves, when, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemons.clock import Clock
from daemons.config import ConfigError
from daemons.credentials import Credentials
from daemons.effects import Caller, Close, Detach, Effect, NotProved
from daemons.events import CertificateNotLoaded, DaemonBroken, DaemonStopping, StoreFailed
from daemons.shell import EXIT_BROKEN, EXIT_STOPPED, EXIT_STORE
from daemons.store import StoreError
from daemons.switchboard import EFFECTS_WAITING_MAX
from tests.integration.scripted import (
    DIRECTORY,
    PERSIST,
    Row,
    administrator,
    daemon,
    nothing_came,
    servers,
    told,
)
from tests.unit.daemons.credentials import made
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, QueryServers, Refused, Servers, WarpClock
from tsproto.transport import LocalIdentity

# --- what leaves, and when ----------------------------------------------------------------------


async def test_an_answer_that_rests_on_nothing_leaves_at_once() -> None:
    async with daemon(DIRECTORY, servers()) as running, administrator(running) as who:
        who.request(QueryServers())
        assert await who.answer() == Servers(request_id=1, servers=[])


async def test_an_answer_leaves_only_after_the_commit_that_it_rests_on() -> None:
    async with daemon(DIRECTORY, servers(PERSIST)) as running, administrator(running) as who:
        who.request(QueryServers())
        assert await running.store.begun.get() == [PERSIST]
        await nothing_came(running, who)
        running.store.released.set()
        assert isinstance(await who.answer(), Servers)
        assert await running.store.load(Row) == [Row(number=1)]


async def test_what_is_decided_during_a_commit_goes_into_the_next_one_together() -> None:
    async with daemon(DIRECTORY, servers(PERSIST)) as running, administrator(running) as who:
        who.request(QueryServers())
        await running.store.begun.get()
        for _ in range(3):
            who.request(QueryServers())
        await nothing_came(running, who)
        running.store.released.set()
        assert await running.store.begun.get() == [PERSIST] * 3
        assert [(await who.answer()).request_id for _ in range(4)] == [1, 2, 3, 4]


async def test_a_deadline_is_kept() -> None:
    async with daemon(DIRECTORY, servers()) as running, administrator(running) as who:
        due = running.clock.now() + 0.01
        running.core.deadline = due
        who.request(QueryServers())
        assert await told(running, "deadline") >= due


async def test_what_a_performer_reports_reaches_the_core() -> None:
    async with daemon(DIRECTORY, servers()) as running:
        outcome = NotProved(ErrorCode.LOGON_FAILED)
        running.reports.put_nowait(partial(running.core.on_answer, 7, outcome))
        assert await told(running, 7) == outcome


async def test_an_effect_of_one_kind_of_daemon_goes_to_its_performer() -> None:
    detach, performed = Detach(7), asyncio.Queue[Effect]()
    async with (
        daemon(DIRECTORY, servers(detach), performers={Detach: performed.put_nowait}) as running,
        administrator(running) as who,
    ):
        who.request(QueryServers())
        assert await performed.get() == detach


async def test_a_stalled_disk_makes_new_requests_busy() -> None:
    waiting = [DaemonStopping(name="ls1")] * EFFECTS_WAITING_MAX
    reply = servers(PERSIST, *waiting)
    async with daemon(DIRECTORY, reply) as running, administrator(running) as who:
        who.request(QueryServers())
        await running.store.begun.get()
        who.request(QueryServers())
        refused = await who.answer()
        assert isinstance(refused, Refused)
        assert (refused.request_id, refused.code) == (2, ErrorCode.BUSY)
        assert refused.retry_after_seconds == 1


async def test_a_peer_that_was_hung_up_on_is_told_why_and_is_not_heard_of_again() -> None:
    def reply(caller: Caller, message: Message) -> list[Effect]:
        return [PERSIST, Close(caller.peer, ErrorCode.NOT_PERMITTED, "not you")]

    async with daemon(DIRECTORY, reply) as running, administrator(running) as who:
        hung_up_on = await told(running, "opened")
        who.request(QueryServers())
        await running.store.begun.get()
        running.core.reply = lambda caller, message: pytest.fail("the core hung up on this peer")
        who.request(QueryServers())
        await nothing_came(running, who)
        running.store.released.set()
        closed = await who.closed()
        assert (closed.code, closed.detail) == (ErrorCode.NOT_PERMITTED, "not you")
        assert await told(running, "lost") != hung_up_on
        async with administrator(running):
            pass
        assert await told(running, "lost") != hung_up_on


async def test_a_peer_that_leaves_before_it_is_hung_up_on_is_not_heard_of_again() -> None:
    def reply(caller: Caller, message: Message) -> list[Effect]:
        return [PERSIST, Close(caller.peer, ErrorCode.NOT_PERMITTED)]

    async with daemon(DIRECTORY, reply) as running:
        async with administrator(running) as who:
            hung_up_on = await told(running, "opened")
            who.request(QueryServers())
            await running.store.begun.get()
        async with administrator(running):
            pass
        assert await told(running, "lost") != hung_up_on


# --- the lab's clock ------------------------------------------------------------------------------


async def test_a_clock_that_belongs_to_no_lab_is_not_warped() -> None:
    async with daemon(DIRECTORY, servers()) as running, administrator(running) as who:
        who.request(WarpClock())
        refused = await who.answer()
        assert isinstance(refused, Refused)
        assert refused.code is ErrorCode.NOT_PERMITTED


async def test_a_warp_is_done_when_everything_due_has_happened_durably(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    async with (
        daemon(DIRECTORY, servers(), clock=clock) as running,
        administrator(running) as who,
    ):
        running.core.deadline = clock.now() + 5000
        running.core.on_time = [PERSIST]
        (tmp_path / "clock").write_text("6000")
        who.request(WarpClock())
        assert await running.store.begun.get() == [PERSIST]
        await told(running, "deadline")
        await nothing_came(running, who)
        running.store.released.set()
        assert isinstance(await who.answer(), Done)


async def test_after_a_warp_the_next_deadline_is_nearer(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    async with (
        daemon(DIRECTORY, servers(), clock=clock) as running,
        administrator(running) as who,
    ):
        due = clock.now() + 5000.1
        running.core.deadline = due
        who.request(QueryServers())
        await who.answer()
        (tmp_path / "clock").write_text("5000")
        who.request(WarpClock())
        assert await told(running, "deadline") >= due


# --- the identity ---------------------------------------------------------------------------------


async def test_a_hang_up_gives_the_core_the_new_credentials() -> None:
    new, taken = made("sd"), asyncio.Queue[Credentials]()
    reload = partial(lambda found: found, (DIRECTORY, new))
    async with (
        daemon(DIRECTORY, servers(), reload=reload, renew=taken.put_nowait) as running,
        administrator(running) as who,
    ):
        os.kill(os.getpid(), signal.SIGHUP)
        assert await taken.get() is new
        who.request(QueryServers())
        assert isinstance(await who.answer(), Servers)


async def test_files_that_cannot_be_used_change_nothing() -> None:
    def reload() -> tuple[LocalIdentity, Credentials]:
        read.set()
        raise ConfigError("identity.key: broken")

    read, taken = asyncio.Event(), asyncio.Queue[Credentials]()
    with capture_logs() as lines:
        async with (
            daemon(DIRECTORY, servers(), reload=reload, renew=taken.put_nowait) as running,
            administrator(running) as who,
        ):
            os.kill(os.getpid(), signal.SIGHUP)
            await read.wait()
            who.request(QueryServers())
            assert isinstance(await who.answer(), Servers)
            assert taken.empty()
    said = [line["event"] for line in lines]
    assert CertificateNotLoaded(error="identity.key: broken") in said


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_was_decided_be_committed_and_said(number: signal.Signals) -> None:
    async with daemon(DIRECTORY, servers(PERSIST)) as running, administrator(running) as who:
        who.request(QueryServers())
        await running.store.begun.get()
        os.kill(os.getpid(), number)
        await nothing_came(running, who)
        who.request(QueryServers())  # too late
        await nothing_came(running, who)
        running.store.released.set()
        assert isinstance(await who.answer(), Servers)
        assert (await who.closed()).code is ErrorCode.SHUTTING_DOWN
        assert await running.running == EXIT_STOPPED


async def test_a_store_that_fails_stops_the_daemon_before_anything_is_promised() -> None:
    with capture_logs() as lines:
        async with daemon(DIRECTORY, servers(PERSIST)) as running, administrator(running) as who:
            running.store.failure = StoreError("the disk is full")
            running.store.released.set()
            who.request(QueryServers())
            assert (await who.closed()).code is ErrorCode.SHUTTING_DOWN
            assert await running.running == EXIT_STORE
    assert StoreFailed(error="the disk is full") in [line["event"] for line in lines]


async def test_a_fault_of_the_core_stops_the_daemon() -> None:
    def broken(caller: Caller, message: Message) -> list[Effect]:
        raise KeyError("a fault")

    with capture_logs() as lines:
        async with daemon(DIRECTORY, broken) as running, administrator(running) as who:
            who.request(QueryServers())
            assert (await who.closed()).code is ErrorCode.SHUTTING_DOWN
            assert await running.running == EXIT_BROKEN
    (found,) = [e for line in lines if isinstance(e := line["event"], DaemonBroken)]
    assert found.error == "KeyError: 'a fault'"
    assert found.at[-1].endswith(" broken")


async def test_a_fault_beside_the_core_stops_the_daemon_too() -> None:
    def broken() -> None:
        raise RuntimeError("a fault")

    async with daemon(DIRECTORY, servers()) as running, administrator(running):
        asyncio.get_running_loop().call_soon(broken)
        assert await running.running == EXIT_BROKEN


async def test_an_effect_that_nobody_performs_stops_the_daemon() -> None:
    async with (
        daemon(DIRECTORY, servers(Detach(7))) as running,
        administrator(running) as who,
    ):
        who.request(QueryServers())
        assert await running.running == EXIT_BROKEN


async def test_a_store_that_fails_while_the_daemon_stops_ends_it_without_a_promise() -> None:
    async with daemon(DIRECTORY, servers(PERSIST)) as running, administrator(running) as who:
        who.request(QueryServers())
        await running.store.begun.get()
        running.shell.stop()
        running.store.failure = StoreError("the disk is full")
        running.store.released.set()
        assert (await who.closed()).code is ErrorCode.SHUTTING_DOWN
        assert await running.running == EXIT_STOPPED
