"""The links of one daemon: those that others dialled, and one to each endpoint that it dials.

Turns events of links into calls of a core, and what a core wants said into messages. Whatever
becomes of an Ask, its ticket comes back once.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import msgspec

from daemons.config import ConfigError
from daemons.effects import Answer, Ask, Caller, Close, Dial, Endpoint, Failed, Outcome, Peer, Tell
from tsproto import limits
from tsproto.connection import Answered, Closed, Event, Opened, Received, SessionBytes
from tsproto.errors import ErrorCode, TooManyRequests
from tsproto.messages import LinkState, Message, Role
from tsproto.transport import DialFailed, Link, Listener, dial, listen
from tsproto.transport.error_text import words_of


class Inbox(Protocol):
    """Who is told what happened; `wake` comes after everything that happened at once."""

    def opened(self, peer: Peer) -> None: ...
    def received(self, caller: Caller, message: Message) -> None: ...
    def answered(self, ticket: int, outcome: Outcome) -> None: ...
    def lost(self, peer: Peer) -> None: ...
    def session_bytes(self, link: Link, data: bytes) -> None: ...
    def writable(self, link: Link) -> None: ...
    def wake(self) -> None: ...


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """Who this daemon is to its peers. `listen_tls` and `dial_tls` None mean plain TCP."""

    role: Role
    name: str
    farm: str
    listen_tls: ssl.SSLContext | None = None
    dial_tls: ssl.SSLContext | None = None
    plain_anywhere: bool = False
    connections_max: int = limits.CONNECTIONS_MAX


class _OpenAsk:
    """A request whose answer is awaited; before the link is open it has no `request_id`."""

    __slots__ = ("message", "request_id", "ticket", "timer")

    def __init__(self, message: Message, ticket: int, timer: asyncio.TimerHandle) -> None:
        self.message = message
        self.ticket = ticket
        self.timer = timer
        self.request_id = 0


class _Route:
    """The way to one endpoint: being dialled while `link` is None."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.link: Link | None = None
        self.dial_tickets: list[int] = []
        self.waiting: dict[int, _OpenAsk] = {}  # by ticket, until the link is open
        self.asked: dict[int, _OpenAsk] = {}  # by request id


