from __future__ import annotations

from pathlib import Path

import click
import msgspec
import pytest

from clients import query
from clients.administrator import Daemon
from clients.known_lab import KnownLab
from clients.logon.steps import Host
from clients.query import Target, by_user, found_by, with_laggards
from clients.tables import Row, plain_row, print_rows
from tsproto.errors import TsfarmError
from tsproto.messages import (
    LicenseRow,
    LicenseServerRow,
    LicenseServers,
    PoolRow,
    Role,
    ServerRow,
    SessionRow,
    SessionState,
)


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


def test_a_terminal_server_that_found_no_license_server_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    daemon = Daemon(Role.TERMINAL_SERVER, Host("10.0.0.1", 5600))
    rows = found_by(daemon, LicenseServers(servers=[], grace_ends_at=0))
    assert [(row["of"], row["name"]) for row in rows] == [("10.0.0.1:5600", None)]
    print_rows(rows, query.LICENSE_SERVER_COLUMNS, as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split() == ["10.0.0.1:5600", *"-------"]


@pytest.mark.parametrize(
    ("columns", "row", "added", "only_json"),
    [
        (query.SESSION_COLUMNS, SessionRow, "", "placement columns rows receipt"),
        (query.SERVER_COLUMNS, ServerRow, "", ""),
        (
            query.LICENSE_COLUMNS,
            LicenseRow,
            "server",
            "license_id product_version device_id key_pack through",
        ),
        (query.POOL_COLUMNS, PoolRow, "server", ""),
        (query.LICENSE_SERVER_COLUMNS, LicenseServerRow, "of grace_ends_at", "inventory"),
    ],
)
def test_a_table_shows_every_field_but_those_left_to_json(
    columns: str, row: type[msgspec.Struct], added: str, only_json: str
) -> None:
    shown = set(columns.split()) - set(added.split())
    assert set(row.__struct_fields__) - set(only_json.split()) == shown


def test_a_labs_daemons_of_the_role_are_asked() -> None:
    server = Daemon(Role.TERMINAL_SERVER, Host("127.0.1.101", 5600, "ts1"))
    other = Daemon(Role.LICENSE_SERVER, Host("127.0.1.31", 5601, "license-a"))
    target = Target(None, None, KnownLab(Path("labdir"), "lab", True, 0, (other, server)), ())
    assert target.daemons(Role.TERMINAL_SERVER) == [server]
    with pytest.raises(TsfarmError, match="the lab in labdir has no session-directory"):
        target.daemons(Role.SESSION_DIRECTORY)


def test_a_named_server_is_asked_on_the_port_of_its_role() -> None:
    target = Target(None, None, None, (Host("a", 0), Host("b", 7000)))
    assert [daemon.host for daemon in target.daemons(Role.LICENSE_SERVER)] == [
        Host("a", 5601),
        Host("b", 7000),
    ]


def test_a_query_needs_somebody_to_ask_and_somebody_to_be() -> None:
    with pytest.raises(click.UsageError, match="--server"):
        Target(None, None, None, ()).daemons(Role.TERMINAL_SERVER)
    with pytest.raises(click.UsageError, match="--identity"):
        Target(None, None, None, ()).administrator()


def test_a_daemon_without_the_newest_list_of_either_kind_lags() -> None:
    numbers = {"ts1": (5, 7), "ts2": (4, 7), "ts3": (5, 6), "ls1": (5, 7)}
    rows: list[Row] = [
        {"server": name, "certificates_number": certificates, "devices_number": devices}
        for name, (certificates, devices) in numbers.items()
    ]
    lagging = [row["server"] for row in with_laggards(rows) if row["lags"]]
    assert lagging == ["ts2", "ts3"]
