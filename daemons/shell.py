"""Runs one core under asyncio: clock, store, signals and datagrams around its switchboard."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from daemons.alarm import Alarm
from daemons.clock import Clock, ClockFileError
from daemons.datagrams import Datagrams
from daemons.effects import (
    Answer,
    Broadcast,
    Caller,
    Core,
    Effect,
    LookUp,
    Note,
    Outcome,
    Peer,
    Persist,
    SendDatagram,
    Verified,
    Verify,
)
from daemons.events import Event
from daemons.links import Links, SessionTraffic, Station
from daemons.logs import log, report_fault
from daemons.settings import Discovery, Listen
from daemons.store import Store, StoreError
from daemons.switchboard import Step, Switchboard
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, Refused, Role, WarpClock
from tsproto.transport import Link

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_STOPPED = 0
EXIT_STORE = 1  # the store cannot promise anything any more
EXIT_BROKEN = 70  # sysexits' EX_SOFTWARE: a fault of our own

LAST_COMMIT_SECONDS = 10.0  # what a stalled disk gets when the daemon is told to stop
DEADLINES_PER_WARP = 10_000  # run before WarpClock is answered; the timer runs the rest


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
        self._station = station
        self._store = store
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._links = Links(station, self.wake)
        self._datagrams = None if discovery is None else Datagrams(discovery, self._on_datagram)
        self._is_running = False  # until `run`: what happens before waits for it
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._alarm = Alarm(self._on_alarm)
        self._timeout: asyncio.TimerHandle | None = None
        self._committer: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Future[Verified]] = set()
        self._log = structlog.get_logger().bind()
        self.dial = self._links.dial
        self.performers: dict[type[Effect], Callable[[Any], None]] = {Note: self._note}
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

    @property
    def traffic(self) -> SessionTraffic:
        return self._links.traffic

    @traffic.setter
    def traffic(self, traffic: SessionTraffic) -> None:
        self._links.traffic = traffic

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
            core = _Warping(make_core(port), self._warp)
            self._switchboard = self._links.switchboard = Switchboard(core, self)
            self._switchboard.performers |= self.performers
            gc.freeze()  # what the store held lives long: no collection need look at it
            for number in STOP_SIGNALS:
                loop.add_signal_handler(number, self.stop)
            self._is_running = True
            self._switchboard.add(core.on_start)
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
        for step in steps:
            self._switchboard.add(step)
        self.wake()

    def answer(self, ticket: int, outcome: Outcome) -> None:
        self._switchboard.answer(ticket, outcome)
        self.wake()

    def link_of(self, peer: Peer) -> Link | None:
        """None once the peer is gone."""
        line = self._switchboard.line_of(peer)
        return line if isinstance(line, Link) else None

    # --- one wake-up ------------------------------------------------------------------------------

    def wake(self) -> None:
        """Run the steps that wait, unless that is being done."""
        if self._is_running and not self._switchboard.is_awake:
            self._turn(())

    def _turn(self, ready: Sequence[Effect]) -> None:
        switchboard = self._switchboard
        if self._ended.done():
            switchboard.drop_steps()  # too late to decide anything; what was decided is still said
        try:
            switchboard.turn(self._clock.now(), self._loop.time(), ready)
            self._alarm.set(switchboard.core.next_deadline(), switchboard.now)
            if switchboard.may_time_out:
                self._set_timeout()
        except Exception as error:
            self._fail(error)

    def _set_timeout(self) -> None:
        when = self._switchboard.next_timeout()
        if self._timeout is None:
            if when is not None:
                self._timeout = self._loop.call_at(when, self._on_timeout)
        elif when is None or when < self._timeout.when():
            self._timeout.cancel()
            self._timeout = None if when is None else self._loop.call_at(when, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timeout = None
        self.wake()

    def _on_alarm(self) -> None:
        self._switchboard.run_deadline()
        self.wake()

    # --- time -------------------------------------------------------------------------------------

    def _warp(self, core: Core, caller: Caller) -> list[Effect]:
        """Follow the lab's clock file, and answer when everything has happened that is due then."""
        if self._clock.file is None:
            detail = "only a lab's clock can be warped: the configuration names no clock_file"
            return [Answer(caller, Refused(code=ErrorCode.NOT_PERMITTED, detail=detail))]
        try:
            self._clock.reload()
        except ClockFileError as error:
            return [Answer(caller, Refused(code=ErrorCode.NOT_PERMITTED, detail=str(error)))]
        now = self._switchboard.now = self._clock.now()
        self._alarm.cancel()  # the same deadline is now nearer
        effects: list[Effect] = []
        for _ in range(DEADLINES_PER_WARP):
            deadline = core.next_deadline()
            if deadline is None or deadline > now:
                break
            effects += core.on_deadline(now)
        return [*effects, Note("clock.warped", {"now": now}), Answer(caller, Done())]

    # --- effects ----------------------------------------------------------------------------------

    def commit(self, batch: list[Persist]) -> None:
        self._committer = self._loop.create_task(self._commit(batch))

    async def _commit(self, batch: list[Persist]) -> None:
        try:
            await self._store.commit(batch)
            self._committer = None
            if not self._has_failed():
                self._turn(self._switchboard.queue.committed())
        except StoreError as error:
            self._log.critical("store.failed", error=str(error))
            self.stop(EXIT_STORE)
        except Exception as error:
            self._fail(error)

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, Event):
            log(effect)
            return
        raise AssertionError(f"nobody performs {effect}")

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
        self.call(partial(self._switchboard.core.on_datagram, host, port, datagram))

    # --- the end ----------------------------------------------------------------------------------

    def _has_failed(self) -> bool:
        return self._ended.done() and self._ended.result() != EXIT_STOPPED

    def _fail(self, error: BaseException) -> None:
        """A fault of our own: a wrong server is worse than a stopped one."""
        if hasattr(self, "_switchboard"):
            self._switchboard.is_over = True
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
                    while self._committer is not None:
                        await asyncio.shield(self._committer)
            except TimeoutError:
                self._log.error("store.stalled", seconds=LAST_COMMIT_SECONDS)

    async def _leave(self) -> None:
        for check in self._checks:
            check.cancel()
        self._alarm.cancel()
        if self._timeout is not None:
            self._timeout.cancel()
        if self._committer is not None:
            self._committer.cancel()
            await asyncio.gather(self._committer, return_exceptions=True)
        await self._links.close()
        if self._datagrams is not None:
            self._datagrams.close()


class _Warping:
    """A core behind the one message that is for its shell."""

    def __init__(self, core: Core, warp: Callable[[Core, Caller], list[Effect]]) -> None:
        self._core = core
        self._warp = warp
        self.on_start = core.on_start
        self.on_peer_opened = core.on_peer_opened
        self.on_answer = core.on_answer
        self.on_peer_lost = core.on_peer_lost
        self.on_datagram = core.on_datagram
        self.next_deadline = core.next_deadline
        self.on_deadline = core.on_deadline

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if type(message) is WarpClock:
            return self._warp(self._core, caller)
        return self._core.on_message(caller, message, now)
