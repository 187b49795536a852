"""Rows by host and by user."""

from __future__ import annotations

import pytest

from daemons.session_directory.session_index import SessionIndex
from tests.unit.session_directory.scenario import ACTIVE, DISCONNECTED, row
from tsproto.messages import SessionRow, SessionState


def sessions(*rows: SessionRow) -> SessionIndex:
    found = SessionIndex()
    for one in rows:
        found.put(one)
    return found


def numbers(rows: list[SessionRow]) -> list[tuple[str, int]]:
    return [(one.host, one.session_id) for one in rows]


def test_the_same_number_on_two_hosts_is_two_sessions() -> None:
    found = sessions(row("ts1", 1), row("ts2", 1, "user2"))
    assert numbers(found.of_user("user1", "")) == [("ts1", 1)]
    assert numbers(found.of_user("user2", "")) == [("ts2", 1)]


def test_a_number_that_was_given_to_another_user_left_the_first() -> None:
    found = sessions(row("ts1", 1, "user1"), row("ts1", 1, "user2"))
    assert found.of_user("user1", "") == []
    assert numbers(found.of_user("user2", "")) == [("ts1", 1)]
    assert found.count("ts1") == 1


def test_sessions_of_a_user_are_told_apart_by_application() -> None:
    found = sessions(row("ts1", 1, application="editor"), row("ts1", 2))
    assert numbers(found.of_user("user1", "editor")) == [("ts1", 1)]
    assert numbers(found.of_user("user1", "")) == [("ts1", 2)]
    assert found.of_user("user1", "pager") == []


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (row("ts1", 1, state=ACTIVE, created_at=1), row("ts2", 1, created_at=9)),
        (
            row("ts1", 1, state=ACTIVE, created_at=9),
            row("ts2", 1, state=ACTIVE, created_at=1, placement=5),
        ),
        (row("ts1", 1, disconnected_at=300), row("ts2", 1, created_at=200, disconnected_at=250)),
        (row("ts1", 1, state=SessionState.CONNECTED), row("ts2", 1, disconnected_at=900)),
        (row("ts1", 1, state=DISCONNECTED), row("ts2", 1, state=SessionState.RESET)),
        (row("ts2", 1, placement=2), row("ts1", 1, placement=1)),
        (row("ts1", 2), row("ts2", 1)),
    ],
)
def test_the_session_to_offer_first_is_at_the_front(better: SessionRow, worse: SessionRow) -> None:
    assert sessions(worse, better).of_user("user1", "") == [better, worse]


def test_a_list_replaces_the_hosts_rows_and_no_others() -> None:
    found = sessions(row("ts1", 1, placement=9), row("ts2", 1))
    found.replace("ts1", [row("ts1", 2)])
    assert numbers(found.of_user("user1", "")) == [("ts1", 2), ("ts2", 1)]
    assert found.count("ts1") == 1
    found.replace("ts1", [])
    assert found.count("ts1") == 0


def test_pages_follow_host_and_number_and_say_whether_more_follows() -> None:
    found = sessions(row("ts2", 1), row("ts1", 10), row("ts1", 9), row("ts10", 1))
    page, more = found.page("", "", 0, 2)
    assert (numbers(page), more) == ([("ts1", 9), ("ts1", 10)], True)
    page, more = found.page("", "ts1", 10, 2)
    assert (numbers(page), more) == ([("ts10", 1), ("ts2", 1)], False)
    assert found.page("", "ts2", 1, 2) == ([], False)


def test_a_page_of_one_user_holds_nobody_elses_rows() -> None:
    found = sessions(row("ts2", 1), row("ts1", 1, "user2"), row("ts1", 2))
    page, more = found.page("user1", "", 0, 1)
    assert (numbers(page), more) == ([("ts1", 2)], True)
    page, more = found.page("user1", "ts1", 2, 1)
    assert (numbers(page), more) == ([("ts2", 1)], False)
    assert found.page("nobody", "", 0, 1) == ([], False)


def test_a_fenced_change_leaves_the_row_as_it_is() -> None:
    found = sessions(row("ts1", 1, placement=7))
    assert not found.put(row("ts1", 1, "user2", placement=6))
    assert not found.remove("ts1", 1, 6)
    assert not found.remove("ts1", 2, 7)
    assert numbers(found.of_user("user1", "")) == [("ts1", 1)]
    assert found.remove("ts1", 1, 7)
    assert found.of_user("user1", "") == []
