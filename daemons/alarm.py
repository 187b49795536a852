"""One timer for the next of many deadlines, set anew only when a deadline comes nearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

# A system clock that is set, or a machine that slept, is noticed at the latest after this.
TIMER_SECONDS_MAX = 60.0


class Timer(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]  # as a loop's call_later


class Alarm:
    """Calls `ring` when a deadline may be over. It may ring early, or for one that is gone; never
    later than TIMER_SECONDS_MAX after a clock was set."""

    def __init__(self, call_later: CallLater, ring: Callable[[], None]) -> None:
        self._call_later = call_later
        self._ring = ring
        self._timer: Timer | None = None
        self._set_for = 0.0

    def set(self, deadline: float | None, now: float) -> None:
        """Ring at `deadline`, in the same seconds as `now`; None means never."""
        if deadline is None or (self._timer is not None and self._set_for <= deadline):
            return
        self.cancel()
        delay = min(max(deadline - now, 0.0), TIMER_SECONDS_MAX)
        self._timer = self._call_later(delay, self._on_timer)
        self._set_for = deadline

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._ring()
