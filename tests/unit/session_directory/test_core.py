"""The core as a whole: queries, deadlines, what it does not understand."""

from __future__ import annotations

from daemons.effects import Close, Persist
from daemons.session_directory.records import DirectoryRecord
from tests.unit.session_directory.scenario import (
    ADMINISTRATOR,
    LOST_SECONDS,
    RESERVATION_SECONDS,
    START,
    Directory,
    row,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import QueryPools, ServerState


def test_a_message_for_another_daemon_ends_the_connection() -> None:
    effects = Directory().hears(ADMINISTRATOR, QueryPools())
    assert effects == [Close(ADMINISTRATOR, ErrorCode.OUT_OF_ORDER)]


def test_a_directory_that_nobody_has_joined_waits_for_nothing() -> None:
    directory = Directory()
    assert directory.core.next_deadline() is None
    assert directory.page().sessions == []
    assert directory.server("ts1") is None


def test_the_secret_of_its_receipts_is_drawn_once_and_kept() -> None:
    first = Directory(records={})
    [persist] = first.started
    assert isinstance(persist, Persist)
    [record] = persist.put
    assert isinstance(record, DirectoryRecord)
    assert len(record.secret) == 32
    again = Directory(records={DirectoryRecord: [record]}, seed=2)
    assert again.started == []
    assert again.core.durable().rows == frozenset([record])


def test_links_and_datagrams_alone_change_nothing() -> None:
    core = Directory().core
    assert core.on_peer_opened(ADMINISTRATOR, START) == []
    assert core.on_peer_lost(ADMINISTRATOR, START) == []
    assert core.on_datagram("127.0.0.1", 5606, b"?", START) == []


def test_the_next_deadline_is_the_nearest_of_all() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2", row("ts2", 7, "user2"))
    directory.places(ts1)
    assert directory.core.next_deadline() == START + RESERVATION_SECONDS
    directory.core.on_peer_lost(ts2, START)
    assert directory.core.next_deadline() == START + LOST_SECONDS
    directory.passes(LOST_SECONDS)
    assert directory.core.next_deadline() == START + RESERVATION_SECONDS
    directory.passes(RESERVATION_SECONDS)
    assert directory.core.next_deadline() is None


def test_a_terminal_server_is_shown_with_its_sessions_and_those_to_come() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 1), row("ts1", 2))
    directory.places(ts1, "user2")
    server = directory.server("ts1")
    assert server is not None
    assert (server.state, server.weight) == (ServerState.READY, 100)
    assert (server.sessions, server.pending) == (2, 1)


def test_a_long_list_of_sessions_is_read_page_by_page() -> None:
    directory = Directory()
    rows = [row("ts1", number) for number in range(1, limits.PAGE_ROWS + 2)]
    directory.joined("ts1", *rows)
    directory.joined("ts2", row("ts2", 1, "user2"))
    first = directory.page()
    assert (len(first.sessions), first.more) == (limits.PAGE_ROWS, True)
    second = directory.page(after=("ts1", limits.PAGE_ROWS))
    assert second.more is False
    assert [(found.host, found.session_id) for found in second.sessions] == [
        ("ts1", limits.PAGE_ROWS + 1),
        ("ts2", 1),
    ]


def test_exactly_a_page_is_the_last_one() -> None:
    directory = Directory()
    directory.joined("ts1", *(row("ts1", number) for number in range(1, limits.PAGE_ROWS + 1)))
    assert directory.page().more is False


def test_a_query_for_one_user_shows_no_other() -> None:
    directory = Directory()
    directory.joined("ts1", row("ts1", 1), row("ts1", 2, "user10"), row("ts1", 3, application="e"))
    assert directory.sessions("user1") == [("ts1", 1), ("ts1", 3)]
    assert directory.sessions("user") == []
