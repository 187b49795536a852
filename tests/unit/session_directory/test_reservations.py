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


@pytest.mark.parametrize(("reported", "next_one"), [(8_999_999, 9_000_000), (9_000_000, 9_000_001)])
def test_numbers_are_above_what_was_reported_though_the_clock_was_set_back(
    reported: int, next_one: int
) -> None:
    reservations = Reservations(60)
    reservations.reported(reported)
    reservations.reported(3)
    assert reservations.reserve("a", "", "ts1", 5.0).placement == next_one


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


def test_reservations_are_full_at_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RESERVATIONS_MAX", 2)
    reservations = Reservations(60)
    reservations.reserve("a", "", "ts1", 100.0)
    assert not reservations.is_full()
    reservations.reserve("b", "", "ts1", 100.0)
    assert reservations.is_full()
