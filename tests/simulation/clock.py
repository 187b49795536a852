"""The clock of one node's machine, which may be wrong."""

from __future__ import annotations

from tests.simulation.world import World


class NodeClock:
    """`ahead` is by how many seconds it is before the world's time; a fault may change it."""

    def __init__(self, world: World) -> None:
        self.ahead = 0.0
        self._world = world

    def now(self) -> float:
        return self._world.now + self.ahead

    def world_time(self, shown: float) -> float:
        """When this clock shows that time, as it runs now."""
        return shown - self.ahead
