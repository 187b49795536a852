"""What must sometimes happen, or the simulation tests less than it says: a thousand seeds that
never reach one of these are told so.
"""

from __future__ import annotations

from daemons.effects import Ask, Effect, Failed, Outcome
from daemons.events import Event
from tests.simulation.world import World
from tsproto.messages import Refused, Role


def noted(world: World, role: Role, effect: Effect) -> None:
    if isinstance(effect, Event):
        world.saw(f"{role.name.lower().replace('_', ' ')}: {effect.event}")


def heard(world: World, ask: Ask, outcome: Outcome) -> None:
    """What came of a question."""
    name = type(ask.message).__name__
    if isinstance(outcome, Failed | Refused):
        world.saw(f"{name}: {outcome.code.name}")
    else:
        world.saw(f"{name}: {type(outcome).__name__}")
