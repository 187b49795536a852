"""What this core waits for: a ticket for each open question, and who takes the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from daemons.effects import Effect, Outcome
from daemons.procedures import Procedures

Handler: TypeAlias = Callable[[Outcome, float], list[Effect]]


class Tickets:
    """Every question has an outcome or is withdrawn, so that what waits here is bounded by the
    clients and servers that asked."""

    def __init__(self, procedures: Procedures | None = None) -> None:
        self._procedures = Procedures() if procedures is None else procedures
        self._handlers: dict[int, Handler] = {}

    def __len__(self) -> int:
        return len(self._handlers)

    def open(self, handler: Handler) -> int:
        ticket = self._procedures.next_ticket()
        self._handlers[ticket] = handler
        return ticket

    def withdraw(self, ticket: int) -> None:
        self._handlers.pop(ticket, None)

    def close(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        """Hand the outcome over; nothing follows for a question that was withdrawn."""
        handler = self._handlers.pop(ticket, None)
        if handler is None:
            return self._procedures.on_answer(ticket, outcome, now)
        return handler(outcome, now)
