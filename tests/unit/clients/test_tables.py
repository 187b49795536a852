from __future__ import annotations

import json

import pytest

from clients.tables import plain_row, print_rows, when
from tsproto.messages import LicenseKind, LicenseRow, SessionRow, SessionState

SESSION = SessionRow(
    host="ts1",
    session_id=7,
    user_name="user1\x1b[31m",
    application="",
    state=SessionState.DISCONNECTED,
    created_at=1_700_000_000,
)


def test_rows_of_the_protocol_become_plain_ones() -> None:
    row = LicenseRow(
        license_id=b"\x01" * 16,
        kind=LicenseKind.FULL,
        product="terminal-server",
        product_version=1,
        device_id=b"\x02" * 32,
        device_name="laptop1",
        user_name="user1",
        issued_at=1,
        expires_at=2,
        validated=True,
    )
    plain = plain_row(row, server="license-a")
    assert plain["server"] == "license-a"
    assert (plain["kind"], plain["validated"]) == ("full", True)
    assert (plain["license_id"], plain["device_id"]) == ("01" * 16, "02" * 32)
    json.dumps(plain)


def test_json_has_every_field_and_a_table_those_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [plain_row(SESSION)]
    print_rows(rows, "", as_json=True)
    assert json.loads(capsys.readouterr().out) == rows
    print_rows(rows, "user_name session_id state application", as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "USER             ID  STATE         APPLICATION",
        "user1\\u001b[31m  7   disconnected  -",
    ]


def test_nothing_is_a_heading_or_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], "host", as_json=False)
    print_rows([], "host", as_json=True)
    assert capsys.readouterr().out == "HOST\n[]\n"


def test_a_heading_leaves_out_what_the_table_shows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], "host product product_version device_name grace_ends_at", as_json=False)
    assert capsys.readouterr().out == "HOST  PRODUCT  VERSION  DEVICE  GRACE ENDS\n"


def test_no_time_is_a_dash() -> None:
    assert when(0) == "-"
    assert when(1_700_000_000).startswith("2023-11-1")
