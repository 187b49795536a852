"""A link of a driver of bare requests, and the journeys under way on it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import msgspec

from clients.load.measuring.measures import Latencies
from clients.logon.steps import Host
from tsproto import limits, transport
from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Message, Refused, Role

if TYPE_CHECKING:
    from clients.load.drivers.requests import Requests

S = TypeVar("S")

# Requests that were given up still count at the peer: 24 are left for them.
JOURNEYS_MAX = limits.REQUESTS_IN_FLIGHT - 24


Say: TypeAlias = Callable[[S], Message]
Hear: TypeAlias = Callable[[S, Message], None]


class Move(msgspec.Struct, Generic[S], frozen=True):
    """`say` makes an act's message; `hear` checks the answer, None for a notification."""

    name: str
    say: Say[S]
    hear: Hear[S] | None
    latencies: Latencies


class Journey(msgspec.Struct, Generic[S]):
    """`due` is when its current move was due, `sent_at` when that was sent."""

    moves: tuple[Move[S], ...]
    subject: S
    due: float
    moves_done: int = 0
    sent_at: float = 0.0


class RequestLink(Generic[S]):
    """A link to `host` as the terminal server `name`, dialled from `source` unless that is empty;
    `certificate` is the SHA-256 of the one that it shows, zero bytes without TLS. A lost link is
    dialled again, with pauses; until then no journey begins on it."""

    def __init__(
        self,
        driver: Requests[S],
        host: Host,
        name: str,
        tls: ssl.SSLContext | None,
        source: str = "",
        certificate: bytes = bytes(32),
    ) -> None:
        self.name = name
        self.certificate = certificate
        self._source = source
        self._driver = driver
        self.host = host
        self._tls = tls
        self._link: transport.Link | None = None
        self._is_ready = False
        self._serving_since: float | None = None
        # By request id, in the order sent. None: given up, the answer may still come.
        self._waiting: dict[int, Journey[S] | None] = {}
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._opened: asyncio.Future[None]
        self._dialling: asyncio.Task[None] | None = None

    # --- the link ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises TsfarmError."""
        self._opened = asyncio.get_running_loop().create_future()
        self._link = await transport.dial(
            self.host.address,
            self.host.port,
            self,
            role=Role.TERMINAL_SERVER,
            name=self.name,
            tls=self._tls,
            expect_role=self._driver.asks,
            expect_name=self.host.name,
            source=self._source,
        )
        try:
            async with asyncio.timeout(limits.OPENING_SECONDS):
                await self._opened
        except TimeoutError:
            self._link.abort()
            raise TsfarmError(f"{self.host} did not welcome {self.name}") from None
        await self._driver.introduce(self)
        self._is_ready = True

    async def close(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._link is not None:
            self._link.close(ErrorCode.NORMAL)
            await self._link.wait_closed()

    async def ask(self, request: Message) -> Message:
        """The answer to a request outside of journeys; raises TsfarmError."""
        assert self._link is not None
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[self._link.request(request)] = answer
        self._link.flush()
        try:
            async with asyncio.timeout(limits.REQUEST_SECONDS):
                message = await answer
        except TimeoutError:
            name = type(request).__name__
            raise TsfarmError(f"{self.host} did not answer {name} in time") from None
        if isinstance(message, Refused):
            raise TsfarmError(f"{self.host}: {message.detail or message.code.meaning}")
        return message

    def flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    # --- journeys ---------------------------------------------------------------------------------

    @property
    def stands(self) -> bool:
        return self._is_ready

    @property
    def is_full(self) -> bool:
        """True while no journey may begin on this link."""
        return not self._is_ready or len(self._waiting) >= JOURNEYS_MAX

    def begin(self, journey: Journey[S]) -> None:
        """Queue the journey's first message; the caller flushes."""
        self._go_on(journey, self._serving_since or time.monotonic())

    def give_up_overdue(self, now: float) -> None:
        """Fail the journeys that have waited for an answer for REQUEST_SECONDS."""
        overdue: list[int] = []
        for request_id, journey in self._waiting.items():
            if journey is None:
                continue
            if journey.sent_at + limits.REQUEST_SECONDS > now:
                break
            overdue.append(request_id)
        for request_id in overdue:
            journey = self._waiting[request_id]
            self._waiting[request_id] = None
            assert journey is not None
            self._fail(journey, ErrorCode.UNANSWERED)

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        now = self._serving_since = time.monotonic()
        self._driver.serve(self)
        for event in events:
            if type(event) is Answered:
                self._on_answer(event.message, now)
            elif type(event) is Opened:
                if not self._opened.done():
                    self._opened.set_result(None)
            elif type(event) is Closed:
                self._on_closed(event)
        self._driver.serve(None)
        self._serving_since = None

    def on_writable(self, link: transport.Link) -> None:
        """The journeys under way bound the queue."""

    def _on_answer(self, answer: Message, now: float) -> None:
        journey = self._waiting.pop(answer.request_id, None)
        if journey is None:
            asked = self._asked.pop(answer.request_id, None)
            if asked is not None and not asked.done():
                asked.set_result(answer)
            return
        if type(answer) is Refused:
            self._fail(journey, answer.code)
            return
        move = journey.moves[journey.moves_done]
        move.latencies.add(now - journey.due)
        assert move.hear is not None
        move.hear(journey.subject, answer)
        journey.moves_done += 1
        journey.due = now
        self._go_on(journey, now)

    def _go_on(self, journey: Journey[S], now: float) -> None:
        """Send the journey's messages up to its next request."""
        assert self._link is not None
        moves = journey.moves
        while journey.moves_done < len(moves):
            move = moves[journey.moves_done]
            message = move.say(journey.subject)
            if move.hear is not None:
                journey.sent_at = now
                self._waiting[self._link.request(message)] = journey
                return
            self._link.send(message)
            move.latencies.add(now - journey.due)
            journey.moves_done += 1
            journey.due = now
        self._driver.ended(journey, True)

    def _fail(self, journey: Journey[S], code: ErrorCode) -> None:
        self._driver.measures.failed(journey.moves[journey.moves_done].name, code)
        self._driver.ended(journey, False)

    # --- a lost link ------------------------------------------------------------------------------

    def _on_closed(self, closed: Closed) -> None:
        stood, self._link, self._is_ready = self._is_ready, None, False
        lost = TsfarmError(f"{self.host}: {closed.detail or closed.code.meaning}")
        if not self._opened.done():
            self._opened.set_exception(lost)
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(lost)
        self._asked.clear()
        waiting, self._waiting = self._waiting, {}
        for journey in waiting.values():
            if journey is not None:
                self._fail(journey, closed.code)
        if stood and (self._dialling is None or self._dialling.done()):
            self._driver.lost(self, closed.detail or closed.code.meaning)
            self._dialling = asyncio.create_task(self._dial_again())

    async def _dial_again(self) -> None:
        pause = limits.REJOIN_SECONDS
        while not self._is_ready:
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.REJOIN_SECONDS_MAX)
            with contextlib.suppress(TsfarmError):
                await self.open()
        self._driver.found(self)
