"""One link to each endpoint, and one outcome for each Ask and each Dial."""

from __future__ import annotations

import random
from itertools import compress

import msgspec

from daemons.effects import Ask, Dial, Endpoint, Failed, Outcome
from daemons.routes import SETTLED_TIMEOUTS_MAX, Routes
from tests.unit.daemons.lines import MemoryLine
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, QueryPools, QueryServers, Role

HERE = Endpoint(Role.LICENSE_SERVER, "10.0.0.1", 5600)
THERE = Endpoint(Role.LICENSE_SERVER, "10.0.0.2", 5600)
POOLS, SERVERS = QueryPools(), QueryServers()
LOST = Failed(ErrorCode.CONNECTION_LOST)


def ask(question_id: int, message: Message = POOLS, seconds: float = 5.0) -> Ask:
    return Ask(HERE, message, question_id, seconds)


def answer(request_id: int) -> Done:
    return msgspec.structs.replace(Done(), request_id=request_id)


class Dialler:
    """Routes whose dials and outcomes go into lists."""

    def __init__(self) -> None:
        self.dials: list[Endpoint] = []
        self.outcomes: list[tuple[int, Outcome]] = []
        self.line = MemoryLine(1)
        self.routes = Routes[MemoryLine](
            self.dials.append,
            lambda question_id, outcome: self.outcomes.append((question_id, outcome)),
        )

    def open(self) -> MemoryLine:
        """A link to HERE."""
        self.routes.dial(Dial(HERE, 99))
        self.routes.dialled(HERE, self.line)
        assert self.routes.opened(self.line) == HERE
        return self.line


# --- dialling -------------------------------------------------------------------------------------


def test_an_endpoint_is_dialled_once_for_all_who_want_it() -> None:
    dialler = Dialler()
    dialler.routes.dial(Dial(HERE, 1))
    dialler.routes.ask(ask(2), 0.0)
    dialler.routes.dial(Dial(THERE, 3))
    assert dialler.dials == [HERE, THERE]


def test_what_was_asked_before_the_link_is_open_is_sent_then_in_order() -> None:
    dialler = Dialler()
    assert dialler.routes.ask(ask(1), 0.0) is None
    dialler.routes.ask(ask(2, SERVERS), 0.0)
    dialler.routes.dialled(HERE, dialler.line)
    assert dialler.line.done == []
    dialler.routes.opened(dialler.line)
    assert dialler.line.done == [("request", POOLS), ("request", SERVERS)]


def test_what_is_asked_over_an_open_link_is_sent_at_once_and_the_line_is_to_be_flushed() -> None:
    dialler = Dialler()
    line = dialler.open()
    assert dialler.routes.ask(ask(1), 0.0) is line
    assert line.done == [("request", POOLS)]


def test_a_dial_that_succeeds_or_finds_an_open_link_has_no_outcome() -> None:
    dialler = Dialler()
    dialler.open()
    dialler.routes.dial(Dial(HERE, 1))
    dialler.routes.ended(1, LOST)
    assert dialler.dials == [HERE]
    assert dialler.outcomes == []


def test_a_dial_that_fails_fails_all_who_waited_and_the_next_ask_dials_anew() -> None:
    dialler = Dialler()
    dialler.routes.dial(Dial(HERE, 1))
    dialler.routes.ask(ask(2), 0.0)
    unreachable = Failed(ErrorCode.UNREACHABLE, "nobody listens")
    dialler.routes.dial_failed(HERE, unreachable)
    assert sorted(dialler.outcomes) == [(1, unreachable), (2, unreachable)]
    dialler.routes.ask(ask(3), 0.0)
    assert dialler.dials == [HERE, HERE]


def test_a_line_that_ends_before_it_is_open_fails_all_who_waited() -> None:
    dialler = Dialler()
    dialler.routes.dial(Dial(HERE, 1))
    dialler.routes.dialled(HERE, dialler.line)
    assert list(dialler.routes.lines()) == [dialler.line]
    wrong = Failed(ErrorCode.WRONG_ROLE, "not you")
    dialler.routes.ended(1, wrong)
    assert dialler.outcomes == [(1, wrong)]
    assert list(dialler.routes.lines()) == []


def test_a_line_that_was_not_dialled_has_no_endpoint_and_no_answers() -> None:
    dialler = Dialler()
    assert dialler.routes.opened(dialler.line) is None
    dialler.routes.answered(dialler.line, answer(1))
    dialler.routes.ended(1, LOST)
    assert dialler.outcomes == []


# --- outcomes -------------------------------------------------------------------------------------


def test_each_answer_finds_its_question_by_the_request_id() -> None:
    dialler = Dialler()
    line = dialler.open()
    dialler.routes.ask(ask(7), 0.0)
    dialler.routes.ask(ask(8), 0.0)
    dialler.routes.answered(line, answer(2))
    dialler.routes.answered(line, answer(1))
    assert dialler.outcomes == [(8, answer(2)), (7, answer(1))]


