"""Where a user's session belongs."""

from __future__ import annotations

import pytest

from daemons import events
from daemons.session_directory import records
from tests.unit.session_directory.scenario import (
    ACTIVE,
    LOST_SECONDS,
    RECEIPTS,
    RESERVATION_SECONDS,
    START,
    Directory,
    answer,
    link,
    logged,
    refusal,
    row,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Refused, SessionPlaced, SessionState

# --- no session yet -------------------------------------------------------------------------------


def test_a_user_without_a_session_stays_where_they_landed() -> None:
    directory = Directory()
    directory.joined("ts2")
    placed = directory.places(directory.joined("ts1"))
    assert (placed.host, placed.session_id) == ("ts1", 0)
    assert placed.receipt == RECEIPTS.give("ts1", "user1", "", placed.placement)
    assert placed.placement == int(START * 1_000_000)
    assert (directory.pending("ts1"), directory.pending("ts2")) == (1, 0)


def test_two_logons_in_the_same_instant_get_one_answer() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    first, second = directory.places(ts1), directory.places(ts2)
    assert (second.host, second.address, second.port) == ("ts1", "ts1.example", 5605)
    assert (second.session_id, second.placement) == (0, first.placement)
    assert second.receipt == b""
    assert (directory.pending("ts1"), directory.pending("ts2")) == (1, 0)


def test_a_second_logon_on_the_host_of_the_reservation_waits_there() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    first, second = directory.places(ts1), directory.places(ts1)
    assert (second.placement, second.session_id) == (first.placement, 0)
    assert second.receipt == first.receipt
    assert directory.pending("ts1") == 1


def test_other_users_and_other_applications_are_placed_for_themselves() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    placed = [
        directory.places(ts1),
        directory.places(ts2, "user2"),
        directory.places(ts2, application="editor"),
    ]
    assert [p.host for p in placed] == ["ts1", "ts2", "ts2"]
    numbers = [p.placement for p in placed]
    assert numbers == sorted(set(numbers))


def test_the_session_that_starts_takes_the_place_of_its_reservation() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    number = directory.places(ts1).placement
    directory.updated(ts1, row("ts1", 4, state=ACTIVE, placement=number))
    assert directory.pending("ts1") == 0
    placed = directory.places(ts2)
    assert (placed.host, placed.session_id, placed.placement) == ("ts1", 4, number)


def test_a_placement_that_came_to_nothing_frees_the_user() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    number = directory.places(ts1).placement
    directory.removed(ts1, 0, number)
    placed = directory.places(ts2)
    assert placed.host == "ts2"
    assert placed.placement > number


def test_a_late_cancellation_leaves_the_newer_reservation() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    first = directory.places(ts1).placement
    directory.removed(ts1, 0, first)
    second = directory.places(ts1).placement
    directory.removed(ts1, 0, first)
    directory.removed(ts2, 0, second)
    assert directory.places(ts2).placement == second


def test_a_session_that_ended_before_it_was_reported_frees_the_user() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.removed(ts1, 4, directory.places(ts1).placement)
    assert directory.places(ts2).host == "ts2"


@pytest.mark.parametrize(("seconds", "host"), [(-1, "ts1"), (0, "ts2")])
def test_a_reservation_expires(seconds: int, host: str) -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.places(ts1)
    assert directory.core.next_deadline() == START + RESERVATION_SECONDS
    effects = directory.passes(RESERVATION_SECONDS + seconds)
    assert bool(logged(effects, events.ReservationExpired)) is (host == "ts2")
    assert directory.places(ts2).host == host


def test_a_second_logon_keeps_a_reservation_alive() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.places(ts1)
    directory.passes(RESERVATION_SECONDS - 1)
    directory.places(ts2)
    directory.passes(RESERVATION_SECONDS - 1)
    assert directory.places(ts2).host == "ts1"


# --- an existing session --------------------------------------------------------------------------


def test_a_session_elsewhere_is_answered_without_a_receipt() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 7, placement=5))
    placed = directory.places(directory.joined("ts2"))
    assert (placed.host, placed.session_id, placed.placement) == ("ts1", 7, 5)
    assert placed.receipt == b""
    assert directory.pending("ts2") == 0


def test_a_session_here_is_answered_with_its_receipt() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7))
    placed = directory.places(ts1)
    assert (placed.host, placed.session_id) == ("ts1", 7)
    assert placed.receipt == RECEIPTS.give("ts1", "user1", "", 0)


