"""A register that is read and written: which histories have an order, and which have none."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.simulation import linearizable
from tests.simulation.linearizable import Operation, TooLong, check


class Register:
    """Calls are "read" or a number to write; a read answers the number, a write answers "done"."""

    def after(self, state: int, operation: Operation) -> Iterator[int]:
        if isinstance(operation.call, int):
            yield operation.call
        elif operation.answer in (None, state):
            yield state


def write(value: int, called_at: float, returned_at: float = math.inf) -> Operation:
    answer = None if returned_at == math.inf else "done"
    return Operation(call=value, called_at=called_at, answer=answer, returned_at=returned_at)


def read(value: int, called_at: float, returned_at: float) -> Operation:
    return Operation(call="read", called_at=called_at, answer=value, returned_at=returned_at)


def test_an_empty_history_is_good() -> None:
    assert check([], Register(), 0) is None


def test_answers_follow_each_other() -> None:
    assert check([write(1, 0, 1), read(1, 2, 3)], Register(), 0) is None


def test_an_older_value_is_not_read_after_a_write_has_returned() -> None:
    stale = read(0, 2, 3)
    stuck = check([write(1, 0, 1), stale], Register(), 0)
    assert stuck is not None
    assert (stuck.explained, stuck.state, stuck.blocked) == (1, 1, (stale,))


@pytest.mark.parametrize("value", [0, 1])
def test_a_read_beside_a_write_may_come_before_or_after_it(value: int) -> None:
    assert check([write(1, 0, 5), read(value, 1, 2)], Register(), 0) is None


def test_two_reads_in_turn_do_not_go_back() -> None:
    history = [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)]
    assert check(history, Register(), 0) is not None


def test_operations_that_touch_in_one_instant_overlap() -> None:
    assert check([write(1, 0, 1), read(0, 1, 2)], Register(), 0) is None


@pytest.mark.parametrize("value", [0, 1])
def test_an_unanswered_write_takes_effect_or_does_not(value: int) -> None:
    assert check([write(1, 0), read(value, 50, 51)], Register(), 0) is None


def test_an_unanswered_write_may_take_effect_late() -> None:
    history = [write(1, 0), read(0, 1, 2), write(2, 3, 4), read(1, 5, 6)]
    assert check(history, Register(), 0) is None


def test_an_unanswered_write_takes_effect_once() -> None:
    history = [write(1, 0), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)]
    assert check(history, Register(), 0) is not None


def test_an_unanswered_write_takes_no_effect_before_its_call() -> None:
    assert check([read(1, 0, 1), write(1, 2)], Register(), 0) is not None


def test_two_unanswered_writes_of_one_value_take_effect_twice() -> None:
    history = [write(1, 0), write(1, 0), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)]
    assert check(history, Register(), 0) is None


def test_the_order_of_the_list_does_not_matter() -> None:
    assert check([read(1, 2, 3), write(1, 0, 1)], Register(), 0) is None


def test_a_hundred_unanswered_writes_do_not_hold_up_the_search() -> None:
    lost = [write(1, 0) for _ in range(100)]
    history = [*lost, write(2, 1, 2), read(3, 3, 4)]
    stuck = check(history, Register(), 0)
    assert stuck is not None and stuck.explained == 1


def test_a_search_that_does_not_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizable, "STATES_MAX", 20)
    beside_each_other = [write(value, 0, 9) for value in range(8)]
    with pytest.raises(TooLong, match="9 operations"):
        check([*beside_each_other, read(99, 10, 11)], Register(), 0)
