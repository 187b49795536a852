"""What this core waits for: a ticket for each open question, and who takes the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from daemons.effects import Effect, Outcome

Handler: TypeAlias = Callable[[Outcome, float], list[Effect]]


class Tickets:
    """Every question has an outcome or is withdrawn, so that what waits here is bounded by the
    clients and servers that asked."""

    def __init__(self) -> None:
        self._last = 0
        self._handlers: dict[int, Handler] = {}

    def __len__(self) -> int:
        return len(self._handlers)

    def open(self, handler: Handler) -> int:
        self._last += 1
        self._handlers[self._last] = handler
        return self._last

    def withdraw(self, ticket: int) -> None:
        self._handlers.pop(ticket, None)

    def close(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        """Hand the outcome over; nothing follows for a question that was withdrawn."""
        handler = self._handlers.pop(ticket, None)
        return handler(outcome, now) if handler else []