class Links:
    """Owner of all links of a daemon. What is sent leaves with `flush`, one write a link."""

    def __init__(self, station: Station, inbox: Inbox) -> None:
        self._station = station
        self._inbox = inbox
        self._listener: Listener | None = None
        self._links: dict[int, Link] = {}
        self._peers: dict[int, Peer] = {}
        self._routes: dict[Endpoint, _Route] = {}
        self._dialled: dict[int, _Route] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._unflushed: dict[int, Link] = {}

    async def listen(self, host: str, port: int) -> int:
        """The port that was got; raises ConfigError when the address cannot be had."""
        station = self._station
        try:
            self._listener = await listen(
                host,
                port,
                self,
                role=station.role,
                name=station.name,
                farm=station.farm,
                tls=station.listen_tls,
                plain_anywhere=station.plain_anywhere,
                connections_max=station.connections_max,
                connections_per_address_max=min(
                    limits.CONNECTIONS_PER_ADDRESS_MAX, station.connections_max // 2
                ),
            )
        except OSError as error:
            detail = words_of(error)
            raise ConfigError(f"listen: {host} port {port} cannot be had: {detail}") from None
        return self._listener.port

    async def close(self) -> None:
        """Say Goodbye to every peer and wait until all are gone; nothing is reported any more."""
        for task in self._dials:
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for route in self._routes.values():
            for ask in (*route.waiting.values(), *route.asked.values()):
                ask.timer.cancel()
        dialled = [self._links[link] for link in self._dialled]
        for link in dialled:
            link.close(ErrorCode.SHUTTING_DOWN)
        if self._listener is not None:
            await self._listener.close(ErrorCode.SHUTTING_DOWN)
        await asyncio.gather(*(link.wait_closed() for link in dialled))

    def link_of(self, peer: Peer) -> Link | None:
        """None once the peer is gone."""
        return self._links.get(peer.link)

    def flush(self) -> None:
        for link in self._unflushed.values():
            link.flush()
        self._unflushed.clear()

    # --- what a core wants ----------------------------------------------------------------------

    def answer(self, effect: Answer) -> None:
        self._send(effect.caller.peer, effect.message, effect.caller.request_id)

    def tell(self, effect: Tell) -> None:
        self._send(effect.peer, effect.message, 0)

    def hang_up(self, effect: Close) -> None:
        link = self._forget(effect.peer.link, Failed(ErrorCode.CONNECTION_LOST, "we hung up"))
        if link is not None:
            link.close(effect.code, effect.detail, effect.trace_id, effect.retry_after_seconds)

    def ask(self, effect: Ask) -> None:
        route = self._route_to(effect.endpoint)
        timer = asyncio.get_running_loop().call_later(
            effect.timeout_seconds, self._give_up, route, effect.ticket
        )
        ask = _OpenAsk(effect.message, effect.ticket, timer)
        if route.link is None:
            route.waiting[effect.ticket] = ask
        else:
            self._request(route, route.link, ask)

    def dial(self, effect: Dial) -> None:
        route = self._route_to(effect.endpoint)
        if route.link is None:
            route.dial_tickets.append(effect.ticket)

    def _send(self, peer: Peer, message: Message, request_id: int) -> None:
        link = self._links.get(peer.link)
        if link is not None:
            link.send(message, request_id)
            self._unflushed[link.id] = link

    def _request(self, route: _Route, link: Link, ask: _OpenAsk) -> None:
        try:
            ask.request_id = link.request(ask.message)
        except TooManyRequests as error:
            self._settle(ask, Failed(ErrorCode.BUSY, str(error)))
            return
        if not ask.request_id:  # the link has just ended, and its Closed is on its way to us
            self._settle(ask, Failed(ErrorCode.CONNECTION_LOST))
            return
        route.asked[ask.request_id] = ask
        self._unflushed[link.id] = link

    def _give_up(self, route: _Route, ticket: int) -> None:
        if ask := route.waiting.pop(ticket, None):
            self._settle(ask, Failed(ErrorCode.UNREACHABLE, "no link came about in time"))
        else:
            ask = next(ask for ask in route.asked.values() if ask.ticket == ticket)
            del route.asked[ask.request_id]
            if route.link is not None:
                route.link.give_up(ask.request_id)
            self._settle(ask, Failed(ErrorCode.UNANSWERED, "no answer came in time"))
        self._inbox.wake()

    def _settle(self, ask: _OpenAsk, outcome: Outcome) -> None:
        ask.timer.cancel()
        self._inbox.answered(ask.ticket, outcome)

    # --- dialling -------------------------------------------------------------------------------

    def _route_to(self, endpoint: Endpoint) -> _Route:
        route = self._routes.get(endpoint)
        if route is None:
            route = self._routes[endpoint] = _Route(endpoint)
            task = asyncio.get_running_loop().create_task(self._dial(route))
            self._dials.add(task)
            task.add_done_callback(self._dials.discard)
        return route

    async def _dial(self, route: _Route) -> None:
        endpoint, station = route.endpoint, self._station
        try:
            link = await dial(
                endpoint.host,
                endpoint.port,
                self,
                role=station.role,
                name=station.name,
                farm=station.farm,
                tls=station.dial_tls,
                expect_role=endpoint.role,
                expect_name=endpoint.name,
                plain_anywhere=station.plain_anywhere,
            )
        except DialFailed as error:
            self._end_route(route, Failed(error.code, error.detail))
            self._inbox.wake()
        else:
            self._links[link.id] = link
            self._dialled[link.id] = route

    def _end_route(self, route: _Route, failure: Failed) -> None:
        del self._routes[route.endpoint]
        for ask in (*route.asked.values(), *route.waiting.values()):
            self._settle(ask, failure)
        for ticket in route.dial_tickets:
            self._inbox.answered(ticket, failure)

    # --- what happens on links ------------------------------------------------------------------

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            # In the order of how often they come; class patterns would cost a third more.
            if type(event) is Received:
                message = event.message
                self._inbox.received(Caller(self._peers[link.id], message.request_id), message)
            elif type(event) is Answered:
                self._on_answer(link, event.message)
            elif type(event) is SessionBytes:
                self._inbox.session_bytes(link, event.data)
            elif type(event) is Opened:
                self._on_opened(link, event)
            elif type(event) is Closed:
                self._on_closed(link, event)
        self._notice_end(link)
        self._inbox.wake()

    def on_writable(self, link: Link) -> None:
        self._inbox.writable(link)
        self._notice_end(link)
        self._inbox.wake()

    def _notice_end(self, link: Link) -> None:
        """Whoever was given the bytes of a session may have closed its link."""
        if link.id in self._peers and link.connection.state is LinkState.CLOSED:
            self._on_closed(link, Closed(ErrorCode.NORMAL, by_peer=False))

    def _on_answer(self, link: Link, message: Message) -> None:
        ask = self._dialled[link.id].asked.pop(message.request_id)
        self._settle(ask, message)

    def _on_opened(self, link: Link, opened: Opened) -> None:
        route = self._dialled.get(link.id)
        peer = self._peers[link.id] = Peer(
            link=link.id,
            role=opened.role,
            name=opened.name,
            host=link.host,
            port=link.port,
            dialled=None if route is None else route.endpoint,
            certificate=link.own_certificate,
        )
        self._links[link.id] = link
        self._inbox.opened(peer)
        if route is not None:
            route.link = link
            route.dial_tickets.clear()
            for ask in route.waiting.values():
                self._request(route, link, ask)
            route.waiting.clear()

    def _on_closed(self, link: Link, closed: Closed) -> None:
        peer = self._peers.get(link.id)
        self._forget(link.id, Failed(closed.code, closed.detail))
        if peer is not None:
            self._inbox.lost(peer)

    def _forget(self, link_id: int, failure: Failed) -> Link | None:
        link = self._links.pop(link_id, None)
        self._peers.pop(link_id, None)
        self._unflushed.pop(link_id, None)
        if route := self._dialled.pop(link_id, None):
            self._end_route(route, failure)
        return link
