from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from clients.administrator import Daemon
from clients.query import Target, by_user
from clients.steps import Host
from clients.tables import plain_row
from tsproto.errors import TsfarmError
from tsproto.messages import Role, SessionRow, SessionState


def session(user: str, host: str, state: SessionState, created_at: int) -> dict[str, object]:
    row = SessionRow(
        host=host,
        session_id=1,
        user_name=user,
        application="",
        state=state,
        created_at=created_at,
    )
    return plain_row(row)


def test_sessions_are_summed_up_by_user() -> None:
    rows = by_user(
        [
            session("user2", "ts1", SessionState.ACTIVE, 50),
            session("user1", "ts2", SessionState.DISCONNECTED, 40),
            session("user1", "ts1", SessionState.ACTIVE, 30),
            session("user1", "ts1", SessionState.ACTIVE, 60),
        ]
    )
    assert rows == [
        {"user_name": "user1", "sessions": 3, "active": 2, "hosts": "ts1, ts2", "since_at": 30},
        {"user_name": "user2", "sessions": 1, "active": 1, "hosts": "ts1", "since_at": 50},
    ]


def test_a_lab_tells_whom_to_ask(tmp_path: Path) -> None:
    daemons = [
        {"name": "license-a", "role": "license_server", "host": "127.0.1.31", "port": 5601},
        {"name": "ts1", "role": "terminal_server", "host": "127.0.1.101", "port": 5600},
    ]
    (tmp_path / "lab.json").write_text(json.dumps({"farm": "lab", "daemons": daemons}))
    target = Target(None, None, tmp_path, ())
    assert target.daemons(Role.TERMINAL_SERVER) == [
        Daemon(Role.TERMINAL_SERVER, Host("127.0.1.101", 5600, "ts1"))
    ]
    with pytest.raises(TsfarmError, match="has no session-directory"):
        target.daemons(Role.SESSION_DIRECTORY)


def test_a_named_server_is_asked_on_the_port_of_its_role() -> None:
    target = Target(None, None, None, (Host("a", 0), Host("b", 7000)))
    assert [daemon.host for daemon in target.daemons(Role.LICENSE_SERVER)] == [
        Host("a", 5601),
        Host("b", 7000),
    ]


@pytest.mark.parametrize("content", [None, "{", '{"daemons": 1}'])
def test_a_folder_that_is_no_lab_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "lab.json").write_text(content)
    with pytest.raises(TsfarmError, match=f"no lab in {tmp_path}"):
        Target(None, None, tmp_path, ()).daemons(Role.TERMINAL_SERVER)


def test_a_query_needs_somebody_to_ask_and_somebody_to_be() -> None:
    with pytest.raises(click.UsageError, match="--server"):
        Target(None, None, None, ()).daemons(Role.TERMINAL_SERVER)
    with pytest.raises(click.UsageError, match="--identity"):
        Target(None, None, None, ()).administrator()
