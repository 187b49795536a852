"""A connection of one process of a node: what the switchboard says over it, and what it hears."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from daemons.effects import Endpoint
from tests.simulation.network import End, LinkTimer
from tsproto.connection import Connection, Event, Received
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState, Message

if TYPE_CHECKING:
    from tests.simulation.node import Node


class SimulatedLine:
    port = 5600
    peer_certificate = bytes(32)

    def __init__(self, node: Node, number: int, end: End, dialled: Endpoint | None) -> None:
        self.id = number
        self.own_certificate = node.network.certificate_of(node.name)
        self.peer_certificate = node.network.certificate_of(end.other.owner)
        self.host = end.other.address
        self.end = end
        self._dialled = dialled
        self._node = node
        self._switchboard = node.switchboard
        self._witness = node.witness
        self._world = node.world
        self._connection = connection = Connection(
            node.kind.role,
            node.name,
            dialling=dialled is not None,
            now=node.world.now,
            farm=node.farm,
            certified=node.network.identity_of(end.other.owner),
            trusted=False,
            deny_lists=node.deny_lists,
            certificate=self.peer_certificate,
        )
        self.give_up = connection.give_up
        notice = partial(node.notice, node.switchboard)
        self._timer = LinkTimer(self._world, connection, partial(notice, self._on_deadline))
        end.receive = partial(notice, self._on_data)
        end.lost = partial(notice, self._on_lost)
        end.tell_what_was_kept()

    # --- for the switchboard ----------------------------------------------------------------------

    def send(self, message: Message, request_id: int = 0) -> None:
        self._witness.sent(self.id, message)
        self._connection.tell_time(self._world.now)
        self._connection.send(message, request_id)
        if request_id:
            self._node.on_answer(self)

    def request(self, message: Message) -> int:
        assert self._dialled is not None
        self._witness.requested(self.id, self._dialled, message)
        return self._connection.request(message)

    def flush(self) -> None:
        connection = self._connection
        if data := connection.data_to_send():
            self.end.write(data)
        if connection.state is LinkState.CLOSED:
            self.end.close()
            self._timer.cancel()
        else:
            self._timer.set()

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        self._witness.closed(self.id)
        self._connection.close(code, detail, trace_id, retry_after_seconds)
        self.flush()

    # --- for the wire -----------------------------------------------------------------------------

    def die(self, *, silently: bool) -> None:
        """Its process is killed; silently, when the whole machine is without power."""
        self._timer.cancel()
        (self.end.vanish if silently else self.end.close)()

    def _on_data(self, data: bytes) -> None:
        if events := self._connection.receive_data(data, self._world.now):
            self._on_events(events)
        else:
            self.flush()  # as a real link does, though a connection says nothing without events

    def _on_lost(self) -> None:
        self._on_events(self._connection.receive_eof(self._world.now))

    def _on_deadline(self) -> None:
        if events := self._connection.on_deadline(self._world.now):
            self._on_events(events)
        else:
            self.flush()  # a heartbeat is no event

    def _on_events(self, events: list[Event]) -> None:
        node, switchboard, world = self._node, self._switchboard, self._world
        world.messages += len(events)
        for event in events:
            if type(event) is Received:
                peer = switchboard.peer_of(self)
                sender = peer.name if peer else "?"
                world.trace(f"{sender} -> {node.name} {type(event.message).__name__}")
            switchboard.happened(self, event)
        if self._connection.state is LinkState.CLOSED:
            node.lines.pop(self.id, None)
        node.wake()
        if not switchboard.is_halted:
            self.flush()
