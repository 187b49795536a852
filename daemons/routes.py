"""The one link to each endpoint that a daemon dials, and the questions that are open on it.

Every Ask and every Dial has one outcome: the answer, or Failed with the reason. Time-outs count in
`ticks`, the seconds of a clock that is never set.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from daemons.effects import Ask, Dial, Endpoint, Failed, Outcome
from tsproto.errors import ErrorCode, TooManyRequests
from tsproto.messages import Message

SETTLED_TIMEOUTS_MAX = 1_024  # kept beside the open ones, before they are cleared away


class Line(Protocol):
    """One connection, which itself does TLS, framing, heartbeats and back-pressure."""

    @property
    def id(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def own_certificate(self) -> bytes: ...
    @property
    def peer_certificate(self) -> bytes: ...

    def send(self, message: Message, request_id: int = 0) -> None: ...
    def request(self, message: Message) -> int: ...
    def give_up(self, request_id: int) -> None: ...
    def flush(self) -> None: ...
    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None: ...


L = TypeVar("L", bound=Line)


class _Question(Generic[L]):
    """A request whose answer is awaited; `request_id` is 0 until it is sent."""

    __slots__ = ("message", "request_id", "route", "question_id")

    def __init__(self, route: _Route[L], message: Message, question_id: int) -> None:
        self.route = route
        self.message = message
        self.question_id = question_id
        self.request_id = 0


class _Route(Generic[L]):
    """The way to one endpoint. `line` is None until the link is open."""

    __slots__ = ("asked", "dials", "endpoint", "line", "waiting")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.line: L | None = None
        self.dials: list[int] = []  # question ids
        self.waiting: dict[int, _Question[L]] = {}  # by question id, until the link is open
        self.asked: dict[int, _Question[L]] = {}  # by request id


class Routes(Generic[L]):
    """`dial` begins to dial an endpoint; `settle` is given the id of each Ask and Dial once,
    with the outcome."""

    def __init__(
        self, dial: Callable[[Endpoint], None], settle: Callable[[int, Outcome], None]
    ) -> None:
        self._begin_dial = dial
        self._tell_outcome = settle
        self._routes: dict[Endpoint, _Route[L]] = {}
        self._dialled: dict[int, tuple[L, _Route[L]]] = {}  # by line id
        self._open: dict[int, _Question[L]] = {}  # by question id
        self._timeouts: list[tuple[float, int]] = []  # a heap; ids of settled questions stay in it
        self.next_timeout: float | None = None
        """In ticks; None while no question is open."""

    def lines(self) -> Iterator[L]:
        """The lines that were dialled and stand."""
        return (line for line, _ in self._dialled.values())

    # --- what a core wants ------------------------------------------------------------------------

    def ask(self, ask: Ask, ticks: float) -> L | None:
        """Send the request, or keep it until the link is open. Returns the line to flush."""
        route = self._route_to(ask.endpoint)
        question = self._open[ask.question_id] = _Question(route, ask.message, ask.question_id)
        if len(self._timeouts) > 2 * len(self._open) + SETTLED_TIMEOUTS_MAX:
            self._timeouts = [entry for entry in self._timeouts if entry[1] in self._open]
            heapq.heapify(self._timeouts)
        timeout = ticks + ask.timeout_seconds
        heapq.heappush(self._timeouts, (timeout, ask.question_id))
        if self.next_timeout is None or timeout < self.next_timeout:
            self.next_timeout = timeout
        if route.line is None:
            route.waiting[ask.question_id] = question
        else:
            self._send(route.line, question)
        return route.line

    def dial(self, dial: Dial) -> None:
        route = self._route_to(dial.endpoint)
        if route.line is None:
            route.dials.append(dial.question_id)

    def _route_to(self, endpoint: Endpoint) -> _Route[L]:
        route = self._routes.get(endpoint)
        if route is None:
            route = self._routes[endpoint] = _Route(endpoint)
            self._begin_dial(endpoint)
        return route

    def _send(self, line: L, question: _Question[L]) -> None:
        try:
            question.request_id = line.request(question.message)
        except TooManyRequests as error:
            self._settle(question, Failed(ErrorCode.BUSY, str(error)))
            return
        if question.request_id:
            question.route.asked[question.request_id] = question
        else:  # the connection has ended, and its Closed is still to come
            self._settle(question, Failed(ErrorCode.CONNECTION_LOST))

    # --- what happens on lines --------------------------------------------------------------------

    def dialled(self, endpoint: Endpoint, line: L) -> None:
        """TCP and TLS stand; `opened` or `ended` follows."""
        self._dialled[line.id] = (line, self._routes[endpoint])

    def dial_failed(self, endpoint: Endpoint, failure: Failed) -> None:
        self._end(self._routes[endpoint], failure)

    def opened(self, line: L) -> Endpoint | None:
        """Send what waited for this link. Returns the endpoint; None for a line not dialled."""
        if line.id not in self._dialled:
            return None
        _, route = self._dialled[line.id]
        route.line = line
        route.dials.clear()
        for question in route.waiting.values():
            self._send(line, question)
        route.waiting.clear()
        return route.endpoint

    def answered(self, line: L, message: Message) -> None:
        if line.id in self._dialled:
            _, route = self._dialled[line.id]
            self._settle(route.asked.pop(message.request_id), message)

    def ended(self, line_id: int, failure: Failed) -> None:
        """Fail every question that is open on this line; the next Ask dials anew."""
        if line_id in self._dialled:
            _, route = self._dialled.pop(line_id)
            self._end(route, failure)

    def _end(self, route: _Route[L], failure: Failed) -> None:
        del self._routes[route.endpoint]
        for question in (*route.asked.values(), *route.waiting.values()):
            self._settle(question, failure)
        for question_id in route.dials:
            self._tell_outcome(question_id, failure)

    def _settle(self, question: _Question[L], outcome: Outcome) -> None:
        del self._open[question.question_id]
        while self._timeouts and self._timeouts[0][1] not in self._open:
            heapq.heappop(self._timeouts)
        self.next_timeout = self._timeouts[0][0] if self._timeouts else None
        self._tell_outcome(question.question_id, outcome)

    # --- time-outs --------------------------------------------------------------------------------

    def give_up(self, ticks: float) -> None:
        """Fail the questions whose time is over: UNANSWERED, or UNREACHABLE without a link."""
        while self._timeouts and self._timeouts[0][0] <= ticks:
            _, question_id = heapq.heappop(self._timeouts)
            if question := self._open.get(question_id):
                self._settle(question, self._withdraw(question))

    def _withdraw(self, question: _Question[L]) -> Failed:
        route = question.route
        if route.waiting.pop(question.question_id, None):
            return Failed(ErrorCode.UNREACHABLE, "no link came about in time")
        del route.asked[question.request_id]
        if route.line is not None:
            route.line.give_up(question.request_id)
        return Failed(ErrorCode.UNANSWERED, "no answer came in time")
