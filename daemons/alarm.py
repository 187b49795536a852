"""One timer for the next deadline of a core, touched only when that deadline moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# A system clock that is set, or a machine that slept, is noticed at the latest after this.
TIMER_SECONDS_MAX = 60.0


class Alarm:
    """Calls `ring` when a deadline may be due; it may ring early, never late by more than that."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._set_for: float | None = None

    def set(self, deadline: float | None, now: float) -> None:
        """Ring at `deadline`, Unix seconds as `now` is; None means never."""
        if deadline == self._set_for:
            return
        self.cancel()
        if deadline is not None:
            delay = min(max(deadline - now, 0.0), TIMER_SECONDS_MAX)
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)
            self._set_for = deadline

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._set_for = None

    def _on_timer(self) -> None:
        self._timer = self._set_for = None
        self._ring()
