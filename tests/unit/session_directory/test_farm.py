"""How terminal servers join the farm, send their sessions, and are lost."""

from __future__ import annotations

from typing import Any

import pytest

from daemons import events
from daemons.effects import Caller, Close
from daemons.session_directory import records
from daemons.session_directory.farm import Farm
from daemons.session_directory.policy import Load
from daemons.session_directory.receipts import SEEN
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import SessionIndex
from tests.unit.session_directory.scenario import (
    ACTIVE,
    LOST_SECONDS,
    RECEIPTS,
    START,
    Directory,
    answer,
    link,
    logged,
    refusal,
    row,
    settings,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Joined, JoinFarm, Refused, ServerState, SyncSessions


def state_of(directory: Directory, name: str) -> ServerState | None:
    server = directory.server(name)
    return None if server is None else server.state


# --- joining --------------------------------------------------------------------------------------


def test_a_terminal_server_that_is_not_served_may_not_join() -> None:
    directory = Directory("ts1", "ts2")
    assert refusal(directory.asked_to_join(link("ts3"))) is ErrorCode.NOT_PERMITTED
    assert directory.server("ts3") is None
    answer(directory.asked_to_join(link("ts2")), Joined)


def test_everyone_may_join_when_nobody_is_named() -> None:
    answer(Directory().asked_to_join(link("ts3")), Joined)


def test_the_generation_is_the_same_for_all_and_new_with_each_start() -> None:
    first, second = Directory(seed=1), Directory(seed=2)
    generation = answer(first.asked_to_join(link("ts1")), Joined).generation
    assert generation == answer(first.asked_to_join(link("ts2")), Joined).generation
    assert generation != answer(second.asked_to_join(link("ts1")), Joined).generation


def test_a_terminal_server_stands_under_its_certificates_name_with_what_it_told() -> None:
    directory = Directory()
    directory.asked_to_join(link("ts1"))
    server = directory.server("ts1")
    assert server is not None
    assert (server.address, server.port) == ("ts1.example", 5605)
    assert (server.state, server.joined_at) == (ServerState.SYNCHRONIZING, 1_000)


def test_the_table_of_terminal_servers_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SERVERS_MAX", 2)
    directory = Directory()
    directory.joined("ts1")
    answer(directory.asked_to_join(link("ts2")), Joined)
    assert refusal(directory.asked_to_join(link("ts3"))) is ErrorCode.BUSY
    answer(directory.asked_to_join(link("ts1")), Joined)


# --- one name, one terminal server ----------------------------------------------------------------


@pytest.mark.parametrize("place", [{"address": "other.example"}, {"port": 5606}])
def test_a_name_that_stands_is_not_taken_over_from_another_place(place: dict[str, Any]) -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1))
    effects = directory.asked_to_join(link("ts1"), incarnation=2, **place)
    refused = answer(effects, Refused)
    assert refused.code is ErrorCode.NOT_PERMITTED
    assert "ts1.example port 5605" in refused.detail
    [event] = logged(effects, events.JoinRefused)
    assert event.detail == refused.detail
    directory.removed(ts1, 1)
    assert directory.sessions() == []


def test_the_same_terminal_server_again_closes_its_older_link() -> None:
    directory = Directory()
    older = directory.joined("ts1")
    effects = directory.asked_to_join(link("ts1"), incarnation=2)
    answer(effects, Joined)
    [close] = [effect for effect in effects if isinstance(effect, Close)]
    assert (close.peer, close.code) == (older, ErrorCode.NOT_JOINED)


def test_a_terminal_server_that_joins_again_over_its_link_keeps_it() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    effects = directory.asked_to_join(ts1, port=5606)
    answer(effects, Joined)
    assert [effect for effect in effects if isinstance(effect, Close)] == []


def test_a_lost_terminal_server_may_come_back_at_another_place() -> None:
    directory = Directory()
    directory.core.on_peer_lost(directory.joined("ts1"), directory.now)
    answer(directory.asked_to_join(link("ts1"), address="new.example"), Joined)


# --- synchronising --------------------------------------------------------------------------------


def test_sessions_are_seen_once_the_list_is_complete() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    answer(directory.synchronized(ts1, row("ts1", 1), last=False), Done)
    assert directory.sessions() == []
    assert state_of(directory, "ts1") is ServerState.SYNCHRONIZING
    answer(directory.synchronized(ts1, row("ts1", 2)), Done)
    assert directory.sessions() == [("ts1", 1), ("ts1", 2)]
    assert state_of(directory, "ts1") is ServerState.READY


