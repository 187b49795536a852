"""Runs one core under asyncio: feeds in what happened, performs the effects that come out.

Everything that happens is a step, a call of the core that lacks only `now`. Steps wait in one list
and run in one wake-up after the other, so a core is never called while it is being called, and all
that one wake-up says to a peer leaves in one write.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol

import structlog

from daemons.alarm import Alarm
from daemons.clock import Clock, ClockFileError
from daemons.datagrams import Datagrams
from daemons.effects import (
    Answer,
    Ask,
    Broadcast,
    Caller,
    Close,
    Core,
    Dial,
    Effect,
    EffectQueue,
    LookUp,
    Note,
    Outcome,
    Peer,
    SendDatagram,
    Tell,
    Verified,
    Verify,
)
from daemons.links import Links, Station
from daemons.logs import report_fault
from daemons.settings import Discovery, Listen
from daemons.store import Store, StoreError
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, Refused, Role, WarpClock
from tsproto.transport import Link

Step = Callable[[float], list[Effect]]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_STOPPED = 0
EXIT_STORE = 1  # the store cannot promise anything any more
EXIT_BROKEN = 70  # sysexits' EX_SOFTWARE: a fault of our own

# A commit takes milliseconds. When this much waits for one, the disk stalls, and new requests are
# better told so than kept.
EFFECTS_WAITING_MAX = 8_192
BUSY_RETRY_SECONDS = 1
LAST_COMMIT_SECONDS = 10.0  # what a stalled disk gets when the daemon is told to stop
DEADLINES_PER_WARP = 10_000  # run before WarpClock is answered; the timer runs the rest


class SessionTraffic(Protocol):
    """Whoever pumps the bytes of sessions, which no core sees."""

    def on_session_bytes(self, link: Link, data: bytes) -> None: ...
    def on_writable(self, link: Link) -> None: ...


class NoSessions:
    """For a daemon without sessions: nobody may send it session bytes."""

    def on_session_bytes(self, link: Link, data: bytes) -> None:
        raise AssertionError("session bytes on a link without a session")

    def on_writable(self, link: Link) -> None: ...


class Accounts(Protocol):
    """Who a user is; asked off the loop."""

    def verify(self, user_name: str, password: bytes) -> Awaitable[Verified]: ...
    def look_up(self, user_name: str) -> Awaitable[Verified]: ...


class Shell:
    """One daemon's process around its core. `performers` and `traffic` may be set until `run`."""

    def __init__(
        self,
        station: Station,
        store: Store,
        clock: Clock,
        *,
        accounts: Accounts | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        self.traffic: SessionTraffic = NoSessions()
        self._station = station
        self._store = store
        self._clock = clock
        self._now = clock.now()
        self._links = Links(station, self)
        self._datagrams = None if discovery is None else Datagrams(discovery, self._on_datagram)
        self._queue = EffectQueue()
        self._steps: deque[Step] = deque()
        self._hung_up: set[int] = set()  # links whose Close was decided: the core knows no more
        self._is_awake = True  # until `run`: what happens before waits for it
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._alarm = Alarm(lambda: self.call(self._run_deadline))
        self._committer: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Future[Verified]] = set()
        self._log = structlog.get_logger().bind()
        self.performers: dict[type[Effect], Callable[[Any], None]] = {
            Answer: self._links.answer,
            Ask: self._links.ask,
            Dial: self._links.dial,
            Tell: self._links.tell,
            Close: self._hang_up,
            Note: self._note,
        }
        if accounts is not None:
            self.performers[Verify] = lambda effect: self._check(
                effect.ticket, accounts.verify(effect.user_name, effect.password)
            )
            self.performers[LookUp] = lambda effect: self._check(
                effect.ticket, accounts.look_up(effect.user_name)
            )
        if self._datagrams is not None:
            datagrams = self._datagrams
            self.performers[Broadcast] = lambda effect: datagrams.broadcast(effect.datagram)
            self.performers[SendDatagram] = lambda effect: datagrams.send(
                effect.host, effect.port, effect.datagram
            )

    async def run(self, listen: Listen, make_core: Callable[[int], Core]) -> int:
        """Serve until SIGTERM, SIGINT or a failure, and give the exit status.

        `make_core` is given the port that is listened on. Raises ConfigError when an address cannot
        be had. The store stays open.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        try:
            if self._datagrams is not None:
                hears_queries = self._station.role is Role.LICENSE_SERVER
                await self._datagrams.open(hears_queries, listens_on=listen.host)
            # No link can speak before the core is there: nothing is awaited in between.
            port = await self._links.listen(listen.host, listen.port)
            self._core = make_core(port)
            gc.freeze()  # what the store held lives long: no collection need look at it
            for number in STOP_SIGNALS:
                loop.add_signal_handler(number, self.stop)
            self._is_awake = False
            self._steps.appendleft(self._core.on_start)
            ready = {"name": self._station.name, "address": listen.host, "port": port}
            self.call(lambda now: [Note("daemon.ready", ready)])
            status = await self._ended
            await self._finish(status)
        finally:
            await self._leave()
        return status

    def stop(self, status: int = EXIT_STOPPED) -> None:
        """End `run`; the first status counts."""
        if not self._ended.done():
            self._log.info("daemon.stopping", name=self._station.name)
            self._ended.set_result(status)

    # --- for whoever performs effects of its own --------------------------------------------------

    def call(self, *steps: Step) -> None:
        """Run these and perform their effects, now or right after what is being performed."""
        self._steps.extend(steps)
        self.wake()

    def answer(self, ticket: int, outcome: Outcome) -> None:
        self.call(partial(self._core.on_answer, ticket, outcome))

    def link_of(self, peer: Peer) -> Link | None:
        """None once the peer is gone."""
        return self._links.link_of(peer)

    # --- Inbox: what happens on links -------------------------------------------------------------

    def opened(self, peer: Peer) -> None:
        self._steps.append(partial(self._core.on_peer_opened, peer))

    def received(self, caller: Caller, message: Message) -> None:
        self._steps.append(partial(self._on_message, caller, message))

    def answered(self, ticket: int, outcome: Outcome) -> None:
        self._steps.append(partial(self._core.on_answer, ticket, outcome))

    def lost(self, peer: Peer) -> None:
        self._steps.append(partial(self._on_lost, peer))

    def session_bytes(self, link: Link, data: bytes) -> None:
        if self._steps:  # a new size, say, came before these bytes
            self.wake()
        self.traffic.on_session_bytes(link, data)

    def writable(self, link: Link) -> None:
        self.traffic.on_writable(link)

    def wake(self) -> None:
        """Run the steps that wait, unless that is being done."""
        self._wake_up(())

    # --- one wake-up ------------------------------------------------------------------------------

    def _wake_up(self, ready: Iterable[Effect]) -> None:
        if self._is_awake or self._has_failed():
            return
        if self._ended.done():
            self._steps.clear()  # too late to decide anything; what was decided is still said
        self._is_awake = True
        try:
            self._now = self._clock.now()
            for effect in ready:
                self._perform(effect)
            while self._steps:
                effects = self._steps.popleft()(self._now)
                self._mark_hung_up(effects)
                for effect in self._queue.add(effects):
                    self._perform(effect)
            self._links.flush()
            self._alarm.set(self._core.next_deadline(), self._now)
            if self._committer is None and len(self._queue):
                self._committer = asyncio.get_running_loop().create_task(self._commit())
        except Exception as error:
            self._fail(error)
        finally:
            self._is_awake = False

    def _perform(self, effect: Effect) -> None:
        self.performers[type(effect)](effect)

    def _mark_hung_up(self, effects: list[Effect]) -> None:
        """A core forgets a peer when it decides Close, which may have to wait for a commit."""
        for effect in effects:
            if type(effect) is Close and self.link_of(effect.peer) is not None:
                self._hung_up.add(effect.peer.link)

    def _on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if caller.peer.link in self._hung_up or self.link_of(caller.peer) is None:
            return []
        if len(self._queue) > EFFECTS_WAITING_MAX:
            if caller.request_id:
                self._links.answer(Answer(caller, _busy()))
                return []
            if caller.peer.role is Role.CLIENT:
                self._links.hang_up(
                    Close(caller.peer, ErrorCode.BUSY, retry_after_seconds=BUSY_RETRY_SECONDS)
                )
                return self._core.on_peer_lost(caller.peer, now)
        if type(message) is WarpClock:
            return self._warp(caller)
        return self._core.on_message(caller, message, now)

    def _on_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.link in self._hung_up:
            self._hung_up.discard(peer.link)
            return []
        return self._core.on_peer_lost(peer, now)

    # --- time -------------------------------------------------------------------------------------

    def _run_deadline(self, now: float) -> list[Effect]:
        deadline = self._core.next_deadline()
        is_due = deadline is not None and deadline <= now
        return self._core.on_deadline(now) if is_due else []

    def _warp(self, caller: Caller) -> list[Effect]:
        """Follow the lab's clock file, and answer when everything has happened that is due then."""
        if self._clock.file is None:
            detail = "only a lab's clock can be warped: the configuration names no clock_file"
            return [Answer(caller, Refused(code=ErrorCode.NOT_PERMITTED, detail=detail))]
        try:
            self._clock.reload()
        except ClockFileError as error:
            return [Answer(caller, Refused(code=ErrorCode.NOT_PERMITTED, detail=str(error)))]
        self._now = self._clock.now()
        self._alarm.cancel()  # the same deadline is now nearer
        effects: list[Effect] = []
        for _ in range(DEADLINES_PER_WARP):
            deadline = self._core.next_deadline()
            if deadline is None or deadline > self._now:
                break
            effects += self._core.on_deadline(self._now)
        return [*effects, Note("clock.warped", {"now": self._now}), Answer(caller, Done())]

    # --- effects ----------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Commit until nothing waits; what is decided meanwhile goes into the next commit."""
        try:
            while batch := self._queue.commit():
                await self._store.commit(batch)
                self._wake_up(self._queue.committed())
        except StoreError as error:
            self._log.critical("store.failed", error=str(error))
            self.stop(EXIT_STORE)
        except Exception as error:
            self._fail(error)
        finally:
            self._committer = None

    def _hang_up(self, effect: Close) -> None:
        self._hung_up.discard(effect.peer.link)
        self._links.hang_up(effect)

    def _note(self, effect: Note) -> None:
        self._log.info(effect.event, **effect.fields)

    def _check(self, ticket: int, work: Awaitable[Verified]) -> None:
        check = asyncio.ensure_future(work)
        self._checks.add(check)
        check.add_done_callback(partial(self._on_checked, ticket))

    def _on_checked(self, ticket: int, check: asyncio.Future[Verified]) -> None:
        self._checks.discard(check)
        if check.cancelled():
            return
        if error := check.exception():
            self._fail(error)
        else:
            self.answer(ticket, check.result())

    def _on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        self.call(partial(self._core.on_datagram, host, port, datagram))

    # --- the end ----------------------------------------------------------------------------------

    def _has_failed(self) -> bool:
        return self._ended.done() and self._ended.result() != EXIT_STOPPED

    def _fail(self, error: BaseException) -> None:
        """A fault of our own: a wrong server is worse than a stopped one."""
        report_fault(error)
        self.stop(EXIT_BROKEN)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            self._log.warning("loop.complained", message=context["message"], error=str(error))
        else:
            self._fail(error)

    async def _finish(self, status: int) -> None:
        """What was decided before the end is made durable, and said."""
        if status == EXIT_STOPPED and self._committer is not None:
            try:
                async with asyncio.timeout(LAST_COMMIT_SECONDS):
                    await asyncio.shield(self._committer)
            except TimeoutError:
                self._log.error("store.stalled", seconds=LAST_COMMIT_SECONDS)

    async def _leave(self) -> None:
        for check in self._checks:
            check.cancel()
        self._alarm.cancel()
        if self._committer is not None:
            self._committer.cancel()
            await asyncio.gather(self._committer, return_exceptions=True)
        await self._links.close()
        if self._datagrams is not None:
            self._datagrams.close()


def _busy() -> Refused:
    return Refused(
        code=ErrorCode.BUSY,
        detail="the daemon waits for its disk; try again",
        retry_after_seconds=BUSY_RETRY_SECONDS,
    )