def test_the_newest_active_session_comes_first_and_the_others_are_listed() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 1, created_at=900), row("ts1", 2, "user2"))
    directory.joined("ts2", row("ts2", 1, state=ACTIVE, created_at=200))
    ts3 = directory.joined("ts3", row("ts3", 1, state=ACTIVE, created_at=300))
    effects = directory.asked_to_place(ts3)
    placed = directory.places(ts3)
    assert (placed.host, placed.session_id) == ("ts3", 1)
    assert [(other.host, other.session_id) for other in placed.others] == [("ts2", 1), ("ts1", 1)]
    [event] = logged(effects, events.SessionSeveral)
    assert (event.user_name, event.sessions) == ("user1", ["ts3:1", "ts2:1", "ts1:1"])


def test_without_an_active_session_the_one_left_last_comes_first() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 1, created_at=300, disconnected_at=310))
    ts2 = directory.joined("ts2", row("ts2", 1, created_at=100, disconnected_at=400))
    assert directory.places(ts2).host == "ts2"


def test_a_session_that_is_being_logged_off_is_not_offered() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 1, state=SessionState.RESET))
    placed = directory.places(directory.joined("ts2"))
    assert (placed.host, placed.session_id) == ("ts2", 0)


def test_a_session_that_is_being_logged_on_is_offered() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    number = directory.places(ts1).placement
    directory.updated(ts1, row("ts1", 4, state=SessionState.CONNECTED, placement=number))
    assert directory.places(ts2).host == "ts1"


def test_no_more_others_are_listed_than_a_message_holds() -> None:
    directory = Directory()
    rows = [row("ts1", number) for number in range(1, limits.SESSIONS_PER_MESSAGE + 3)]
    ts1 = directory.joined("ts1", *rows)
    assert len(directory.places(ts1).others) == limits.SESSIONS_PER_MESSAGE


def test_a_placement_is_logged_under_its_trace_id() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 7, placement=5))
    effects = directory.asked_to_place(directory.joined("ts2"), trace_id="t1")
    [event] = logged(effects, events.SessionPlaced)
    assert (event.asking, event.server) == ("ts2", "ts1")
    assert event.trace_id == "t1"


# --- a host that could not be reached -------------------------------------------------------------


def test_the_avoided_host_is_not_chosen_and_its_session_stays_listed() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 7))
    placed = directory.places(directory.joined("ts2"), avoid="ts1")
    assert (placed.host, placed.session_id) == ("ts2", 0)
    assert [(other.host, other.session_id) for other in placed.others] == [("ts1", 7)]


def test_the_next_best_session_is_chosen_when_the_best_ones_host_is_avoided() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 7, state=ACTIVE))
    directory.joined("ts3", row("ts3", 8))
    placed = directory.places(directory.joined("ts2"), avoid="ts1")
    assert (placed.host, placed.session_id) == ("ts3", 8)


def test_a_reservation_on_the_avoided_host_is_superseded() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    first = directory.places(ts1)
    second = directory.places(ts2, avoid="ts1")
    assert second.host == "ts2"
    assert second.placement > first.placement
    assert (directory.pending("ts1"), directory.pending("ts2")) == (0, 1)


def test_a_client_that_calls_the_asking_server_unreachable_is_ignored() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7))
    assert directory.places(ts1, avoid="ts1").session_id == 7


# --- hosts that are not ready ---------------------------------------------------------------------


def test_a_host_that_is_not_ready_may_not_place() -> None:
    directory = Directory()
    ts1 = link("ts1")
    assert refusal(directory.asked_to_place(ts1)) is ErrorCode.NOT_JOINED
    directory.asked_to_join(ts1)
    refused = answer(directory.asked_to_place(ts1), Refused)
    assert (refused.code, refused.retry_after_seconds) == (ErrorCode.NOT_JOINED, 1)
    directory.synchronized(ts1)
    assert directory.places(ts1).host == "ts1"


def test_nobody_is_led_to_a_lost_host_until_it_is_back() -> None:
    directory = Directory()
    ts2 = directory.joined("ts2")
    ts1 = directory.joined("ts1", row("ts1", 7))
    directory.core.on_peer_lost(ts1, directory.now)
    placed = directory.places(ts2)
    assert placed.host == "ts2"
    assert [(other.host, other.session_id) for other in placed.others] == [("ts1", 7)]
    again = link("ts1")
    directory.asked_to_join(again)
    assert directory.places(ts2).host == "ts2"
    directory.synchronized(again, row("ts1", 7))
    assert directory.places(ts2).session_id == 7