@pytest.mark.parametrize("incarnation", [1, 2])
def test_a_complete_list_replaces_the_rows_of_an_earlier_join(incarnation: int) -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 1, placement=9), row("ts1", 2, placement=9))
    again = link("ts1")
    directory.asked_to_join(again, incarnation)
    assert directory.sessions() == [("ts1", 1), ("ts1", 2)]
    directory.synchronized(again, row("ts1", 2), row("ts1", 3))
    assert directory.sessions() == [("ts1", 2), ("ts1", 3)]


def test_the_note_of_a_join_tells_a_restart_from_a_broken_link() -> None:
    directory = Directory()
    directory.asked_to_join(link("ts1"), incarnation=1)
    for incarnation, restarted in ((1, False), (2, True)):
        effects = directory.asked_to_join(link("ts1"), incarnation)
        [event] = logged(effects, events.ServerJoined)
        assert event.restarted is restarted


def test_a_list_without_a_join_is_refused() -> None:
    directory = Directory()
    assert refusal(directory.synchronized(link("ts1"), row("ts1", 1))) is ErrorCode.NOT_JOINED
    assert directory.sessions() == []


def test_a_second_list_needs_a_second_join() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1))
    assert refusal(directory.synchronized(ts1)) is ErrorCode.NOT_JOINED
    assert directory.sessions() == [("ts1", 1)]


def test_a_terminal_server_lists_its_own_sessions_only() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    foreign = directory.synchronized(ts1, row("ts1", 1), row("ts2", 1), last=False)
    assert refusal(foreign) is ErrorCode.NOT_PERMITTED


def test_after_a_part_that_was_refused_nothing_counts_until_the_next_join() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    directory.synchronized(ts1, row("ts2", 1), last=False)
    assert refusal(directory.synchronized(ts1, row("ts1", 2))) is ErrorCode.NOT_JOINED
    assert logged(directory.updated(ts1, row("ts1", 3)), events.SessionIgnored)
    assert directory.sessions() == []
    directory.asked_to_join(ts1)
    answer(directory.synchronized(ts1, row("ts1", 2)), Done)
    assert directory.sessions() == [("ts1", 2)]


def test_a_row_without_a_number_is_refused() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    assert refusal(directory.synchronized(ts1, row("ts1", 0))) is ErrorCode.NOT_PERMITTED


def test_a_row_with_an_invented_placement_is_kept_and_moves_no_number() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1, placement=2**53))
    directory.updated(ts1, row("ts1", 2, "user2", placement=2**53 - 1))
    assert directory.sessions() == [("ts1", 1), ("ts1", 2)]
    assert directory.places(ts1, "user3").placement == START * 1_000_000


def test_numbers_go_on_above_those_of_a_directory_whose_clock_was_ahead() -> None:
    directory = Directory()
    ahead = int((START + 120) * 1_000_000)
    ts1 = directory.joined("ts1", row("ts1", 1, placement=ahead - 7))
    assert directory.places(ts1, "user2").placement == ahead - 6
    directory.updated(ts1, row("ts1", 2, "user3", placement=ahead))
    assert directory.places(ts1, "user4").placement == ahead + 1


def test_a_host_has_no_more_rows_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SESSIONS_OF_SERVER_MAX", 2)
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1), row("ts1", 2))
    [event] = logged(directory.updated(ts1, row("ts1", 3)), events.SessionIgnored)
    assert event.reason == "too many sessions"
    directory.updated(ts1, row("ts1", 2, state=ACTIVE))
    assert directory.sessions() == [("ts1", 1), ("ts1", 2)]

    directory.asked_to_join(ts1)
    directory.synchronized(ts1, row("ts1", 1), row("ts1", 2), last=False)
    assert refusal(directory.synchronized(ts1, row("ts1", 3))) is ErrorCode.TOO_MANY_SESSIONS


def test_news_that_come_before_the_list_is_complete_are_newer_than_the_list() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    directory.updated(ts1, row("ts1", 1, state=ACTIVE))
    directory.removed(ts1, 2)
    directory.synchronized(ts1, row("ts1", 1), row("ts1", 2), row("ts1", 3), last=False)
    directory.removed(ts1, 3)
    directory.updated(ts1, row("ts1", 4))
    directory.synchronized(ts1)
    assert [(s.session_id, s.state) for s in directory.page().sessions] == [
        (1, ACTIVE),
        (4, row("ts1", 4).state),
    ]


@pytest.mark.parametrize("comes_first", ["news", "list"])
def test_the_list_never_overrules_the_news_of_its_session(comes_first: str) -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    if comes_first == "list":
        directory.synchronized(ts1, row("ts1", 1, placement=9), row("ts1", 2), last=False)
    directory.updated(ts1, row("ts1", 1, placement=3, state=ACTIVE))
    directory.removed(ts1, 2)
    if comes_first == "news":
        directory.synchronized(ts1, row("ts1", 1, placement=9), row("ts1", 2), last=False)
    directory.synchronized(ts1)
    assert [(s.session_id, s.state) for s in directory.page().sessions] == [(1, ACTIVE)]


