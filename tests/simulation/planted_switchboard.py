"""Switchboards that break the contract with their cores: the simulation must find each."""

from __future__ import annotations

from daemons.effects import Core, Effect, EffectQueue, Persist
from daemons.switchboard import Hands, Switchboard
from tests.simulation.node import SimulatedLine

Board = Switchboard[SimulatedLine]


class HastyQueue(EffectQueue):
    def add(self, effects: list[Effect]) -> list[Effect]:
        super().add([effect for effect in effects if isinstance(effect, Persist)])
        return [effect for effect in effects if not isinstance(effect, Persist)]


class HastySwitchboard(Board):
    """Answers leave before their commit."""

    def __init__(self, core: Core, hands: Hands) -> None:
        super().__init__(core, hands)
        self.queue = HastyQueue()
