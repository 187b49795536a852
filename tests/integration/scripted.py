"""A daemon whose core does as a test says, on real sockets, with a store that the test releases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from daemons.clock import Clock
from daemons.effects import Answer, Caller, Effect, Endpoint, Outcome, Peer, Persist, Record
from daemons.settings import Listen
from daemons.shell import Resources, Shell
from daemons.startup import bound
from daemons.store import StoreError
from daemons.store.memory import MemoryStore
from daemons.switchboard import Step
from tests.integration.far_end import FarEnd, dialled
from tests.unit.daemons.credentials import made
from tsproto.messages import Message, Role, Servers
from tsproto.transport import LocalIdentity

HOST = "127.0.0.1"
DIRECTORY = LocalIdentity(role=Role.SESSION_DIRECTORY, name="sd", farm="north")
TERMINAL_SERVER = LocalIdentity(role=Role.TERMINAL_SERVER, name="ts1", farm="north")
CREDENTIALS = made("sd")
Reply = Callable[[Caller, Message], list[Effect]]


class Row(Record):
    table: ClassVar[str] = "rows"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int


PERSIST = Persist(put=(Row(number=1),))


class ScriptedCore:
    """Answers as a test says, and tells the test what it was told."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.welcome: Callable[[Peer], list[Effect]] = lambda peer: []
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self.deadline: float | None = None
        self.on_time: list[Effect] = []

    def on_start(self, now: float) -> list[Effect]:
        return []

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        self.told.put_nowait(("opened", peer))
        return self.welcome(peer)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self.reply(caller, message)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        self.told.put_nowait((question_id, outcome))
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
    """A shell that runs as a task of the test. `reports` is what performers report to it."""

    def __init__(self, identity: LocalIdentity, reply: Reply, **options: Any) -> None:
        self.core = ScriptedCore(reply)
        self.store = HeldStore()
        self.clock: Clock = options.pop("clock", Clock())
        self.reports: asyncio.Queue[Step] = asyncio.Queue()
        listening = bound(Listen(port=0), identity)
        self.port: int = listening.getsockname()[1]
        self.shell = Shell(
            self.core,
            Resources(
                identity=identity,
                credentials=CREDENTIALS,
                reload=options.pop("reload", lambda: (identity, CREDENTIALS)),
                listening=listening,
                store=self.store,
                clock=self.clock,
            ),
            reports=self.reports,
            **options,
        )
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> int:
        await self.store.open([Row])
        return await self.shell.run()

    def endpoint(self) -> Endpoint:
        return Endpoint(role=Role.SESSION_DIRECTORY, host=HOST, port=self.port)


@asynccontextmanager
async def daemon(identity: LocalIdentity, reply: Reply, **options: Any) -> AsyncIterator[Daemon]:
    running = Daemon(identity, reply, **options)
    try:
        yield running
    finally:
        running.store.released.set()
        running.shell.stop()
        await running.running


@asynccontextmanager
async def administrator(running: Daemon) -> AsyncIterator[FarEnd]:
    async with dialled(running.port) as who:
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


def silence(caller: Caller, message: Message) -> list[Effect]:
    return []


async def nothing_came(running: Daemon, who: FarEnd) -> None:
    """After a whole conversation with somebody else, `who` was still told nothing."""
    async with administrator(running):
        assert who.events.empty()
