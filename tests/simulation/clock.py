"""The clock of one node's machine, which may be wrong, as its process is told it."""

from __future__ import annotations

from daemons.clock import Clock
from tests.simulation.world import World

MOMENT = 1e-6  # the shortest time for which a timer is set: more than is lost in rounding


class NodeClock:
    """`ahead` is by how many seconds the machine's clock is before the world's time; a fault may
    change it. A process sees it through the clock that a daemon uses."""

    def __init__(self, world: World) -> None:
        self.ahead = 0.0
        self._world = world
        self.start()

    def start(self) -> None:
        """A process starts, and remembers no time."""
        world = self._world
        self.now = Clock(
            wall=lambda: world.now + self.ahead,
            monotonic=lambda: world.now,
            report_jump=lambda seconds: world.saw("clock.jumped"),
        ).now
