"""How a core is made wrong from outside: in what it hears, or in what it decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from daemons import effects
from daemons.effects import Caller, Core, Effect, Outcome
from tests.simulation.kinds import Kind
from tests.simulation.node import Node
from tsproto.messages import Message

if TYPE_CHECKING:
    from tests.simulation.farm import Farm


class Wrong:
    """A core that a subclass makes wrong: in what it hears, or in what it decides."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def on_start(self, now: float) -> list[Effect]:
        return self.decided(self.core.on_start(now))

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self.decided(self.core.on_message(caller, message, now))

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        return self.decided(self.core.on_answer(question_id, outcome, now))

    def on_peer_lost(self, peer: effects.Peer, now: float) -> list[Effect]:
        return self.decided(self.core.on_peer_lost(peer, now))

    def on_program_ended(self, session_id: int, status: int, now: float) -> list[Effect]:
        return self.decided(self.__getattr__("on_program_ended")(session_id, status, now))

    def on_deadline(self, now: float) -> list[Effect]:
        return self.decided(self.core.on_deadline(now))

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return decided


class _WrongKind:
    def __init__(self, kind: Kind, wrong: Callable[[Core], Wrong]) -> None:
        self.role = kind.role
        self._kind = kind
        self._wrong = wrong

    def make_core(self, node: Node) -> Core:
        return self._wrong(self._kind.make_core(node))

    def perform(self, node: Node, effect: Effect) -> None:
        self._kind.perform(node, effect)

    def on_crash(self, node: Node) -> None:
        self._kind.on_crash(node)


def plant(nodes: list[Node], wrong: Callable[[Core], Wrong]) -> None:
    for node in nodes:
        node.kind = _WrongKind(node.kind, wrong)


def hosts(farm: Farm) -> list[Node]:
    return [node for node, _ in farm.terminal_servers]


def license_servers(farm: Farm) -> list[Node]:
    return farm.license_servers
