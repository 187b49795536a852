"""A daemon in the simulation: a real core and real connections, performed under virtual time.

It does what `daemons.shell` does, by the same rule (`effects.EffectQueue`): commits take time, a
crash forgets what was not committed, and nothing leaves before what it rests on is durable.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from daemons import effects
from daemons.effects import Caller, Core, Effect, EffectQueue, Endpoint, Failed, Peer
from tests.simulation.network import End, LinkTimer, Network
from tests.simulation.store import DurableRows
from tests.simulation.world import Timer, World
from tsproto import limits
from tsproto.connection import Answered, Closed, Connection, Event, Opened, Received
from tsproto.errors import ErrorCode
from tsproto.identity import Identity
from tsproto.messages import Role

COMMIT_SECONDS = (0.0002, 0.02)


class Kind(Protocol):
    """What makes a node a license server, a directory or a terminal server."""

    role: Role

    def make_core(self, node: Node) -> Core: ...
    def perform(self, node: Node, effect: Effect) -> None: ...
    def on_crash(self, node: Node) -> None: ...


class SimulatedLink:
    """A connection and its end of the wire; before a dialled one stands, what waits for it."""

    end: End
    connection: Connection
    timer: LinkTimer

    def __init__(self, dialled: Endpoint | None) -> None:
        self.number = 0
        self.dialled = dialled
        self.dial_ticket: int | None = None
        self.peer: Peer | None = None
        self.asks: list[effects.Ask] = []
        self.tickets: dict[int, int] = {}


class Node:
    def __init__(self, world: World, network: Network, farm: str, name: str, host: str, kind: Kind):
        self.world = world
        self.network = network
        self.farm = farm
        self.name = name
        self.host = host
        self.port = 5600
        self.kind = kind
        self.disk = DurableRows()
        self.rng = random.Random(f"{world.seed}/{name}")
        self.alive = False
        self.life = 0
        self.core: Core
        self.notes: Callable[[Node, effects.Note], None] = lambda node, note: None
        self.commit_first = True  # False is a planted bug: answers leave before the commit
        self.crash_after_answer = 0.0
        self.crash_in_commit = 0.0
        self._numbers = 0
        self._performers: dict[type[Effect], Callable[[Any], None]] = {
            effects.Answer: self._answer,
            effects.Tell: self._tell,
            effects.Ask: self._ask,
            effects.Dial: self._dial_to,
            effects.Close: self._close,
            effects.Note: self._note,
            effects.Broadcast: self._broadcast,
            effects.SendDatagram: self._send_datagram,
        }
        network.add(self, Identity(farm, kind.role, name))

    # --- life and death -----------------------------------------------------------------------

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.links: dict[int, SimulatedLink] = {}
        self._dialled: dict[Endpoint, SimulatedLink] = {}
        self._give_ups: dict[int, Timer] = {}
        self._unflushed: dict[int, SimulatedLink] = {}
        self._queue = EffectQueue()
        self._deadline: Timer | None = None
        self.world.trace(f"{self.name} starts")
        self.core = self.kind.make_core(self)
        self.feed(lambda now: self.core.on_start(now))

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. A commit that was under way is on disk or is not, as chance has it."""
        self.world.trace(f"{self.name} crashes")
        self.world.saw("crash")
        self.alive = False
        for link in self.links.values():
            if silently:
                link.end.vanish()
            else:
                link.end.close()
            link.timer.cancel()
        self.links.clear()
        self.kind.on_crash(self)
        if self._deadline:
            self._deadline.cancel()

    # --- the rule of performing -----------------------------------------------------------------

    def feed(self, decide: Callable[[float], list[Effect]]) -> None:
        """Let the core decide, and perform what it decided as far as it is durable."""
        decided = decide(self.world.now)
        if not self.commit_first:
            for effect in decided:
                if not isinstance(effect, effects.Persist):
                    self._perform(effect)
            self._flush_all()
            decided = [e for e in decided if isinstance(e, effects.Persist)]
        self._perform_all(self._queue.add(decided))
        self._commit()
        self._arm()

    def _commit(self) -> None:
        batch = self._queue.commit() if self.alive else []
        if not batch:
            return
        life = self.life
        low, high = COMMIT_SECONDS
        seconds = low + (high - low) * self.world.rng.random()

        def done() -> None:
            if self.life == life and self.alive:
                self.disk.apply(batch)
                self._perform_all(self._queue.committed())
                self._commit()
                self._arm()
            elif self.world.rng.random() < 0.5:
                self.disk.apply(batch)  # the write had reached the disk before the process died
                self.world.saw("committed, never acknowledged")

        self.world.after(seconds, done)
        if self.crash_in_commit and self.world.rng.random() < self.crash_in_commit:
            self.world.after(
                seconds * self.world.rng.random(), lambda: self._crash_and_return(life)
            )

    def _perform_all(self, ready: list[Effect]) -> None:
        life = self.life
        for effect in ready:
            if self.alive and self.life == life:
                self._perform(effect)
        self._flush_all()

    def _flush_all(self) -> None:
        """One write for each link that a wake-up has said something on, as the shell does."""
        unflushed, self._unflushed = self._unflushed, {}
        for link in unflushed.values():
            self._flush(link)

    def _perform(self, effect: Effect) -> None:
        perform = self._performers.get(type(effect))
        if perform is not None:
            perform(effect)
        else:
            self.kind.perform(self, effect)

    def _answer(self, answer: effects.Answer) -> None:
        link = self.links.get(answer.caller.peer.link)
        if link and answer.caller.request_id:
            link.connection.send(answer.message, answer.caller.request_id)
            self._unflushed[link.number] = link
            self._maybe_crash()

    def _tell(self, tell: effects.Tell) -> None:
        if link := self.links.get(tell.peer.link):
            link.connection.send(tell.message)
            self._unflushed[link.number] = link

    def _dial_to(self, dial: effects.Dial) -> None:
        if dial.endpoint not in self._dialled:
            self.link_to(dial.endpoint, dial.ticket)

    def _note(self, note: effects.Note) -> None:
        self.world.trace(f"{self.name} {note.event}")
        self.notes(self, note)

    def _broadcast(self, effect: effects.Broadcast) -> None:
        self.network.broadcast(self.name, self.host, limits.DISCOVERY_PORT, effect.datagram)

    def _send_datagram(self, effect: effects.SendDatagram) -> None:
        self.network.send_datagram(
            self.name, self.host, limits.DISCOVERY_PORT, effect.host, effect.datagram
        )

    def _maybe_crash(self) -> None:
        if self.crash_after_answer and self.world.rng.random() < self.crash_after_answer:
            self.world.saw("crash right after an answer")
            self._flush_all()
            self._crash_and_return(self.life)

    def _crash_and_return(self, life: int) -> None:
        if self.alive and self.life == life:
            self.crash()
            self.world.after(1.0, lambda: None if self.alive else self.start())

    def answer(self, ticket: int, outcome: effects.Outcome) -> None:
        if give_up := self._give_ups.pop(ticket, None):
            give_up.cancel()
        self.feed(lambda now: self.core.on_answer(ticket, outcome, now))

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something after a while, unless this life has ended by then."""
        life = self.life

        def act() -> None:
            if self.alive and self.life == life:
                action()

        return self.world.after(seconds, act)

    def _arm(self) -> None:
        if not self.alive:
            return
        when = self.core.next_deadline()
        if self._deadline and (when is None or self._deadline.at != max(when, self.world.now)):
            self._deadline.cancel()
            self._deadline = None
        if when is not None and self._deadline is None:
            self._deadline = self.world.at(when, self._on_deadline)

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.alive:
            self.feed(lambda now: self.core.on_deadline(now))

    # --- links ----------------------------------------------------------------------------------

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        if self.alive:
            self.feed(lambda now: self.core.on_datagram(host, port, datagram, now))

    def on_connection(self, end: End) -> bool:
        if self.alive:
            self._link(end, None)
        return self.alive

    def link_to(self, endpoint: Endpoint, ticket: int | None = None) -> SimulatedLink:
        """The one link to an endpoint, dialled now unless there is one."""
        link = self._dialled.get(endpoint)
        if link is None:
            link = self._dialled[endpoint] = SimulatedLink(endpoint)
            self._dial(endpoint, link)
            link.dial_ticket = ticket
        return link

    def _dial(self, endpoint: Endpoint, link: SimulatedLink) -> None:
        life = self.life

        def opened(end: End) -> None:
            if self.life == life and self.alive:
                self._link(end, link)
            else:
                end.close()

        def failed() -> None:
            if self.life == life and self.alive:
                self._on_closed(link, ErrorCode.UNREACHABLE)

        self.network.dial(self.name, self.host, endpoint.host, opened, failed, limits.DIAL_SECONDS)

    def _link(self, end: End, dialled: SimulatedLink | None) -> None:
        link = dialled or SimulatedLink(None)
        self._numbers += 1
        link.number, link.end = self._numbers, end
        link.connection = Connection(
            self.kind.role,
            self.name,
            dialling=dialled is not None,
            now=self.world.now,
            farm=self.farm,
            certified=self.network.identity_of(end.other.owner),
            trusted=False,
        )
        life = self.life
        due = partial(self._on_link_timer, link, life)
        link.timer = LinkTimer(self.world, link.connection, due)
        self.links[link.number] = link
        end.receive = lambda data: self._on_bytes(link, life, data)
        end.lost = lambda: self._on_bytes(link, life, None)
        self._flush(link)

    def _on_bytes(self, link: SimulatedLink, life: int, data: bytes | None) -> None:
        """Bytes, or None for the end of the link."""
        if self.life != life or not self.alive or link.number not in self.links:
            return
        now = self.world.now
        connection = link.connection
        events = connection.receive_eof(now) if data is None else connection.receive_data(data, now)
        self._on_events(link, events)

    def _on_events(self, link: SimulatedLink, events: list[Event]) -> None:
        for event in events:
            if not self.alive or link.number not in self.links:
                return
            self.world.messages += 1
            match event:
                case Opened(role, name):
                    self._on_opened(link, role, name)
                case Received(message):
                    assert link.peer
                    caller = Caller(link.peer, message.request_id)
                    self.world.trace(f"{link.peer.name} -> {self.name} {type(message).__name__}")
                    self.feed(lambda now: self.core.on_message(caller, message, now))  # noqa: B023
                case Answered(message):
                    self._settle(link, message.request_id, message)
                case Closed(code):
                    self._flush(link)
                    link.end.close()
                    self._on_closed(link, code)
        self._flush(link)

    def _on_opened(self, link: SimulatedLink, role: Role, name: str) -> None:
        host = link.end.other.address
        peer = Peer(link.number, role, name, host, self.port, link.dialled)
        link.peer = peer
        link.dial_ticket = None
        asks, link.asks = link.asks, []
        for ask in asks:
            self._ask_now(link, ask)
        self.feed(lambda now: self.core.on_peer_opened(peer, now))

    def _on_closed(self, link: SimulatedLink, code: ErrorCode) -> None:
        """The link is gone, or never was: every question on it has failed."""
        self._forget(link)
        failed = Failed(ErrorCode.CONNECTION_LOST if link.peer else code)
        tickets = [ask.ticket for ask in link.asks] + list(link.tickets.values())
        if link.dial_ticket is not None:
            tickets.append(link.dial_ticket)
        link.asks, link.tickets, link.dial_ticket = [], {}, None
        for ticket in tickets:
            if self.alive:
                self.answer(ticket, failed)
        if link.peer and self.alive:
            peer = link.peer
            self.feed(lambda now: self.core.on_peer_lost(peer, now))

    def _forget(self, link: SimulatedLink) -> None:
        if self.links.pop(link.number, None):
            link.timer.cancel()
        if link.dialled and self._dialled.get(link.dialled) is link:
            del self._dialled[link.dialled]

    # --- questions ------------------------------------------------------------------------------

    def _ask(self, ask: effects.Ask) -> None:
        link = self.link_to(ask.endpoint)
        if link.peer:
            self._ask_now(link, ask)
            self._unflushed[link.number] = link
        else:
            link.asks.append(ask)
        self._give_ups[ask.ticket] = self.later(
            ask.timeout_seconds, lambda: self._give_up(link, ask)
        )

    def _ask_now(self, link: SimulatedLink, ask: effects.Ask) -> None:
        link.tickets[link.connection.request(ask.message)] = ask.ticket

    def _give_up(self, link: SimulatedLink, ask: effects.Ask) -> None:
        for request_id, ticket in link.tickets.items():
            if ticket == ask.ticket:
                link.connection.give_up(request_id)
                self._settle(link, request_id, Failed(ErrorCode.UNANSWERED))
                return
        if ask in link.asks:
            link.asks.remove(ask)
            self.answer(ask.ticket, Failed(ErrorCode.UNREACHABLE))

    def _settle(self, link: SimulatedLink, request_id: int, outcome: effects.Outcome) -> None:
        ticket = link.tickets.pop(request_id, None)
        if ticket is not None:
            self.answer(ticket, outcome)

    def _close(self, close: effects.Close) -> None:
        link = self.links.get(close.peer.link)
        if link is None:
            return
        link.connection.close(close.code, close.detail, close.trace_id, close.retry_after_seconds)
        self._flush(link)
        link.end.close()
        link.peer = None
        self._forget(link)

    def _flush(self, link: SimulatedLink) -> None:
        if link.number not in self.links:
            return
        link.end.write(link.connection.data_to_send())
        link.timer.set()

    def _on_link_timer(self, link: SimulatedLink, life: int) -> None:
        if self.life == life and self.alive and link.number in self.links:
            self._on_events(link, link.connection.on_deadline(self.world.now))
