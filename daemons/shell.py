"""Runs one core under asyncio: sockets, clock, timers, store and signals for its switchboard."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from daemons import events
from daemons.alarm import Alarm
from daemons.certificate_watch import CertificateWatch
from daemons.clock import Clock
from daemons.credentials import Credentials
from daemons.datagrams import Datagrams
from daemons.effects import Answer, Caller, Core, Effect, Endpoint, Peer, Performers, Persist, Warp
from daemons.files.clock_file import ClockFileError
from daemons.links import Links, SessionTraffic
from daemons.logs import log, report_fault
from daemons.settings import Discovery
from daemons.store import Store, StoreError
from daemons.switchboard import Step, Switchboard
from tsproto import limits
from tsproto.deny_list import DenyLists
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Refused, Role
from tsproto.printable import detail_of
from tsproto.transport import Link, LocalIdentity

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_STOPPED = 0
EXIT_STORE = 1  # the store cannot promise anything any more
EXIT_BROKEN = 70  # sysexits' EX_SOFTWARE: a fault of our own

LAST_COMMIT_SECONDS = 10.0  # what a stalled disk gets when the daemon is told to stop


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon's own, for its shell. `listening` is bound, and accepts nobody yet. `reload` reads
    the files of the identity again; it raises TsfarmError."""

    identity: LocalIdentity
    credentials: Credentials
    reload: Callable[[], tuple[LocalIdentity, Credentials]]
    listening: socket.socket
    store: Store
    clock: Clock
    connections_max: int = limits.CONNECTIONS_MAX


