"""Numbers of reservations, and reservations."""

from __future__ import annotations

import pytest

from daemons.session_directory import records
from daemons.session_directory.reservations import Reservations
from tests.unit.session_directory.scenario import row


def test_numbers_rise_within_one_instant_and_with_time() -> None:
    reservations = Reservations(60)
    first, second = (reservations.reserve(u, "", "ts1", 5.0).placement for u in ("a", "b"))
    assert (first, second) == (5_000_000, 5_000_001)
    assert reservations.reserve("c", "", "ts1", 6.0).placement == 6_000_000


def test_numbers_rise_across_a_restart() -> None:
    before = Reservations(60).reserve("a", "", "ts1", 5.0).placement
    assert Reservations(60).reserve("a", "", "ts1", 5.5).placement > before


@pytest.mark.parametrize(
    ("reported", "next_one"),
    [
        (4_999_999, 5_000_000),
        (5_000_000, 5_000_001),
        (125_000_000, 125_000_001),  # the clock was set back by 120 seconds
        (125_000_001, 5_000_000),  # what lies further ahead is invented
        (2**53, 5_000_000),
    ],
)
def test_numbers_are_above_what_was_reported_within_the_error_of_a_clock(
    reported: int, next_one: int
) -> None:
    reservations = Reservations(60)
    reservations.reported(reported, 5.0)
    reservations.reported(3, 5.0)
    reserved = reservations.reserve("a", "", "ts1", 5.0)
    assert reserved.placement == next_one


def test_invented_numbers_never_move_numbers_further_ahead_than_the_error_of_a_clock() -> None:
    reservations = Reservations(60)
    for _ in range(1_000):
        last = reservations.reserve("a", "", "ts1", 5.0).placement
        reservations.reported(last + 1_000_000, 5.0)
    assert last <= 125_001_000


def test_a_reservation_lasts_as_long_as_was_set() -> None:
    reservations = Reservations(60)
    reserved = reservations.reserve("a", "", "ts1", 100.0)
    assert reservations.next_deadline() == 160.0
    assert reservations.expire(159.0) == []
    assert reservations.expire(160.0) == [reserved]
    assert reservations.find("a", "") is None
    assert reservations.pending("ts1") == 0


def test_a_renewed_reservation_keeps_its_number_and_lasts_once_more() -> None:
    reservations = Reservations(60)
    first = reservations.reserve("a", "", "ts1", 100.0)
    second = reservations.reserve("b", "", "ts1", 110.0)
    reservations.renew(first, 120.0)
    assert reservations.expire(170.0) == [second]
    [expired] = reservations.expire(180.0)
    assert (expired.placement, expired.expires_at) == (first.placement, 180.0)


def test_a_reservation_supersedes_the_one_elsewhere() -> None:
    reservations = Reservations(60)
    reservations.reserve("a", "", "ts1", 100.0)
    second = reservations.reserve("a", "", "ts2", 101.0)
    assert reservations.find("a", "") == second
    assert (reservations.pending("ts1"), reservations.pending("ts2")) == (0, 1)


def test_each_application_has_a_reservation_of_its_own() -> None:
    reservations = Reservations(60)
    shell = reservations.reserve("a", "", "ts1", 100.0)
    editor = reservations.reserve("a", "editor", "ts1", 100.0)
    assert reservations.find("a", "") == shell
    assert reservations.find("a", "editor") == editor
    assert reservations.pending("ts1") == 2


@pytest.mark.parametrize(
    ("host", "user", "application", "offset", "fulfilled"),
    [
        ("ts1", "a", "", 0, True),
        ("ts2", "a", "", 0, False),
        ("ts1", "b", "", 0, False),
        ("ts1", "a", "editor", 0, False),
        ("ts1", "a", "", -1, False),
    ],
)
def test_only_the_session_that_was_reserved_fulfils(
    host: str, user: str, application: str, offset: int, fulfilled: bool
) -> None:
    reservations = Reservations(60)
    number = reservations.reserve("a", "", "ts1", 100.0).placement + offset
    reservations.fulfil(row(host, 1, user, application=application, placement=number))
    assert (reservations.find("a", "") is None) is fulfilled


def test_only_the_host_cancels_its_reservation() -> None:
    reservations = Reservations(60)
    number = reservations.reserve("a", "", "ts1", 100.0).placement
    assert not reservations.cancel("ts2", number)
    assert not reservations.cancel("ts1", number - 1)
    assert reservations.cancel("ts1", number)
    assert not reservations.cancel("ts1", number)


def test_the_reservations_of_a_host_go_with_it() -> None:
    reservations = Reservations(60)
    reservations.reserve("a", "", "ts1", 100.0)
    kept = reservations.reserve("b", "", "ts2", 100.0)
    reservations.forget_server("ts1")
    assert reservations.find("a", "") is None
    assert reservations.find("b", "") == kept


def test_one_host_alone_gets_half_of_the_table() -> None:
    reservations = Reservations(60)
    taken = 0
    while not reservations.is_full_for("ts1"):
        reservations.reserve(str(taken), "", "ts1", 100.0)
        taken += 1
    assert taken == 32_768
    assert not reservations.is_full_for("ts2")


def test_hosts_that_ask_without_end_share_the_table_and_leave_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "RESERVATIONS_MAX", 100)
    reservations = Reservations(60)
    servers = ["ts1", "ts2", "ts3"]
    for number in range(300):
        server = servers[number % 3]
        if not reservations.is_full_for(server):
            reservations.reserve(str(number), "", server, 100.0)
    assert [reservations.pending(server) for server in servers] == [25, 25, 25]
    assert not reservations.is_full_for("ts4")


def test_a_reservation_that_ends_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RESERVATIONS_MAX", 2)
    reservations = Reservations(60)
    number = reservations.reserve("a", "", "ts1", 100.0).placement
    assert reservations.is_full_for("ts1")
    reservations.cancel("ts1", number)
    assert not reservations.is_full_for("ts1")
