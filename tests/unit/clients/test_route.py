from __future__ import annotations

import random

from clients.logon.route import STAY_SECONDS, Route
from clients.logon.steps import Host
from tsproto.errors import ErrorCode

ONE, TWO = Host("one", 5600), Host("two", 5600)


def route() -> Route:
    return Route([ONE, TWO], random.Random(1))


def test_a_first_connection_tries_every_host_once_and_has_no_second_round() -> None:
    tries = route()
    tries.begin(0.0, 15.0)
    assert [tries.first_of_round(0.0), tries.next_of_round()] == [ONE, TWO]
    assert tries.next_of_round() is None
    tries.failed(ErrorCode.UNREACHABLE, "", 0)
    assert tries.wait(1.0) is None


def test_a_host_that_names_a_time_is_waited_for_but_not_beyond_the_end() -> None:
    tries = route()
    tries.begin(0.0, 15.0)
    tries.failed(ErrorCode.BUSY, "", 5)
    seconds = tries.wait(1.0)
    assert seconds is not None and 5.5 <= seconds <= 6.0
    assert tries.wait(9.5) is None


def test_time_in_which_somebody_typed_does_not_count() -> None:
    tries = route()
    tries.begin(0.0, 15.0)
    tries.failed(ErrorCode.BUSY, "", 5)
    tries.extend(100.0, 15.0)
    assert tries.wait(101.0) is not None


def test_a_hint_counts_for_one_round() -> None:
    tries = route()
    tries.begin(0.0, 15.0)
    tries.failed(ErrorCode.BUSY, "", 5)
    tries.first_of_round(6.0)
    assert tries.wait(6.0) is None


def test_what_a_host_said_tells_more_than_silence() -> None:
    tries = route()
    tries.failed(ErrorCode.UNREACHABLE, "first", 0)
    tries.failed(ErrorCode.NO_LICENSE_SERVER, "said", 0)
    tries.failed(ErrorCode.UNREACHABLE, "last", 0)
    assert tries.reason == (ErrorCode.NO_LICENSE_SERVER, "said")


def test_a_lost_session_is_looked_for_on_its_own_host_first() -> None:
    tries = route()
    tries.begin(100.0, 3600.0, TWO)
    assert tries.first_of_round(100.0 + STAY_SECONDS - 1) == TWO
    assert tries.next_of_round() is None
    assert tries.first_of_round(100.0 + STAY_SECONDS) == TWO
    assert tries.next_of_round() == ONE
    assert tries.next_of_round() is None


def test_waits_are_spread() -> None:
    waits = []
    for seed in range(20):
        tries = Route([ONE], random.Random(seed))
        tries.begin(0.0, 3600.0, ONE)
        waits.append(tries.wait(0.0))
    assert len(set(waits)) == 20
    assert all(seconds is not None and 0.5 <= seconds <= 1.0 for seconds in waits)
