"""When journeys begin, and what a pacer asks of the driver that carries them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Driver(Protocol):
    """Carries out journeys and tells `Measures` of every step. Times are `time.monotonic()`'s
    seconds: a uvloop's own clock, which begins with it, knows whole milliseconds only."""

    in_flight: int
    """Journeys that have begun and not ended."""

    on_finished: Callable[[], None]
    """Called after each journey's end, whether it succeeded or not; set by the worker."""

    async def open(self) -> None:
        """Dial what stays open for the whole run. Raises TsfarmError."""
        ...

    def begin(self, due: float) -> bool:
        """Begin a journey that was due then: its first step is timed from `due`. False: nobody is
        free to, and nothing was begun."""
        ...

    async def close(self) -> None:
        """End what is under way, within seconds: sessions are logged off, links closed."""
        ...