def test_news_before_the_list_is_complete_still_overtake_older_news() -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    directory.updated(ts1, row("ts1", 1, placement=9, state=ACTIVE))
    assert logged(directory.updated(ts1, row("ts1", 1, placement=3)), events.SessionIgnored)
    directory.synchronized(ts1)
    assert [s.state for s in directory.page().sessions] == [ACTIVE]


def test_a_second_join_forgets_what_the_first_was_told() -> None:
    directory = Directory()
    ts1 = link("ts1")
    for placement in (9, 3):
        directory.asked_to_join(ts1)
        directory.updated(ts1, row("ts1", 1, placement=placement))
        directory.synchronized(ts1)
    assert [s.placement for s in directory.page().sessions] == [3]


def test_removals_before_the_list_is_complete_are_remembered_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "SESSIONS_OF_SERVER_MAX", 2)
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    for session_id in (1, 2, 3):
        directory.removed(ts1, session_id)
    answer(directory.synchronized(ts1, row("ts1", 1), row("ts1", 2)), Done)
    assert directory.sessions() == []


def test_a_session_that_was_listed_fulfils_its_reservation() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    placed = directory.places(ts1)
    again = link("ts1")
    directory.asked_to_join(again)
    assert directory.pending("ts1") == 1
    directory.synchronized(again, row("ts1", 1, placement=placed.placement))
    assert directory.pending("ts1") == 0


# --- news -----------------------------------------------------------------------------------------


def test_news_are_taken_from_the_link_that_joined() -> None:
    directory = Directory()
    stranger = link("ts1")
    [event] = logged(directory.updated(stranger, row("ts1", 1)), events.SessionIgnored)
    assert event.reason == "not joined"
    ts1 = directory.joined("ts1", row("ts1", 1))
    assert logged(directory.removed(stranger, 1), events.SessionIgnored)
    assert directory.sessions() == [("ts1", 1)]
    directory.removed(ts1, 1)
    assert directory.sessions() == []


def test_an_older_link_of_a_terminal_server_counts_for_nothing() -> None:
    directory = Directory()
    older = directory.joined("ts1", row("ts1", 1))
    directory.joined("ts1", row("ts1", 1))
    for effects in (
        directory.updated(older, row("ts1", 1, state=ACTIVE)),
        directory.updated(older, row("ts1", 2)),
        directory.removed(older, 1),
    ):
        [event] = logged(effects, events.SessionIgnored)
        assert event.reason == "not joined"
    assert refusal(directory.asked_to_place(older)) is ErrorCode.NOT_JOINED
    directory.core.on_peer_lost(older, directory.now)
    assert state_of(directory, "ts1") is ServerState.READY
    assert directory.page().sessions == [row("ts1", 1, receipt=SEEN)]


def test_the_list_of_an_older_link_is_refused_while_the_newer_one_synchronizes() -> None:
    directory = Directory()
    older, newer = link("ts1"), link("ts1")
    directory.asked_to_join(older)
    directory.asked_to_join(newer)
    assert refusal(directory.synchronized(older, row("ts1", 1))) is ErrorCode.NOT_JOINED
    assert state_of(directory, "ts1") is ServerState.SYNCHRONIZING
    directory.synchronized(newer, row("ts1", 2))
    assert directory.sessions() == [("ts1", 2)]


def test_news_of_another_host_are_ignored() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1")
    directory.joined("ts2", row("ts2", 1))
    [event] = logged(directory.updated(ts1, row("ts2", 1, "user9")), events.SessionIgnored)
    assert event.reason == "not permitted"
    directory.removed(ts1, 1)
    assert directory.sessions("user1") == [("ts2", 1)]


@pytest.mark.parametrize(("placement", "taken"), [(6, False), (7, True), (8, True)])
def test_an_update_with_a_lower_placement_than_the_rows_is_ignored(
    placement: int, taken: bool
) -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1, placement=7))
    effects = directory.updated(ts1, row("ts1", 1, state=ACTIVE, placement=placement))
    assert (directory.page().sessions[0].state is ACTIVE) is taken
    assert bool(logged(effects, events.SessionIgnored)) is not taken


@pytest.mark.parametrize(("placement", "taken"), [(6, False), (7, True), (8, True)])
def test_a_removal_with_a_lower_placement_than_the_rows_is_ignored(
    placement: int, taken: bool
) -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1, placement=7))
    directory.removed(ts1, 1, placement)
    assert (directory.sessions() == []) is taken


