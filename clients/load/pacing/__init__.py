"""Begins journeys in time. `Driver` is what a pacer needs of a driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Driver(Protocol):
    """Carries out journeys and reports every step to `Measures`. Times are seconds of
    `time.monotonic()`: the clock of a uvloop has whole milliseconds only."""

    in_flight: int
    """Journeys that have begun and not ended."""

    on_finished: Callable[[], None]
    """Called after each journey's end, good or bad; set by the pacer."""

    async def open(self) -> None:
        """Open the links of the whole run. Raises TsfarmError."""
        ...

    def begin(self, due: float) -> bool:
        """Begin a journey; its first step is timed from `due`. Returns False, and begins nothing,
        when all users or links are taken."""
        ...

    async def close(self) -> None:
        """End the journeys under way within seconds: log off sessions, close links."""
        ...
