"""The table of sessions, and the transitions of one."""

from __future__ import annotations

from typing import Any

from daemons.effects import Peer
from daemons.procedures import Inbox
from daemons.terminal_server.client import Client, User
from daemons.terminal_server.sessions import Session, SessionTable, restored
from tests.unit.terminal_server.scenario import NOW
from tsproto.messages import Role, SessionState
from tsproto.user_proof import Asked

DEVICE = b"d" * 32


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
    table.show(one, first, 1)
    table.show(one, second, 1)
    assert table.shown_to(first.peer) is None
    assert table.shown_to(second.peer) is one
    table.disconnect(one, NOW)
    assert table.shown_to(second.peer) is None


def test_the_directory_is_not_told_of_starting_sessions_and_commands() -> None:
    starting, active, command = session(1), session(2, application="mail"), session(3, command="ls")
    table = table_of(starting, active, command)
    table.show(active, viewer(1), 1)
    table.show(command, viewer(2), 1)
    assert table.shared() == [active]


def test_showing_takes_the_size_and_device_of_the_viewer() -> None:
    one = session()
    one.disconnect(NOW)
    one.show(viewer(), 1)
    assert (one.state, one.disconnected_at) == (SessionState.ACTIVE, 0)
    assert (one.columns, one.rows, one.device_id) == (100, 30, DEVICE)
    assert (one.attachment, one.generation) == (1, 1)


def user(name: str = "ann", system_user: str = "sys") -> User:
    return User(
        user_name=name,
        asked=Asked(),
        proof_id=1,
        generation=1,
        system_user=system_user,
        proof=None,
        terminal="xterm",
        lang="",
        tz="",
        colorterm="",
        avoid="",
        redirected=False,
    )


def test_a_session_is_open_to_its_user_and_system_user_alone() -> None:
    one = session()
    one.show(viewer(), 1)
    assert one.is_open_to(user())
    assert not one.is_open_to(user("bob"))
    assert not one.is_open_to(user(system_user="other"))


def test_a_command_is_open_to_nobody_and_counts_no_attachment() -> None:
    one = session(command="ls")
    one.show(viewer(), 1)
    assert not one.is_open_to(user())
    assert one.attachment == 0


def test_a_later_placement_and_its_receipt_are_kept() -> None:
    one = session(placement=9, receipt=b"9", proof=None)
    one.on_placed(8, b"8")
    one.on_placed(10, b"")
    assert (one.placement, one.receipt) == (9, b"9")
    one.on_placed(10, b"10")
    assert (one.placement, one.receipt) == (10, b"10")


def test_a_record_brings_back_all_but_the_viewer() -> None:
    one = session(placement=9)
    one.show(viewer(), 1)
    again = restored(one.record(), NOW + 5)
    assert (again.state, again.disconnected_at, again.viewer) == (
        SessionState.DISCONNECTED,
        NOW + 5,
        None,
    )
    assert (again.attachment, again.device_id) == (1, DEVICE)
    assert again.placement == 9


def test_a_row_says_what_the_directory_keeps() -> None:
    one = session(placement=9)
    one.show(viewer(), 1)
    row = one.row("ts1")
    assert (row.host, row.session_id, row.user_name, row.placement) == ("ts1", 1, "ann", 9)
    assert (row.state, row.columns, row.rows, row.device_name) == (
        SessionState.ACTIVE,
        100,
        30,
        "laptop1",
    )
