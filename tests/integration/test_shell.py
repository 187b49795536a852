"""A shell around a scripted core, over real sockets: what leaves, when, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from structlog.testing import capture_logs

from daemons.clock import Clock
from daemons.effects import (
    Answer,
    Ask,
    Caller,
    Close,
    Dial,
    Effect,
    Endpoint,
    Failed,
    LookUp,
    Note,
    Outcome,
    Peer,
    Persist,
    Record,
    Verified,
    Verify,
)
from daemons.links import Station
from daemons.settings import Listen
from daemons.shell import (
    EFFECTS_WAITING_MAX,
    EXIT_BROKEN,
    EXIT_STOPPED,
    EXIT_STORE,
    Shell,
)
from daemons.store import StoreError
from daemons.store.memory import MemoryStore
from tests.integration.administrator import Administrator
from tests.integration.administrator import administrator as dialled_administrator
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    Message,
    QueryServers,
    QuerySessions,
    Refused,
    Role,
    Servers,
    WarpClock,
)

HOST = "127.0.0.1"
DIRECTORY = Station(role=Role.SESSION_DIRECTORY, name="sd", farm="north")
TERMINAL_SERVER = Station(role=Role.TERMINAL_SERVER, name="ts1", farm="north")
Reply = Callable[[Caller, Message], list[Effect]]


class Row(Record, frozen=True, kw_only=True):
    table: ClassVar[str] = "rows"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int


PERSIST = Persist(put=(Row(number=1),))


class ScriptedCore:
    """Answers as a test says, and tells the test what it was told."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self.deadline: float | None = None
        self.on_time: list[Effect] = []

    def on_start(self, now: float) -> list[Effect]:
        return []

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        self.told.put_nowait(("opened", peer))
        return []

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self.reply(caller, message)

    def on_answer(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        self.told.put_nowait((ticket, outcome))
        return []

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        self.told.put_nowait(("lost", peer))
        return []

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return []

    def next_deadline(self) -> float | None:
        return self.deadline

    def on_deadline(self, now: float) -> list[Effect]:
        self.deadline = None
        self.told.put_nowait(("deadline", now))
        return self.on_time


class HeldStore(MemoryStore):
    """Commits when the test releases it; what a commit holds is told first."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: asyncio.Queue[Sequence[Persist]] = asyncio.Queue()
        self.released = asyncio.Event()
        self.failure: StoreError | None = None

    async def commit(self, changes: Sequence[Persist]) -> None:
        self.begun.put_nowait(changes)
        await self.released.wait()
        if self.failure is not None:
            raise self.failure
        await super().commit(changes)


class Daemon:
    """A shell that runs as a task of the test."""

    def __init__(self, station: Station, reply: Reply, **options: Any) -> None:
        self.core = ScriptedCore(reply)
        self.store = HeldStore()
        self.clock: Clock = options.pop("clock", Clock())
        self.shell = Shell(station, self.store, self.clock, **options)
        self.listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> int:
        await self.store.open("test", [Row])
        return await self.shell.run(Listen(port=0), self._make_core)

    def _make_core(self, port: int) -> ScriptedCore:
        self.listening.set_result(port)
        return self.core

    async def endpoint(self) -> Endpoint:
        role = Role.SESSION_DIRECTORY
        return Endpoint(role=role, host=HOST, port=await self.listening)


@asynccontextmanager
async def daemon(station: Station, reply: Reply, **options: Any) -> AsyncIterator[Daemon]:
    running = Daemon(station, reply, **options)
    try:
        yield running
    finally:
        running.store.released.set()
        running.shell.stop()
        await running.running


@asynccontextmanager
async def administrator(running: Daemon) -> AsyncIterator[Administrator]:
    async with dialled_administrator(await running.listening) as who:
        yield who


async def told(running: Daemon, kind: object) -> Any:
    """What the core was told next, connections opened aside."""
    while True:
        first, second = await running.core.told.get()
        if first != "opened" or kind == "opened":
            assert first == kind, (first, second)
            return second


def servers(*effects: Effect) -> Reply:
    """Do these, then answer."""
    return lambda caller, message: [*effects, Answer(caller, Servers(servers=[]))]


async def nothing_came(running: Daemon, who: Administrator) -> None:
    """After a whole conversation with somebody else, `who` was still told nothing."""
    async with administrator(running):
        assert who.events.empty()


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


class OneAccount:
    async def verify(self, user_name: str, password: bytes) -> Verified:
        if user_name != "ann":
            raise RuntimeError("no such account")
        return Verified(accepted=password == b"pw", system_user="lab")

    async def look_up(self, user_name: str) -> Verified:
        return Verified(accepted=user_name == "ann", system_user="lab")


@pytest.mark.parametrize("check", [Verify("ann", b"pw", 7), LookUp("ann", 7)])
async def test_who_a_user_is_comes_back_with_its_ticket(check: Effect) -> None:
    async with (
        daemon(DIRECTORY, servers(check), accounts=OneAccount()) as running,
        administrator(running) as who,
    ):
        who.request(QueryServers())
        assert await told(running, 7) == Verified(accepted=True, system_user="lab")


async def test_a_stalled_disk_makes_new_requests_busy() -> None:
    waiting = [Note("row.kept")] * EFFECTS_WAITING_MAX
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


# --- asking other daemons -------------------------------------------------------------------------


def asking(endpoint: Endpoint, timeout_seconds: float = 5.0) -> Reply:
    """Whatever an administrator asks, join the farm at this endpoint; the first ticket is 5."""
    tickets = itertools.count(5)

    def reply(caller: Caller, message: Message) -> list[Effect]:
        join = JoinFarm(address=HOST, port=1, incarnation=bytes(16))
        return [Ask(endpoint, join, next(tickets), timeout_seconds)]

    return reply


def joined(caller: Caller, message: Message) -> list[Effect]:
    return [Answer(caller, Joined(generation=bytes(16)))]


def silence(caller: Caller, message: Message) -> list[Effect]:
    return []


async def test_an_ask_dials_once_and_its_answers_come_back_with_their_tickets() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = await directory.endpoint()
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            who.request(QuerySessions())
            for ticket, request_id in ((5, 1), (6, 2)):
                answer = await told(running, ticket)
                assert answer == Joined(request_id=request_id, generation=bytes(16))


async def test_the_core_is_told_of_a_link_that_it_dialled() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = await directory.endpoint()
        reply: Reply = lambda caller, message: [Dial(endpoint, 6)]  # noqa: E731
        async with daemon(TERMINAL_SERVER, reply) as running, administrator(running) as who:
            await told(running, "opened")
            who.request(QuerySessions())
            peer = await told(running, "opened")
            assert (peer.dialled, peer.name) == (endpoint, "sd")


async def test_an_endpoint_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server((HOST, 0)) as taken:
        endpoint = Endpoint(role=Role.SESSION_DIRECTORY, host=HOST, port=taken.getsockname()[1])
    async with daemon(TERMINAL_SERVER, asking(endpoint)) as running, administrator(running) as who:
        who.request(QuerySessions())
        failed = await told(running, 5)
        assert failed.code is ErrorCode.UNREACHABLE


async def test_a_daemon_of_another_name_is_not_asked() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = msgspec.structs.replace(await directory.endpoint(), name="other")
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            failed = await told(running, 5)
            assert failed.code is ErrorCode.WRONG_ROLE


async def test_an_ask_that_is_not_answered_in_time_fails() -> None:
    async with daemon(DIRECTORY, silence) as directory:
        ask = asking(await directory.endpoint(), timeout_seconds=0.1)
        async with daemon(TERMINAL_SERVER, ask) as running, administrator(running) as who:
            who.request(QuerySessions())
            assert await told(running, 5) == Failed(ErrorCode.UNANSWERED, "no answer came in time")


async def test_an_ask_that_was_answered_does_not_fail_later() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        ask = asking(await directory.endpoint(), timeout_seconds=0.1)
        async with daemon(TERMINAL_SERVER, ask) as running, administrator(running) as who:
            who.request(QuerySessions())
            assert isinstance(await told(running, 5), Joined)
            directory.core.reply = silence
            who.request(QuerySessions())
            assert isinstance(await told(running, 6), Failed)


async def test_when_a_link_is_lost_its_asks_fail_and_then_the_peer_is_lost() -> None:
    def hang_up(caller: Caller, message: Message) -> list[Effect]:
        return [Close(caller.peer, ErrorCode.NOT_PERMITTED, "not you")]

    async with daemon(DIRECTORY, hang_up) as directory:
        endpoint = await directory.endpoint()
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            assert await told(running, 5) == Failed(ErrorCode.NOT_PERMITTED, "not you")
            assert (await told(running, "lost")).dialled == endpoint


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
    (line,) = [line for line in lines if line["event"] == "store.failed"]
    assert (line["log_level"], line["error"]) == ("critical", "the disk is full")


async def test_a_fault_of_the_core_stops_the_daemon() -> None:
    def broken(caller: Caller, message: Message) -> list[Effect]:
        raise KeyError("a fault")

    with capture_logs() as lines:
        async with daemon(DIRECTORY, broken) as running, administrator(running) as who:
            who.request(QueryServers())
            assert (await who.closed()).code is ErrorCode.SHUTTING_DOWN
            assert await running.running == EXIT_BROKEN
    (line,) = [line for line in lines if line["event"] == "daemon.broken"]
    assert line["error"] == "KeyError: 'a fault'"
    assert line["at"][-1].endswith(" broken")


async def test_a_fault_beside_the_core_stops_the_daemon_too() -> None:
    reply = servers(Verify("bob", b"pw", 7))
    async with (
        daemon(DIRECTORY, reply, accounts=OneAccount()) as running,
        administrator(running) as who,
    ):
        who.request(QueryServers())
        assert await running.running == EXIT_BROKEN
