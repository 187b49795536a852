"""Carries what happens to a core, and what it decides to links, dials and commits: one object under
the asyncio shell and under the simulator.

Everything that happens is a step, a call of the core that lacks only `now`. Steps wait in one list
and run in one wake-up after the other, so a core is never called while it is being called, and all
that one wake-up says to a peer leaves in one write. Whatever becomes of an Ask, its ticket comes
back once. Nothing here waits, or reads a clock: `now` is the core's time, which a lab may warp,
`ticks` a clock that only ever runs, for time-outs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from daemons.effects import (
    Answer,
    Ask,
    Caller,
    Close,
    Core,
    Dial,
    Effect,
    EffectQueue,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Persist,
    Tell,
)
from tsproto.connection import Answered, Closed, Event, Opened, Received
from tsproto.errors import ErrorCode, TooManyRequests
from tsproto.messages import Message, Refused, Role

Step = Callable[[float], list[Effect]]

# A commit takes milliseconds. When this much waits for one, the disk stalls, and new requests are
# better told so than kept.
EFFECTS_WAITING_MAX = 8_192
BUSY_RETRY_SECONDS = 1


class Line(Protocol):
    """One connection, in somebody's hands: its bytes, timers and TLS are theirs."""

    @property
    def id(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def own_certificate(self) -> bytes: ...

    def send(self, message: Message, request_id: int = 0) -> None: ...
    def request(self, message: Message) -> int: ...
    def give_up(self, request_id: int) -> None: ...
    def flush(self) -> None: ...
    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None: ...


class Hands(Protocol):
    """What is done outside. `dial` comes back as `dialled` or `dial_failed`, `commit` as
    `committed`; `perform` is for every effect that the switchboard does not know."""

    def dial(self, endpoint: Endpoint) -> None: ...
    def commit(self, batch: list[Persist]) -> None: ...
    def perform(self, effect: Effect) -> None: ...


class _OpenAsk:
    """A request whose answer is awaited; before the link is open it has no `request_id`."""

    __slots__ = ("message", "request_id", "route", "ticket")

    def __init__(self, route: _Route, message: Message, ticket: int) -> None:
        self.route = route
        self.message = message
        self.ticket = ticket
        self.request_id = 0


class _Route:
    """The way to one endpoint: being dialled while `line` is None."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.line: Line | None = None
        self.dial_tickets: list[int] = []
        self.waiting: dict[int, _OpenAsk] = {}  # by ticket, until the link is open
        self.asked: dict[int, _OpenAsk] = {}  # by request id


class Switchboard:
    def __init__(self, core: Core, hands: Hands) -> None:
        self.now = 0.0
        self.core = core
        self.queue = EffectQueue()
        self.is_over = False
        self._hands = hands
        self._lines: dict[int, Line] = {}
        self._peers: dict[int, Peer] = {}
        self._routes: dict[Endpoint, _Route] = {}
        self._dialled: dict[int, _Route] = {}
        self._asks: dict[int, _OpenAsk] = {}  # by ticket
        self._timeouts: list[tuple[float, int]] = []
        self._ticks = 0.0
        self._unflushed: dict[int, Line] = {}
        self._steps: deque[Step] = deque()
        self._hung_up: set[int] = set()  # links whose Close was decided: the core knows no more
        self.is_awake = False
        self.performers: dict[type[Effect], Callable[[Any], None]] = {
            Answer: self._answer,
            Ask: self._ask,
            Dial: self._dial,
            Tell: self._tell,
            Close: self._hang_up,
        }

    # --- what happens -----------------------------------------------------------------------------

    def add(self, step: Step) -> None:
        """To be run at the next wake-up."""
        self._steps.append(step)

    def answer(self, ticket: int, outcome: Outcome) -> None:
        self._steps.append(partial(self.core.on_answer, ticket, outcome))

    def dialled(self, endpoint: Endpoint, line: Line) -> None:
        """A line to this endpoint came about; its Opened follows."""
        self._lines[line.id] = line
        self._dialled[line.id] = self._routes[endpoint]

    def dial_failed(self, endpoint: Endpoint, failure: Failed) -> None:
        self._end_route(self._routes[endpoint], failure)

    def happened(self, line: Line, event: Event) -> None:
        # In the order of how often they come; class patterns would cost a third more.
        if type(event) is Received:
            message = event.message
            caller = Caller(self._peers[line.id], message.request_id)
            self._steps.append(partial(self._on_message, caller, message))
        elif type(event) is Answered:
            ask = self._dialled[line.id].asked.pop(event.message.request_id)
            self._settle(ask, event.message)
        elif type(event) is Opened:
            self._on_opened(line, event)
        elif type(event) is Closed:
            self._on_closed(line, event)

    def line_of(self, peer: Peer) -> Line | None:
        """None once the peer is gone."""
        return self._lines.get(peer.link)

    def peer_of(self, line: Line) -> Peer | None:
        return self._peers.get(line.id)

    def lines_dialled(self) -> list[Line]:
        return [self._lines[link] for link in self._dialled]

    # --- one wake-up ------------------------------------------------------------------------------

    def committed(self, now: float, ticks: float) -> None:
        """The commit is durable."""
        self.turn(now, ticks, self.queue.committed())

    def turn(self, now: float, ticks: float, ready: Sequence[Effect] = ()) -> None:
        """Run the steps that wait, unless that is being done."""
        if self.is_awake or self.is_over:
            return
        self.is_awake = True
        self.now, self._ticks = now, ticks
        try:
            if self._timeouts and self._timeouts[0][0] <= ticks:
                self._give_up(ticks)
            if ready:
                self._perform(ready)
            steps, queue = self._steps, self.queue
            while steps:
                effects = steps.popleft()(self.now)
                if len(effects) == 1 and type(effects[0]) is Answer and queue.is_idle:
                    self._answer(effects[0])  # the most common of all
                    continue
                for effect in effects:
                    if type(effect) is Close and effect.peer.link in self._lines:
                        self._hung_up.add(effect.peer.link)
                self._perform(queue.add(effects))
            for line in self._unflushed.values():
                line.flush()
            self._unflushed.clear()
            if not queue.is_idle:
                batch = queue.commit()
                if batch:
                    self._hands.commit(batch)
        finally:
            self.is_awake = False

    def drop_steps(self) -> None:
        self._steps.clear()

    def run_deadline(self) -> None:
        """The core's next deadline may be due."""
        self._steps.append(self._run_deadline)

    @property
    def may_time_out(self) -> bool:
        return bool(self._timeouts)

    def next_timeout(self) -> float | None:
        """In ticks."""
        while self._timeouts and self._timeouts[0][1] not in self._asks:
            heapq.heappop(self._timeouts)
        return self._timeouts[0][0] if self._timeouts else None

    def _run_deadline(self, now: float) -> list[Effect]:
        deadline = self.core.next_deadline()
        is_due = deadline is not None and deadline <= now
        return self.core.on_deadline(now) if is_due else []

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if self.is_over:
                return
            perform = self.performers.get(type(effect))
            if perform is None:
                self._hands.perform(effect)
            else:
                perform(effect)

    def _on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        link = caller.peer.link
        if link in self._hung_up or link not in self._lines:
            return []
        if len(self.queue) > EFFECTS_WAITING_MAX:
            if caller.request_id:
                self._answer(Answer(caller, _busy()))
                return []
            if caller.peer.role is Role.CLIENT:
                self._hang_up(
                    Close(caller.peer, ErrorCode.BUSY, retry_after_seconds=BUSY_RETRY_SECONDS)
                )
                return self.core.on_peer_lost(caller.peer, now)
        return self.core.on_message(caller, message, now)

    def _on_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.link in self._hung_up:
            self._hung_up.discard(peer.link)
            return []
        return self.core.on_peer_lost(peer, now)

    # --- what a core wants ------------------------------------------------------------------------

    def _answer(self, effect: Answer) -> None:
        self._send(effect.caller.peer, effect.message, effect.caller.request_id)

    def _tell(self, effect: Tell) -> None:
        self._send(effect.peer, effect.message, 0)

    def _send(self, peer: Peer, message: Message, request_id: int) -> None:
        line = self._lines.get(peer.link)
        if line is not None:
            line.send(message, request_id)
            self._unflushed[line.id] = line

    def _hang_up(self, effect: Close) -> None:
        self._hung_up.discard(effect.peer.link)
        line = self._forget(effect.peer.link, Failed(ErrorCode.CONNECTION_LOST, "we hung up"))
        if line is not None:
            line.close(effect.code, effect.detail, effect.trace_id, effect.retry_after_seconds)

    def _ask(self, effect: Ask) -> None:
        route = self._route_to(effect.endpoint)
        ask = _OpenAsk(route, effect.message, effect.ticket)
        self._asks[effect.ticket] = ask
        heapq.heappush(self._timeouts, (self._ticks + effect.timeout_seconds, effect.ticket))
        if route.line is None:
            route.waiting[effect.ticket] = ask
        else:
            self._request(route.line, ask)

    def _dial(self, effect: Dial) -> None:
        route = self._route_to(effect.endpoint)
        if route.line is None:
            route.dial_tickets.append(effect.ticket)

    def _route_to(self, endpoint: Endpoint) -> _Route:
        route = self._routes.get(endpoint)
        if route is None:
            route = self._routes[endpoint] = _Route(endpoint)
            self._hands.dial(endpoint)
        return route

    # --- questions --------------------------------------------------------------------------------

    def _request(self, line: Line, ask: _OpenAsk) -> None:
        try:
            ask.request_id = line.request(ask.message)
        except TooManyRequests as error:
            self._settle(ask, Failed(ErrorCode.BUSY, str(error)))
            return
        if not ask.request_id:  # the link has just ended, and its Closed is on its way to us
            self._settle(ask, Failed(ErrorCode.CONNECTION_LOST))
            return
        ask.route.asked[ask.request_id] = ask
        self._unflushed[line.id] = line

    def _give_up(self, ticks: float) -> None:
        while self._timeouts and self._timeouts[0][0] <= ticks:
            _, ticket = heapq.heappop(self._timeouts)
            ask = self._asks.get(ticket)
            if ask is None:
                continue
            if ask.route.waiting.pop(ticket, None):
                self._settle(ask, Failed(ErrorCode.UNREACHABLE, "no link came about in time"))
                continue
            del ask.route.asked[ask.request_id]
            if ask.route.line is not None:
                ask.route.line.give_up(ask.request_id)
            self._settle(ask, Failed(ErrorCode.UNANSWERED, "no answer came in time"))

    def _settle(self, ask: _OpenAsk, outcome: Outcome) -> None:
        del self._asks[ask.ticket]
        self.answer(ask.ticket, outcome)

    def _end_route(self, route: _Route, failure: Failed) -> None:
        del self._routes[route.endpoint]
        for ask in (*route.asked.values(), *route.waiting.values()):
            self._settle(ask, failure)
        for ticket in route.dial_tickets:
            self.answer(ticket, failure)

    # --- links ------------------------------------------------------------------------------------

    def _on_opened(self, line: Line, opened: Opened) -> None:
        route = self._dialled.get(line.id)
        peer = self._peers[line.id] = Peer(
            link=line.id,
            role=opened.role,
            name=opened.name,
            host=line.host,
            port=line.port,
            dialled=None if route is None else route.endpoint,
            certificate=line.own_certificate,
        )
        self._lines[line.id] = line
        self._steps.append(partial(self.core.on_peer_opened, peer))
        if route is not None:
            route.line = line
            route.dial_tickets.clear()
            for ask in route.waiting.values():
                self._request(line, ask)
            route.waiting.clear()

    def _on_closed(self, line: Line, closed: Closed) -> None:
        peer = self._peers.get(line.id)
        self._forget(line.id, Failed(closed.code, closed.detail))
        if peer is not None:
            self._steps.append(partial(self._on_lost, peer))

    def _forget(self, link: int, failure: Failed) -> Line | None:
        line = self._lines.pop(link, None)
        self._peers.pop(link, None)
        self._unflushed.pop(link, None)
        if route := self._dialled.pop(link, None):
            self._end_route(route, failure)
        return line


def _busy() -> Refused:
    return Refused(
        code=ErrorCode.BUSY,
        detail="the daemon waits for its disk; try again",
        retry_after_seconds=BUSY_RETRY_SECONDS,
    )