@pytest.mark.parametrize(("placement", "taken"), [(6, False), (7, True)])
def test_placements_fence_before_the_list_is_complete_as_well(placement: int, taken: bool) -> None:
    directory = Directory()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    directory.updated(ts1, row("ts1", 1, placement=7))
    directory.updated(ts1, row("ts1", 2, placement=7))
    directory.updated(ts1, row("ts1", 1, state=ACTIVE, placement=placement))
    directory.removed(ts1, 2, placement)
    directory.synchronized(ts1)
    assert (directory.page().sessions[0].state is ACTIVE) is taken
    assert (("ts1", 2) not in directory.sessions()) is taken


def test_removing_what_is_not_there_is_no_news() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1))
    assert directory.removed(ts1, 5) == []
    assert directory.sessions() == [("ts1", 1)]


# --- losing ---------------------------------------------------------------------------------------


def test_the_rows_of_a_lost_host_stay_until_it_is_given_up() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1))
    directory.core.on_peer_lost(ts1, directory.now)
    assert directory.core.next_deadline() == START + LOST_SECONDS
    assert directory.passes(LOST_SECONDS - 1) == []
    assert state_of(directory, "ts1") is ServerState.LOST
    assert directory.sessions() == [("ts1", 1)]
    assert logged(directory.passes(1), events.ServerRemoved)
    assert state_of(directory, "ts1") is None
    assert directory.sessions() == []


def test_a_lost_host_is_given_up_also_when_the_timer_is_late() -> None:
    directory = Directory()
    directory.core.on_peer_lost(directory.joined("ts1", row("ts1", 1)), directory.now)
    directory.now += LOST_SECONDS
    assert directory.sessions() == []


def test_a_host_that_rejoins_in_time_keeps_its_place() -> None:
    directory = Directory()
    directory.core.on_peer_lost(directory.joined("ts1", row("ts1", 1)), directory.now)
    directory.passes(LOST_SECONDS - 1)
    directory.joined("ts1", row("ts1", 1))
    directory.passes(LOST_SECONDS)
    assert state_of(directory, "ts1") is ServerState.READY
    assert directory.sessions() == [("ts1", 1)]


def test_the_late_loss_of_an_older_link_changes_nothing() -> None:
    directory = Directory()
    old = directory.joined("ts1", row("ts1", 1))
    directory.joined("ts1", row("ts1", 2))
    assert directory.core.on_peer_lost(old, directory.now) == []
    directory.passes(LOST_SECONDS)
    assert directory.sessions() == [("ts1", 2)]


def test_an_older_link_has_no_say_any_more() -> None:
    directory = Directory()
    old = directory.joined("ts1", row("ts1", 1))
    directory.joined("ts1", row("ts1", 2))
    directory.removed(old, 2)
    assert refusal(directory.synchronized(old)) is ErrorCode.NOT_JOINED
    assert refusal(directory.asked_to_place(old)) is ErrorCode.NOT_JOINED
    assert directory.sessions() == [("ts1", 2)]


def test_the_loss_of_somebody_who_never_joined_changes_nothing() -> None:
    directory = Directory()
    directory.joined("ts1")
    assert directory.core.on_peer_lost(link("ts2"), directory.now) == []
    assert directory.core.next_deadline() is None


def test_hosts_are_given_up_in_the_order_of_their_loss() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    directory.core.on_peer_lost(ts2, directory.now)
    directory.now += 3
    directory.core.on_peer_lost(ts1, directory.now)
    directory.passes(LOST_SECONDS - 3)
    assert (directory.server("ts2"), state_of(directory, "ts1")) == (None, ServerState.LOST)
    assert directory.core.next_deadline() == directory.now + 3


# --- what a placement policy is told --------------------------------------------------------------


def test_a_load_counts_sessions_and_reservations_of_servers_that_are_ready() -> None:
    sessions, reservations = SessionIndex(), Reservations(60.0)
    farm = Farm(settings(), b"", sessions, reservations, RECEIPTS)
    for name in ("ts1", "ts2", "ts3"):
        peer = link(name)
        join = JoinFarm(address=name, port=1, incarnation=bytes(16), weight=50, sessions_max=9)
        farm.join(Caller(peer, 1), join, START)
        if name != "ts3":
            farm.synchronize(Caller(peer, 1), SyncSessions(sessions=[], last=True), START)
    sessions.put(row("ts1", 1))
    reservations.reserve("user2", "", "ts1", START)
    assert [*farm.loads()] == [Load("ts1", 50, 2, 9), Load("ts2", 50, 0, 9)]
