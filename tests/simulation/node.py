"""A daemon in the simulation: a real core on the real switchboard, with real connections, under
virtual time. Here is only what the machine does: wires, timers, a disk that takes time, death.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

from daemons import effects, events
from daemons.effects import Core, Effect, EffectQueue, Endpoint, Failed, Persist
from daemons.switchboard import Switchboard
from tests.simulation.network import End, LinkTimer, Network
from tests.simulation.store import DurableRows
from tests.simulation.witness import Witness
from tests.simulation.world import Timer, World
from tsproto import limits
from tsproto.connection import Closed, Connection, Event, Received
from tsproto.errors import ErrorCode
from tsproto.identity import Identity
from tsproto.messages import LinkState, Message, Role

COMMIT_SECONDS = (0.0002, 0.02)


class Kind(Protocol):
    """What makes a node a license server, a directory or a terminal server."""

    role: Role

    def make_core(self, node: Node) -> Core: ...
    def perform(self, node: Node, effect: Effect) -> None: ...
    def on_crash(self, node: Node) -> None: ...


class Hasty(EffectQueue):
    """A planted bug: nothing waits for a commit."""

    def add(self, effects: list[Effect]) -> list[Effect]:
        super().add([effect for effect in effects if isinstance(effect, Persist)])
        return [effect for effect in effects if not isinstance(effect, Persist)]


class SimulatedLine:
    """A connection and its end of the wire, of one life of a node."""

    port = 5600
    own_certificate = bytes(32)

    def __init__(self, node: Node, end: End, dialled: Endpoint | None) -> None:
        node.numbers += 1
        self.id = node.numbers
        self.host = end.other.address
        self.end = end
        self._node = node
        self._switchboard = node.switchboard
        self._world = node.world
        self._connection = Connection(
            node.kind.role,
            node.name,
            dialling=dialled is not None,
            now=node.world.now,
            farm=node.farm,
            certified=node.network.identity_of(end.other.owner),
            trusted=False,
        )
        self.timer = LinkTimer(self._world, self._connection, self._on_timer)
        end.receive = lambda data: self._report(
            self._connection.receive_data(data, self._world.now)
        )
        end.lost = lambda: self._report(self._connection.receive_eof(self._world.now))

    # --- for the switchboard ----------------------------------------------------------------------

    def send(self, message: Message, request_id: int = 0) -> None:
        self._connection.tell_time(self._world.now)
        self._connection.send(message, request_id)
        if request_id:
            self._node.maybe_crash(self)

    def request(self, message: Message) -> int:
        return self._connection.request(message)

    def give_up(self, request_id: int) -> None:
        self._connection.give_up(request_id)

    def flush(self) -> None:
        self.end.write(self._connection.data_to_send())
        if self._connection.state is LinkState.CLOSED:
            self.end.close()
            self.timer.cancel()
        else:
            self.timer.set()

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        self._connection.close(code, detail, trace_id, retry_after_seconds)
        self.flush()

    # --- for the wire -----------------------------------------------------------------------------

    def _on_timer(self) -> None:
        self._report(self._connection.on_deadline(self._world.now))

    def _report(self, events: list[Event]) -> None:
        node = self._node
        if self._switchboard.is_over:
            return
        for event in events:
            self._world.messages += 1
            if isinstance(event, Received):
                peer = self._switchboard.peer_of(self)
                sender = peer.name if peer else "?"
                self._world.trace(f"{sender} -> {node.name} {type(event.message).__name__}")
            self._switchboard.happened(self, event)
            if isinstance(event, Closed):
                node.lines.pop(self.id, None)
        node.turn()
        if not self._switchboard.is_over:
            self.flush()


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
        self.numbers = 0
        self.core: Core
        self.switchboard: Switchboard
        self.notes: Callable[[Node, effects.Note | events.Event], None] = lambda node, note: None
        self.commit_first = True  # False is a planted bug: answers leave before the commit
        self.crash_after_answer = 0.0
        self.crash_in_commit = 0.0
        network.add(self, Identity(farm, kind.role, name))

    # --- life and death -----------------------------------------------------------------------

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.lines: dict[int, SimulatedLine] = {}
        self._deadlines: list[Timer | None] = [None, None]
        self.world.trace(f"{self.name} starts")
        self.core = self.kind.make_core(self)
        witness = Witness(self.core, self.world, self.name)
        self._seen = witness.seen
        self.switchboard = Switchboard(witness, self)
        if not self.commit_first:
            self.switchboard.queue = Hasty()
        self.switchboard.add(witness.on_start)
        self.turn()

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. A commit that was under way is on disk or is not, as chance has it."""
        self.world.trace(f"{self.name} crashes")
        self.world.saw("crash")
        self.alive = False
        self.switchboard.is_over = True
        for line in self.lines.values():
            if silently:
                line.end.vanish()
            else:
                line.end.close()
            line.timer.cancel()
        self.lines.clear()
        self.kind.on_crash(self)
        for timer in self._deadlines:
            if timer:
                timer.cancel()

    def maybe_crash(self, line: SimulatedLine) -> None:
        if self.crash_after_answer and self.world.rng.random() < self.crash_after_answer:
            self.world.saw("crash right after an answer")
            line.flush()
            self._crash_and_return(self.life)

    def _crash_and_return(self, life: int) -> None:
        if self.alive and self.life == life:
            self.crash()
            self.world.after(1.0, lambda: None if self.alive else self.start())

    # --- one wake-up ----------------------------------------------------------------------------

    def feed(self, step: Callable[[float], list[Effect]]) -> None:
        self.switchboard.add(lambda now: self._seen(step(now)))
        self.turn()

    def answer(self, ticket: int, outcome: effects.Outcome) -> None:
        self.switchboard.answer(ticket, outcome)
        self.turn()

    def turn(self) -> None:
        self.switchboard.turn(self.world.now, self.world.now)
        if self.alive:
            self._arm(0, self.core.next_deadline(), self.switchboard.run_deadline)
            self._arm(1, self.switchboard.next_timeout(), lambda: None)

    def _arm(self, which: int, when: float | None, what: Callable[[], None]) -> None:
        timer = self._deadlines[which]
        if timer and (when is None or timer.at != max(when, self.world.now)):
            timer.cancel()
            timer = None
        if when is not None and timer is None:

            def due() -> None:
                self._deadlines[which] = None
                what()
                self.turn()

            timer = self.later(max(0.0, when - self.world.now), due, at=when)
        self._deadlines[which] = timer

    def later(self, seconds: float, action: Callable[[], None], at: float | None = None) -> Timer:
        """Do something after a while, unless this life has ended by then."""
        life = self.life

        def act() -> None:
            if self.alive and self.life == life:
                action()

        return self.world.at(self.world.now + seconds if at is None else at, act)

    # --- the switchboard's hands ----------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        match effect:
            case effects.Note() | events.Event():
                self.world.trace(f"{self.name} {effect.event}")
                self.notes(self, effect)
            case effects.Broadcast(datagram):
                self.network.broadcast(self.name, self.host, limits.DISCOVERY_PORT, datagram)
            case effects.SendDatagram(host, _, datagram):
                self.network.send_datagram(
                    self.name, self.host, limits.DISCOVERY_PORT, host, datagram
                )
            case _:
                self.kind.perform(self, effect)

    def commit(self, batch: list[Persist]) -> None:
        life, switchboard = self.life, self.switchboard
        low, high = COMMIT_SECONDS
        seconds = low + (high - low) * self.world.rng.random()

        def done() -> None:
            if not switchboard.is_over:
                self.disk.apply(batch)
                switchboard.committed(self.world.now, self.world.now)
                self.turn()
            elif self.world.rng.random() < 0.5:
                self.disk.apply(batch)  # the write had reached the disk before the process died
                self.world.saw("committed, never acknowledged")

        self.world.after(seconds, done)
        if self.crash_in_commit and self.world.rng.random() < self.crash_in_commit:
            self.world.after(
                seconds * self.world.rng.random(), lambda: self._crash_and_return(life)
            )

    def dial(self, endpoint: Endpoint) -> None:
        switchboard = self.switchboard

        def opened(end: End) -> None:
            if switchboard.is_over:
                end.close()
            else:
                line = self._line(end, endpoint)
                switchboard.dialled(endpoint, line)
                line.flush()

        def failed() -> None:
            if not switchboard.is_over:
                switchboard.dial_failed(endpoint, Failed(ErrorCode.UNREACHABLE))
                self.turn()

        self.network.dial(self.name, self.host, endpoint.host, opened, failed, limits.DIAL_SECONDS)

    # --- the wire -------------------------------------------------------------------------------

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        if self.alive:
            self.feed(partial(self.core.on_datagram, host, port, datagram))

    def on_connection(self, end: End) -> bool:
        if self.alive:
            self._line(end, None).flush()
        return self.alive

    def _line(self, end: End, dialled: Endpoint | None) -> SimulatedLine:
        line = SimulatedLine(self, end, dialled)
        self.lines[line.id] = line
        return line
