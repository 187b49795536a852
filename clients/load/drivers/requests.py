"""Bare requests to a license server or session directory, from links that pass for terminal
servers: how much can it take, without users and terminals around it?

A journey here is a small machine: it sends a request, and when the answer comes its next one goes
out on the same link. There is no task for any of them, and one write a wake-up and link.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
import sys
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from clients.load.drivers.journeys import Journeys
from clients.load.drivers.line import Journey, Line, Move
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment
from clients.steps import Host
from tsproto import certificates, identity, limits, transport
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Role

S = TypeVar("S")

SWEEP_SECONDS = 1.0  # how often requests without an answer, or without a link, are looked for
RUN_BYTES = 3
OPENING_AT_ONCE = limits.HANDSHAKES_PER_ADDRESS_MAX


class Requests(Generic[S]):
    """A `Driver` of bare requests, each about a subject: a device, or a user."""

    asks: ClassVar[Role]

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
        self.product = assignment.product
        self._assignment = assignment
        self._run = os.urandom(RUN_BYTES).hex()  # two runs at once are not taken for each other
        self._lines: list[Line[S]] = []
        self._next_line = 0
        self._serving: Line[S] | None = None
        self._unflushed: list[Line[S]] = []
        # What journeys were to begin with that found no link standing.
        self._stranded: list[str] = []
        self._lost: set[Host] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        moves = self.moves()
        self._journeys = Journeys(
            [
                (tuple(moves[act.do] for act in journey.acts), journey.weight)
                for journey in assignment.scenario.journeys
            ],
            rng,
        )

    # --- what is asked: for the two kinds of driver -----------------------------------------------

    @abstractmethod
    def moves(self) -> dict[str, Move[S]]:
        """What each act of a journey says, and makes of the answer."""

    @abstractmethod
    def subject(self, line: Line[S], first: Move[S]) -> S:
        """Whom a journey on this link that begins with `first` is about."""

    def release(self, subject: S) -> None:
        """The subject's journey has ended in good order."""

    async def introduce(self, line: Line[S]) -> None:
        """Say on a new link what must come before all requests. Raises TsfarmError."""

    # --- as a driver ------------------------------------------------------------------------------

    async def open(self) -> None:
        hosts = self._assignment.farm.hosts(self.role)
        if not hosts:
            raise TsfarmError(f"the farm has no {identity.ROLE_WORDS[self.role]} to ask")
        sources = itertools.cycle(self._assignment.sources or ("",))
        for index in range(self._assignment.links):
            name, tls = self._credentials(index)
            host = hosts[index % len(hosts)]
            self._lines.append(Line(self, host, name, tls, next(sources)))
        turns = asyncio.Semaphore(OPENING_AT_ONCE)
        opening = [asyncio.create_task(self._open(line, turns)) for line in self._lines]
        try:
            await asyncio.gather(*opening)
        finally:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
        self._sweep()

    def begin(self, due: float) -> bool:
        line = self._serving
        if line is None or line.is_full:
            line = self._line_with_room()
        if line is None and any(each.stands for each in self._lines):
            return False
        moves = self._journeys.choose()
        self.in_flight += 1
        if line is None:
            self._stranded.append(moves[0].name)
            return True
        line.begin(Journey(moves, self.subject(line, moves[0]), due))
        if line is not self._serving:
            self._flush_soon(line)
        return True

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(line.close() for line in self._lines))

    # --- for the links ----------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """Who is asked."""
        return self.asks

    def serve(self, line: Line[S] | None) -> None:
        """Journeys that begin while answers of this link are handled begin on it: what they say
        leaves in the same write."""
        self._serving = line

    def ended(self, journey: Journey[S], is_good: bool) -> None:
        self.in_flight -= 1
        self.measures.finished()
        if is_good:
            self.release(journey.subject)
        self.on_finished()

    def lost(self, line: Line[S], why: str) -> None:
        """It is told once of all links to a host."""
        if line.host not in self._lost:
            self._lost.add(line.host)
            _tell(f"{line.host} was lost: {why}; its links are dialled again")

    def found(self, line: Line[S]) -> None:
        """A link that was lost stands again."""
        if line.host in self._lost:
            self._lost.discard(line.host)
            _tell(f"{line.host} is back")

    # --- within -----------------------------------------------------------------------------------

    async def _open(self, line: Line[S], turns: asyncio.Semaphore) -> None:
        async with turns:
            try:
                await line.open()
            except TsfarmError as error:
                word = identity.ROLE_WORDS[self.role]
                raise TsfarmError(
                    f"the {word} cannot be asked ({error}): see that it runs, and that its address"
                    " and --ca are right"
                ) from None

    def _credentials(self, index: int) -> tuple[str, ssl.SSLContext | None]:
        farm, share = self._assignment.farm, self._assignment.share
        if farm.authority is None:
            return f"load-{self._run}-{share}-{index}", None
        if not farm.as_terminal_servers:
            raise TsfarmError("with TLS, a link needs a terminal server's certificate to show")
        own = farm.as_terminal_servers[index % len(farm.as_terminal_servers)]
        tls = transport.daemon_tls(own.certificate, own.key, farm.authority)
        der = certificates.certificate_der(own.certificate.read_bytes())
        return certificates.identity_of(der).name, tls

    def _line_with_room(self) -> Line[S] | None:
        for _ in self._lines:
            line = self._lines[self._next_line]
            self._next_line = (self._next_line + 1) % len(self._lines)
            if not line.is_full:
                return line
        return None

    def _flush_soon(self, line: Line[S]) -> None:
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        if line not in self._unflushed:
            self._unflushed.append(line)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for line in unflushed:
            line.flush()

    def _sweep(self) -> None:
        now = time.monotonic()
        for line in self._lines:
            line.give_up_overdue(now)
        stranded, self._stranded = self._stranded, []
        for step in stranded:
            self._end_stranded(step)
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _end_stranded(self, step: str) -> None:
        self.measures.failed(step, ErrorCode.UNREACHABLE)
        self.in_flight -= 1
        self.measures.finished()
        self.on_finished()


def _tell(text: str) -> None:
    """To whoever watches the run."""
    print(text, file=sys.stderr, flush=True)
