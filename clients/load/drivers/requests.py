"""Bare requests to a license server or session directory, over links that act as terminal servers.

Measures a server without users and terminals around it. A journey is a small state machine: it
sends a request, and on the answer the next one on the same link. There is no task for a journey,
and one write for each link and wake-up.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from clients.load.drivers.journeys import chooser
from clients.load.drivers.request_link import Hear, Journey, Move, RequestLink, Say
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment
from clients.logon.steps import Host
from clients.say import show
from tsproto import certificates, identity, limits, transport
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Role

S = TypeVar("S")

SWEEP_SECONDS = 1.0  # between searches for requests without an answer or a link
RUN_BYTES = 3
OPENING_AT_ONCE = limits.HANDSHAKES_MAX // 2


class Requests(Generic[S]):
    """A `Driver` of bare requests, each about a subject: a device, or a user."""

    asks: ClassVar[Role]
    """The role of the servers."""

    def __init__(
        self,
        assignment: Assignment,
        measures: Measures,
        on_violation: Callable[[str, str], None],
        rng: Any,
    ) -> None:
        self.in_flight = 0
        self.on_finished: Callable[[], None] = lambda: None
        self.measures = measures
        self.on_violation = on_violation
        self._assignment = assignment
        self._run = os.urandom(RUN_BYTES).hex()  # tells apart two runs at one time
        self._links: list[RequestLink[S]] = []
        self._turns: Iterator[RequestLink[S]] = iter(())
        self._serving: RequestLink[S] | None = None
        self._unflushed: list[RequestLink[S]] = []
        # The first steps of journeys that found no link open.
        self._stranded: list[str] = []
        self._lost: set[Host] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        moves = self.moves()
        self._choose = chooser(
            [
                (tuple(moves[act.do] for act in journey.acts), journey.weight)
                for journey in assignment.scenario.journeys
            ],
            rng,
        )

    # --- what is asked: for the two kinds of driver -----------------------------------------------

    @abstractmethod
    def acts(self) -> dict[str, tuple[Say[S], Hear[S] | None]]:
        """For each act that a scenario may name (its `do`): the message to send, and the check of
        its answer, None for a notification."""

    def moves(self) -> dict[str, Move[S]]:
        latencies = self.measures.latencies
        return {name: Move(name, *both, latencies(name)) for name, both in self.acts().items()}

    @abstractmethod
    def subject(self, link: RequestLink[S], first: Move[S]) -> S:
        """The device or user of a new journey on this link whose first move is `first`."""

    def release(self, subject: S) -> None:
        """Called when the subject's journey has succeeded."""

    async def introduce(self, link: RequestLink[S]) -> None:
        """Send what a new link needs before requests. Raises TsfarmError."""

    # --- as a driver ------------------------------------------------------------------------------

    async def open(self) -> None:
        hosts = self._assignment.farm.hosts(self.asks)
        if not hosts:
            raise TsfarmError(f"the farm has no {identity.ROLE_WORDS[self.asks]} to ask")
        sources = itertools.cycle(self._assignment.sources or ("",))
        for index in range(self._assignment.links):
            name, tls, certificate = self._credentials(index)
            host = hosts[index % len(hosts)]
            link = RequestLink(self, host, name, tls, next(sources), certificate)
            self._links.append(link)
        self._turns = itertools.cycle(self._links)
        turns = asyncio.Semaphore(OPENING_AT_ONCE)
        opening = [asyncio.create_task(self._open(link, turns)) for link in self._links]
        try:
            await asyncio.gather(*opening)
        finally:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
        self._sweep()

    def begin(self, due: float) -> bool:
        link = self._serving
        if link is None or link.is_full:
            link = self._link_with_room()
        if link is None and any(each.stands for each in self._links):
            return False
        moves = self._choose()
        self.in_flight += 1
        if link is None:
            self._stranded.append(moves[0].name)
            return True
        link.begin(Journey(moves, self.subject(link, moves[0]), due))
        if link is not self._serving:
            self._flush_soon(link)
        return True

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(link.close() for link in self._links))

    # --- for the links ----------------------------------------------------------------------------

    def serve(self, link: RequestLink[S] | None) -> None:
        """Journeys that begin while a link's answers are handled begin on that link, so that their
        requests leave in the same write."""
        self._serving = link

    def ended(self, journey: Journey[S], is_good: bool) -> None:
        self.in_flight -= 1
        self.measures.finished()
        if is_good:
            self.release(journey.subject)
        self.on_finished()

    def lost(self, link: RequestLink[S], why: str) -> None:
        """Tell the user, once for all links to a host."""
        if link.host not in self._lost:
            self._lost.add(link.host)
            show(f"{link.host} was lost: {why}; its links are dialled again", err=True)

    def found(self, link: RequestLink[S]) -> None:
        """A lost link is open again."""
        if link.host in self._lost:
            self._lost.discard(link.host)
            show(f"{link.host} is back", err=True)

    # --- within -----------------------------------------------------------------------------------

    async def _open(self, link: RequestLink[S], turns: asyncio.Semaphore) -> None:
        async with turns:
            try:
                await link.open()
            except TsfarmError as error:
                word = identity.ROLE_WORDS[self.asks]
                raise TsfarmError(
                    f"the {word} cannot be asked ({error}): see that it runs, and that its address"
                    " and --ca are right"
                ) from None

    def _credentials(self, index: int) -> tuple[str, ssl.SSLContext | None, bytes]:
        farm, share = self._assignment.farm, self._assignment.share
        if farm.authority is None:
            return f"load-{self._run}-{share}-{index}", None, bytes(32)
        if not farm.as_terminal_servers:
            raise TsfarmError("with TLS, a link needs a terminal server's certificate to show")
        own = farm.as_terminal_servers[index % len(farm.as_terminal_servers)]
        tls = transport.daemon_tls(own.certificate, own.key, farm.authority)
        der = certificates.certificate_der(own.certificate.read_bytes())
        return certificates.identity_of(der).name, tls, identity.fingerprint(der)

    def _link_with_room(self) -> RequestLink[S] | None:
        for link in itertools.islice(self._turns, len(self._links)):
            if not link.is_full:
                return link
        return None

    def _flush_soon(self, link: RequestLink[S]) -> None:
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        if link not in self._unflushed:
            self._unflushed.append(link)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for link in unflushed:
            link.flush()

    def _sweep(self) -> None:
        now = time.monotonic()
        for link in self._links:
            link.give_up_overdue(now)
        stranded, self._stranded = self._stranded, []
        for step in stranded:
            self.measures.failed(step, ErrorCode.UNREACHABLE)
            self.in_flight -= 1
            self.measures.finished()
            self.on_finished()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