def test_a_reservation_on_a_lost_host_is_superseded() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.places(ts1)
    directory.core.on_peer_lost(ts1, directory.now)
    assert directory.places(ts2).host == "ts2"


def test_reservations_go_with_the_host() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    directory.places(ts1)
    directory.core.on_peer_lost(ts1, directory.now)
    directory.passes(LOST_SECONDS)
    directory.joined("ts1")
    assert directory.pending("ts1") == 0


def test_reservations_outlive_a_short_loss() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    number = directory.places(ts1).placement
    directory.core.on_peer_lost(ts1, directory.now)
    directory.passes(LOST_SECONDS - 1)
    assert directory.places(directory.joined("ts1")).placement == number


# --- a client that was redirected -----------------------------------------------------------------


def test_a_redirected_client_is_shown_the_promised_session_while_it_lives() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7))
    directory.joined("ts2", row("ts2", 8, state=ACTIVE))  # became active meanwhile
    placed = answer(directory.asked_to_place(ts1, session_id=7, redirected=True), SessionPlaced)
    assert (placed.host, placed.session_id) == ("ts1", 7)
    assert directory.places(ts1).host == "ts2"


def test_a_redirected_client_whose_session_has_ended_is_placed_as_any_other() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    directory.joined("ts2", row("ts2", 8))
    placed = answer(directory.asked_to_place(ts1, session_id=7, redirected=True), SessionPlaced)
    assert (placed.host, placed.session_id) == ("ts2", 8)


# --- after a start of the directory ---------------------------------------------------------------


def test_numbers_rise_across_a_restart() -> None:
    before = Directory(now=START)
    first = before.places(before.joined("ts1")).placement
    after = Directory(now=START + 1)
    assert after.places(after.joined("ts1")).placement > first


def test_after_a_restart_numbers_are_above_all_that_were_reported() -> None:
    reported = int(START * 1_000_000) + 77
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1, placement=reported))
    assert directory.places(ts1, "user2").placement == reported + 1
    directory.updated(ts1, row("ts1", 2, placement=reported + 50))
    assert directory.places(ts1, "user3").placement == reported + 51


@pytest.mark.parametrize(("seconds", "unsure"), [(0, True), (9, True), (10, False)])
def test_logons_go_on_while_sessions_may_be_missing_and_the_event_says_so(
    seconds: int, unsure: bool
) -> None:
    directory = Directory()
    ts2 = directory.joined("ts2", row("ts2", 1, "user2"))
    directory.passes(seconds)
    [event] = logged(directory.asked_to_place(ts2), events.Placed)
    assert isinstance(event, events.SessionPlacedUnsure) is unsure


def test_a_redirect_is_logged_as_sure() -> None:
    directory = Directory()
    directory.joined("ts2", row("ts2", 1, "user2"))
    ts1 = directory.joined("ts1")
    [event] = logged(directory.asked_to_place(ts1, "user2"), events.SessionPlaced)
    assert (event.server, event.session_id) == ("ts2", 1)


def test_a_session_that_is_where_it_is_asked_for_is_not_noted() -> None:
    directory = Directory()
    ts2 = directory.joined("ts2", row("ts2", 1, "user2"))
    assert logged(directory.asked_to_place(ts2, "user2"), events.SessionPlaced) == []


# --- limits ---------------------------------------------------------------------------------------


def test_a_full_host_is_given_no_new_session_and_keeps_its_old_ones() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1), sessions_max=2)
    directory.places(ts1, "user2")
    refused = answer(directory.asked_to_place(ts1, "user3"), Refused)
    assert refused.code is ErrorCode.TOO_MANY_SESSIONS
    assert refused.retry_after_seconds > 0
    assert directory.places(ts1, "user2").session_id == 0
    assert directory.places(ts1, "user1").session_id == 1


def test_reservations_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RESERVATIONS_MAX", 1)
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.places(ts1)
    effects = directory.asked_to_place(ts1, "user2")
    assert refusal(effects) is ErrorCode.BUSY
    assert logged(effects, events.PlacementRefused)
    assert directory.places(ts2, avoid="ts1").host == "ts2"


def test_a_host_that_asks_without_end_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "RESERVATIONS_MAX", 4)
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    assert [directory.places(ts1, f"user{n}").host for n in (1, 2)] == ["ts1", "ts1"]
    assert refusal(directory.asked_to_place(ts1, "user3")) is ErrorCode.BUSY
    assert directory.places(ts2, "user4").host == "ts2"
