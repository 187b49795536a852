"""The table of sessions, and the transitions of one."""

from __future__ import annotations

import hashlib
from typing import Any

from daemons.effects import Peer
from daemons.procedures import Inbox
from daemons.terminal_server.client import Client
from daemons.terminal_server.sessions import Session, SessionTable, restored
from tests.unit.terminal_server.scenario import NOW
from tsproto.messages import Role, SessionState

DEVICE = b"d" * 32
COOKIE = b"c" * 32


def viewer(link: int = 1) -> Client:
    peer = Peer(link, Role.CLIENT, "", "10.0.0.9", 1)
    return Client(
        peer=peer,
        trace_id="",
        inbox=Inbox(),
        device_id=DEVICE,
        device_name="laptop1",
        columns=100,
        rows=30,
    )


def session(number: int = 1, **fields: Any) -> Session:
    fields = {"user_name": "ann", "application": "", **fields}
    return Session(
        session_id=number, system_user="sys", created_at=NOW, columns=80, rows=24, **fields
    )


def table_of(*sessions: Session) -> SessionTable:
    table = SessionTable()
    for each in sessions:
        table.add(each)
    return table


def test_a_session_is_found_by_user_and_application() -> None:
    shell, mail = session(1), session(2, application="mail")
    table = table_of(shell, mail)
    assert table.find("ann", "mail") is mail
    assert table.find("ann", "") is shell
    assert table.find("bob", "") is None


def test_a_session_that_is_logged_off_is_not_found_but_still_counts() -> None:
    table = table_of(one := session())
    table.log_off(one)
    assert table.find("ann", "") is None
    assert (len(table), table.get(1)) == (1, one)


def test_removing_an_old_session_leaves_the_users_new_one() -> None:
    table = table_of(old := session(1))
    table.log_off(old)
    table.add(new := session(2))
    table.remove(old)
    assert table.find("ann", "") is new


def test_a_session_is_found_by_the_link_that_shows_it_and_no_other() -> None:
    table = table_of(one := session())
    first, second = viewer(1), viewer(2)
    table.show(one, first, COOKIE)
    table.show(one, second, COOKIE)
    assert table.shown_to(first.peer) is None
    assert table.shown_to(second.peer) is one
    table.disconnect(one, NOW)
    assert table.shown_to(second.peer) is None


def test_the_directory_is_not_told_of_starting_sessions_and_commands() -> None:
    starting, active, command = session(1), session(2, application="mail"), session(3, command="ls")
    table = table_of(starting, active, command)
    table.show(active, viewer(1), COOKIE)
    table.show(command, viewer(2), b"")
    assert table.shared() == [active]


def test_showing_takes_the_size_and_device_of_the_viewer() -> None:
    one = session()
    one.disconnect(NOW)
    one.show(viewer(), COOKIE)
    assert (one.state, one.disconnected_at) == (SessionState.ACTIVE, 0)
    assert (one.columns, one.rows, one.device_id) == (100, 30, DEVICE)
    assert one.cookie_hash == hashlib.sha256(COOKIE).digest()


def test_a_cookie_is_good_for_its_user_and_device_alone() -> None:
    one = session()
    one.show(viewer(), COOKIE)
    assert one.accepts_cookie(COOKIE, "ann", DEVICE)
    assert not one.accepts_cookie(COOKIE, "bob", DEVICE)
    assert not one.accepts_cookie(COOKIE, "ann", b"x" * 32)
    assert not one.accepts_cookie(COOKIE[:-1], "ann", DEVICE)


def test_a_session_without_cookie_accepts_none() -> None:
    one = session(command="ls")
    one.show(viewer(), b"")
    assert not one.accepts_cookie(b"", "ann", DEVICE)


def test_a_record_brings_back_all_but_the_viewer() -> None:
    one = session(placement=9)
    one.show(viewer(), COOKIE)
    again = restored(one.record(), NOW + 5)
    assert (again.state, again.disconnected_at, again.viewer) == (
        SessionState.DISCONNECTED,
        NOW + 5,
        None,
    )
    assert again.accepts_cookie(COOKIE, "ann", DEVICE)
    assert again.placement == 9


def test_a_row_says_what_the_directory_keeps() -> None:
    one = session(placement=9)
    one.show(viewer(), COOKIE)
    row = one.row("ts1")
    assert (row.host, row.session_id, row.user_name, row.placement) == ("ts1", 1, "ann", 9)
    assert (row.state, row.columns, row.rows, row.device_name) == (
        SessionState.ACTIVE,
        100,
        30,
        "laptop1",
    )
