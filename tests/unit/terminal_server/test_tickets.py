from __future__ import annotations

from functools import partial

from daemons.effects import Effect, Failed, Outcome
from daemons.terminal_server.tickets import Tickets
from tsproto.errors import ErrorCode

LOST = Failed(ErrorCode.CONNECTION_LOST)


def hear(heard: list[tuple[Outcome, float]], outcome: Outcome, now: float) -> list[Effect]:
    heard.append((outcome, now))
    return []


def test_an_outcome_goes_to_whoever_asked_and_only_once() -> None:
    heard: list[tuple[Outcome, float]] = []
    tickets = Tickets()
    ticket = tickets.open(partial(hear, heard))
    tickets.close(ticket, LOST, 5.0)
    tickets.close(ticket, LOST, 6.0)
    assert heard == [(LOST, 5.0)]
    assert len(tickets) == 0


def test_nobody_hears_of_a_question_that_was_withdrawn() -> None:
    heard: list[tuple[Outcome, float]] = []
    tickets = Tickets()
    ticket = tickets.open(partial(hear, heard))
    tickets.withdraw(ticket)
    assert tickets.close(ticket, LOST, 5.0) == []
    assert heard == []
