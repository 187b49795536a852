"""What passes between a core and the world, seen by the laws: one look-out around each core.

It stands outside of everything that a planted bug may change, so it sees what a peer, a client or
the keeper would see.
"""

from __future__ import annotations

from typing import Any, Protocol

from daemons.effects import Answer, Ask, Caller, Close, Core, Effect, Outcome, Peer, Tell
from tests.simulation.kinds import Kind
from tests.simulation.node import Node
from tsproto.messages import Message


class Watcher(Protocol):
    """What is told of each core. `now` is the time that the core was given."""

    def asked(self, node: Node, caller: Caller, message: Message, now: float) -> None: ...
    def answered(self, node: Node, caller: Caller, answer: Message, now: float) -> None: ...
    def told(self, node: Node, peer: Peer, message: Message, now: float) -> None: ...
    def hung_up(self, node: Node, close: Close, now: float) -> None: ...
    def asks(self, node: Node, ask: Ask) -> None: ...
    def heard(self, node: Node, ask: Ask, outcome: Outcome, now: float) -> None: ...
    def lost(self, node: Node, peer: Peer) -> None: ...
    def noted(self, node: Node, effect: Effect) -> None: ...
    def performed(self, node: Node, effect: Effect) -> None: ...
    def program_ended(self, node: Node, session_id: int) -> None: ...


class WatchedCore:
    """A core whose every decision is reported."""

    def __init__(self, core: Core, node: Node, watcher: Watcher) -> None:
        self._core = core
        self._node = node
        self._watcher = watcher
        self._asks: dict[int, Ask] = {}
        self.next_deadline = core.next_deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def on_start(self, now: float) -> list[Effect]:
        return self._seen(self._core.on_start(now), now)

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        return self._seen(self._core.on_peer_opened(peer, now), now)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        self._watcher.asked(self._node, caller, message, now)
        return self._seen(self._core.on_message(caller, message, now), now)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        ask = self._asks.pop(question_id, None)
        if ask is not None:
            self._watcher.heard(self._node, ask, outcome, now)
        return self._seen(self._core.on_answer(question_id, outcome, now), now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        self._watcher.lost(self._node, peer)
        return self._seen(self._core.on_peer_lost(peer, now), now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self._seen(self._core.on_datagram(host, port, datagram, now), now)

    def on_program_ended(self, session_id: int, exit_status: int, now: float) -> list[Effect]:
        self._watcher.program_ended(self._node, session_id)
        ended: list[Effect] = self.__getattr__("on_program_ended")(session_id, exit_status, now)
        return self._seen(ended, now)

    def on_deadline(self, now: float) -> list[Effect]:
        return self._seen(self._core.on_deadline(now), now)

    def _seen(self, decided: list[Effect], now: float) -> list[Effect]:
        watcher, node = self._watcher, self._node
        for effect in decided:
            if isinstance(effect, Answer):
                watcher.answered(node, effect.caller, effect.message, now)
            elif isinstance(effect, Tell):
                watcher.told(node, effect.peer, effect.message, now)
            elif isinstance(effect, Ask):
                self._asks[effect.question_id] = effect
                watcher.asks(node, effect)
            elif isinstance(effect, Close):
                watcher.hung_up(node, effect, now)
            else:
                watcher.noted(node, effect)
        return decided


class WatchedKind:
    """A kind of node whose cores are watched, and what it does for them."""

    def __init__(self, kind: Kind, watcher: Watcher) -> None:
        self.role = kind.role
        self._kind = kind
        self._watcher = watcher

    def make_core(self, node: Node) -> Core:
        return WatchedCore(self._kind.make_core(node), node, self._watcher)

    def perform(self, node: Node, effect: Effect) -> None:
        self._watcher.performed(node, effect)
        self._kind.perform(node, effect)

    def on_crash(self, node: Node) -> None:
        self._kind.on_crash(node)