class Shell:
    """One daemon's process around its core, to be made while its loop runs.

    `performers` perform the effects of one kind of daemon, and put
    what becomes of them into `reports`, also before `run`. `renew` gives the core new credentials.
    """

    def __init__(
        self,
        core: Core,
        resources: Resources,
        *,
        discovery: Discovery | None = None,
        performers: Performers | None = None,
        traffic: SessionTraffic | None = None,
        reports: asyncio.Queue[Step] | None = None,
        renew: Callable[[Credentials], None] | None = None,
    ) -> None:
        self._core = core
        self._resources = resources
        self._clock = resources.clock
        self._reports = asyncio.Queue() if reports is None else reports
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._deadline = Alarm(self._loop.call_later, self._on_deadline)
        self._renew = renew
        self._watch = _watch(resources.credentials)
        self._expiry = Alarm(self._loop.call_later, self._look_at_certificate)
        self._committer: asyncio.Task[None] | None = None
        self._switchboard = Switchboard[Link](
            core, self, resources.identity.deny_lists or DenyLists()
        )
        self._timeout = Alarm(self._loop.call_later, partial(self._turn, self._switchboard.turn))
        self._links = Links(resources.identity, self._switchboard, traffic, self._wake)
        self._datagrams = Datagrams(discovery, self._on_datagram) if discovery else None
        self._performers: Performers = {
            Warp: self._warp,
            **(self._datagrams.performers if self._datagrams else {}),
            **(performers or {}),
        }

    async def run(self) -> int:
        """Serve until a stop signal or a failure, and give the exit status; the store stays open.
        Raises ConfigError when an address for discovery cannot be had."""
        self._loop.set_exception_handler(self._on_loop_error)
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self.stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        gc.freeze()  # what the core took from the store lives long: no collection need look at it
        reports = self._loop.create_task(self._take_reports())
        host, port = self._resources.listening.getsockname()[:2]
        try:
            if self._datagrams is not None:
                hears_queries = self._resources.identity.role is Role.LICENSE_SERVER
                await self._datagrams.open(hears_queries, listens_on=host)
            self._switchboard.add(self._core.on_start)
            ready = events.DaemonReady(name=self._resources.identity.name, address=host, port=port)
            self._call(lambda now: [ready, *self._watch.loaded(now)])
            self._look_at_certificate()
            self._links.accept(self._resources.listening, self._resources.connections_max)
            status = await self._ended
            await self._finish(status)
        finally:
            reports.cancel()
            await self._leave()
        return status

    def stop(self, status: int = EXIT_STOPPED) -> None:
        """End `run`; the first status counts."""
        if status == EXIT_STOPPED:
            self._switchboard.stop_deciding()
        else:
            self._switchboard.halt()
        if not self._ended.done():
            log(events.DaemonStopping(name=self._resources.identity.name))
            self._ended.set_result(status)

    def link_of(self, peer: Peer) -> Link | None:
        """None once the peer is gone."""
        return self._switchboard.line_of(peer)

    # --- one turn ---------------------------------------------------------------------------------

    def _call(self, step: Step) -> None:
        self._switchboard.add(step)
        self._wake()

    def _wake(self) -> None:
        """Run the steps that wait, unless that is being done."""
        if self._switchboard.steps and not self._switchboard.is_turning:
            self._turn(self._switchboard.turn)

    def _turn(self, turn: Callable[[float, float], None]) -> None:
        try:
            now, ticks = self._clock.now(), self._loop.time()
            turn(now, ticks)
            self._deadline.set(self._core.next_deadline(), now)
            self._timeout.set(self._switchboard.next_timeout, ticks)
        except Exception as error:
            self._fail(error)

    def _on_deadline(self) -> None:
        self._switchboard.run_deadline()
        self._wake()

    def _on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        self._call(partial(self._core.on_datagram, host, port, datagram))

    async def _take_reports(self) -> None:
        while True:
            self._call(await self._reports.get())

    # --- the certificate --------------------------------------------------------------------------

    def _reload(self) -> None:
        """Links that stand keep the certificate that their peers have seen."""
        try:
            identity, credentials = self._resources.reload()
        except TsfarmError as error:
            log(events.CertificateNotLoaded(error=str(error)))
            return
        self._links.take(identity)
        self._watch = _watch(credentials)
        if self._renew is not None:
            self._renew(credentials)
        self._call(self._watch.loaded)
        self._look_at_certificate()

    def _look_at_certificate(self) -> None:
        now = self._clock.now()
        if now >= self._watch.next_deadline():
            self._call(self._watch.on_deadline)
        self._expiry.set(self._watch.next_deadline(), now)

    # --- the switchboard's hands ------------------------------------------------------------------

    def dial(self, endpoint: Endpoint) -> None:
        self._links.dial(endpoint)

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, events.Event):
            log(effect)
        else:
            self._performers[type(effect)](effect)

    def _warp(self, effect: Warp) -> None:
        try:
            self._clock.reload()
        except ClockFileError as error:
            refused = Refused(code=ErrorCode.NOT_PERMITTED, detail=detail_of(str(error)))
            self._switchboard.add(lambda now: [Answer(effect.caller, refused)])
        else:
            self._loop.call_soon(self._warped, effect.caller)

    def _warped(self, caller: Caller) -> None:
        self._deadline.cancel()  # the same deadline is now nearer
        self._switchboard.warped(caller)
        self._wake()
        self._look_at_certificate()

    def commit(self, batch: list[Persist]) -> None:
        self._committer = self._loop.create_task(self._commit(batch))

    async def _commit(self, batch: list[Persist]) -> None:
        try:
            await self._resources.store.commit(batch)
        except StoreError as error:
            log(events.StoreFailed(error=str(error)))
            self.stop(EXIT_STORE)
            return
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._committer = None
        self._turn(self._switchboard.committed)

    # --- the end ----------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """A fault of our own: a wrong server is worse than a stopped one."""
        report_fault(error)
        self.stop(EXIT_BROKEN)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            log(events.LoopComplained(message=context["message"], error=str(error)))
        else:
            self._fail(error)

    async def _finish(self, status: int) -> None:
        """What was decided before the end is made durable, and said."""
        if status == EXIT_STOPPED:
            try:
                async with asyncio.timeout(LAST_COMMIT_SECONDS):
                    while self._committer is not None:
                        await asyncio.shield(self._committer)
            except TimeoutError:
                log(events.StoreStalled(seconds=LAST_COMMIT_SECONDS))

    async def _leave(self) -> None:
        self._deadline.cancel()
        self._timeout.cancel()
        self._expiry.cancel()
        if self._committer is not None:
            self._committer.cancel()
            await asyncio.gather(self._committer, return_exceptions=True)
        await self._links.close()
        if self._datagrams is not None:
            self._datagrams.close()


def _watch(credentials: Credentials) -> CertificateWatch:
    return CertificateWatch(credentials.name, credentials.certificate)
