"""A connection of one process of a node: what the switchboard says over it, and what it hears."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daemons.effects import Endpoint
from tests.simulation.network import End, LinkTimer
from tsproto.connection import Closed, Connection, Event, Received
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState, Message

if TYPE_CHECKING:
    from tests.simulation.node import Node


class SimulatedLine:
    port = 5600
    own_certificate = bytes(32)

    def __init__(self, node: Node, number: int, end: End, dialled: Endpoint | None) -> None:
        self.id = number
        self.host = end.other.address
        self.end = end
        self._dialled = dialled
        self._node = node
        self._switchboard = node.switchboard
        self._witness = node.witness
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
        self._timer = LinkTimer(self._world, self._connection, partial(self._notice, self._on_time))
        end.receive = lambda data: self._notice(partial(self._on_data, data))
        end.lost = lambda: self._notice(self._on_lost)

    # --- for the switchboard ----------------------------------------------------------------------

    def send(self, message: Message, request_id: int = 0) -> None:
        self._witness.sent(self.id, message)
        self._connection.tell_time(self._world.now)
        self._connection.send(message, request_id)
        if request_id:
            self._node.maybe_crash(self)

    def request(self, message: Message) -> int:
        assert self._dialled is not None
        self._witness.requested(self.id, self._dialled, message)
        return self._connection.request(message)

    def give_up(self, request_id: int) -> None:
        self._connection.give_up(request_id)

    def flush(self) -> None:
        self.end.write(self._connection.data_to_send())
        if self._connection.state is LinkState.CLOSED:
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
        if silently:
            self.end.vanish()
        else:
            self.end.close()

    def _notice(self, action: Callable[[], None]) -> None:
        self._node.notice(self._switchboard, action)

    def _on_data(self, data: bytes) -> None:
        self._report(self._connection.receive_data(data, self._world.now))

    def _on_lost(self) -> None:
        self._report(self._connection.receive_eof(self._world.now))

    def _on_time(self) -> None:
        self._report(self._connection.on_deadline(self._world.now))

    def _report(self, events: list[Event]) -> None:
        node = self._node
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
        if not self._switchboard.is_halted:
            self.flush()
