"""Requests in flight in both directions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tsproto import limits
from tsproto.errors import ErrorCode, OutOfOrder, TooManyRequests
from tsproto.messages import Done, JoinFarm, Message, Pools, QueryPools, Refused, WarpClock
from tsproto.requests import REQUEST_ID_MAX, Requests


def numbered(message: Message, request_id: int) -> Message:
    message.request_id = request_id
    return message


def no() -> Refused:
    return Refused(code=ErrorCode.BUSY)


def test_ids_count_from_one() -> None:
    requests = Requests()
    assert [requests.ask(QueryPools) for _ in range(3)] == [1, 2, 3]


def test_answers_may_come_in_any_order() -> None:
    requests = Requests()
    first, second = requests.ask(QueryPools), requests.ask(WarpClock)
    assert requests.take_answer(numbered(Done(), second))
    assert requests.take_answer(numbered(Pools(pools=[]), first))


def test_every_request_may_be_refused() -> None:
    requests = Requests()
    assert requests.take_answer(numbered(no(), requests.ask(QueryPools)))


def test_an_answer_to_a_request_that_was_given_up_is_ignored_once() -> None:
    requests = Requests()
    request_id = requests.ask(QueryPools)
    requests.give_up(request_id)
    assert not requests.take_answer(numbered(Done(), request_id))
    with pytest.raises(OutOfOrder):
        requests.take_answer(numbered(Done(), request_id))


@pytest.mark.parametrize("request_id", [0, 1, REQUEST_ID_MAX])
def test_an_answer_to_what_was_never_asked_is_out_of_order(request_id: int) -> None:
    with pytest.raises(OutOfOrder):
        Requests().take_answer(numbered(Done(), request_id))


def test_an_answer_to_another_question_is_out_of_order() -> None:
    requests = Requests()
    with pytest.raises(OutOfOrder):
        requests.take_answer(numbered(Done(), requests.ask(QueryPools)))


def test_the_peers_request_is_answered_once_and_with_an_answer_to_it() -> None:
    requests = Requests()
    requests.take_request(numbered(QueryPools(), 5))
    with pytest.raises(OutOfOrder):
        requests.answer(Done(), 5)
    requests.answer(Pools(pools=[]), 5)
    with pytest.raises(OutOfOrder):
        requests.answer(Pools(pools=[]), 5)


def test_an_id_may_be_used_again_once_it_was_answered() -> None:
    requests = Requests()
    for _ in range(2):
        requests.take_request(numbered(QueryPools(), 5))
        requests.answer(no(), 5)


def test_an_id_that_waits_for_its_answer_is_not_used_twice() -> None:
    requests = Requests()
    requests.take_request(numbered(QueryPools(), 5))
    with pytest.raises(OutOfOrder):
        requests.take_request(numbered(WarpClock(), 5))


def ours(requests: Requests, number: int) -> None:
    requests.give_up(requests.ask(JoinFarm))  # it still waits at the peer


def theirs(requests: Requests, number: int) -> None:
    requests.take_request(numbered(QueryPools(), number))


@pytest.mark.parametrize("make", [ours, theirs])
def test_the_requests_in_flight_are_limited(make: Callable[[Requests, int], None]) -> None:
    requests = Requests()
    for number in range(1, limits.REQUESTS_IN_FLIGHT + 1):
        make(requests, number)
    with pytest.raises(TooManyRequests):
        make(requests, limits.REQUESTS_IN_FLIGHT + 1)