def test_when_a_link_ends_its_open_questions_fail_and_the_answered_do_not() -> None:
    dialler = Dialler()
    line = dialler.open()
    dialler.routes.ask(ask(7), 0.0)
    dialler.routes.ask(ask(8), 0.0)
    dialler.routes.answered(line, answer(1))
    dialler.routes.ended(1, LOST)
    assert dialler.outcomes == [(7, answer(1)), (8, LOST)]


def test_a_question_that_waited_for_its_link_has_one_outcome_when_that_ends() -> None:
    dialler = Dialler()
    dialler.routes.ask(ask(7), 0.0)
    dialler.open()
    dialler.routes.ended(1, LOST)
    assert dialler.outcomes == [(7, LOST)]


def test_a_question_that_was_given_up_has_no_other_outcome_when_its_link_ends() -> None:
    dialler = Dialler()
    dialler.open()
    dialler.routes.ask(ask(7, seconds=5.0), 0.0)
    dialler.routes.give_up(5.0)
    dialler.routes.ended(1, LOST)
    assert [question_id for question_id, _ in dialler.outcomes] == [7]


def test_a_request_above_the_links_limit_is_busy() -> None:
    dialler = Dialler()
    dialler.open().requests_left = 1
    dialler.routes.ask(ask(1), 0.0)
    dialler.routes.ask(ask(2), 0.0)
    busy = Failed(ErrorCode.BUSY, "too many requests are unanswered")
    assert dialler.outcomes == [(2, busy)]


def test_a_request_on_a_connection_that_has_just_ended_is_lost() -> None:
    dialler = Dialler()
    dialler.open().has_ended = True
    dialler.routes.ask(ask(1), 0.0)
    assert dialler.outcomes == [(1, LOST)]


# --- time-outs ------------------------------------------------------------------------------------


def test_a_question_is_given_up_at_its_time_out_and_not_before() -> None:
    dialler = Dialler()
    line = dialler.open()
    dialler.routes.ask(ask(1, seconds=5.0), 10.0)
    assert dialler.routes.next_timeout == 15.0
    dialler.routes.give_up(14.999)
    assert dialler.outcomes == []
    dialler.routes.give_up(15.0)
    assert dialler.outcomes == [(1, Failed(ErrorCode.UNANSWERED, "no answer came in time"))]
    assert line.done[-1] == ("give up", 1)
    assert dialler.routes.next_timeout is None


def test_a_question_that_no_link_carried_in_time_is_unreachable() -> None:
    dialler = Dialler()
    dialler.routes.ask(ask(1, seconds=5.0), 0.0)
    dialler.routes.give_up(5.0)
    late = Failed(ErrorCode.UNREACHABLE, "no link came about in time")
    assert dialler.outcomes == [(1, late)]
    dialler.routes.dialled(HERE, dialler.line)
    dialler.routes.opened(dialler.line)
    assert dialler.line.done == []


def test_only_the_questions_that_are_due_are_given_up() -> None:
    dialler = Dialler()
    dialler.open()
    for question_id, seconds in ((1, 9.0), (2, 3.0), (3, 6.0)):
        dialler.routes.ask(ask(question_id, seconds=seconds), 0.0)
    dialler.routes.give_up(6.0)
    assert [question_id for question_id, _ in dialler.outcomes] == [2, 3]
    assert dialler.routes.next_timeout == 9.0


def test_an_answered_question_neither_times_out_nor_sets_the_next_time_out() -> None:
    dialler = Dialler()
    line = dialler.open()
    dialler.routes.ask(ask(1, seconds=5.0), 0.0)
    dialler.routes.ask(ask(2, seconds=8.0), 0.0)
    dialler.routes.answered(line, answer(1))
    assert dialler.routes.next_timeout == 8.0
    dialler.routes.give_up(5.0)
    assert dialler.outcomes == [(1, answer(1))]


def test_clearing_away_the_time_outs_of_settled_questions_keeps_those_of_open_ones() -> None:
    dialler, rng = Dialler(), random.Random(1)
    line = dialler.open()
    line.requests_left = count = SETTLED_TIMEOUTS_MAX + 500
    seconds = [rng.uniform(1, 9) for _ in range(count)]
    is_open = [rng.random() < 0.1 for _ in range(count)]
    for number in range(count):
        dialler.routes.ask(ask(number, seconds=seconds[number]), 0.0)
        if not is_open[number]:
            dialler.routes.answered(line, answer(number + 1))
    dialler.outcomes.clear()
    dialler.routes.give_up(9.0)
    given_up = [seconds[question_id] for question_id, _ in dialler.outcomes]
    assert given_up == sorted(compress(seconds, is_open))
