"""The grace period and the numbers of sessions, as a host remembers them."""

from __future__ import annotations

from typing import Any

import pytest

from daemons import events
from daemons.effects import Ask, Persist, Record, StartProgram
from daemons.terminal_server.own_record import (
    SESSION_IDS_RESERVED,
    GracePeriod,
    OwnRecord,
    SessionIds,
)
from daemons.terminal_server.records import ServerRecord
from tests.unit.terminal_server.scenario import DAY, NAME, NOW, PHONE, Scene, issued, of, token
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseAccepted, LicenseKind, Refused

GRACE_DAYS = 120


def in_grace(**fields: Any) -> Scene:
    """A terminal server that finds no license server."""
    scene = Scene(license_servers=(), grace_days=GRACE_DAYS, **fields)
    scene.start()
    return scene


def begun(**fields: Any) -> dict[type[Record], list[Any]]:
    return {ServerRecord: [ServerRecord(name=NAME, grace_started_at=NOW, **fields)]}


def test_the_first_accepted_connection_begins_the_grace_period() -> None:
    scene = in_grace()
    client = scene.connect()
    effects = client.show()
    assert of(Persist, effects)[0].put == (ServerRecord(name=NAME, grace_started_at=NOW),)
    accepted = client.last(LicenseAccepted)
    assert accepted.kind is LicenseKind.GRACE
    assert accepted.expires_at == NOW + GRACE_DAYS * DAY
    assert "120 more days" in accepted.notice


def test_a_connection_that_was_refused_begins_nothing() -> None:
    scene = Scene(grace_days=GRACE_DAYS).up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    assert client.code is ErrorCode.NO_LICENSE
    assert scene.stored == {}


def test_a_connection_with_a_temporary_license_begins_it_too() -> None:
    scene = Scene(grace_days=GRACE_DAYS).up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, issued(token(LicenseKind.TEMPORARY)))
    client.store()
    assert list(scene.stored.values()) == [ServerRecord(name=NAME, grace_started_at=NOW)]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(GRACE_DAYS * DAY - 1, None), (GRACE_DAYS * DAY, ErrorCode.NO_LICENSE_SERVER)],
)
def test_the_grace_period_ends_to_the_second_and_a_restart_does_not_renew_it(
    seconds: int, code: ErrorCode | None
) -> None:
    scene = in_grace(records=begun(), now=NOW + seconds)
    client = scene.connect()
    client.show()
    assert client.code is code


def test_the_first_full_token_that_is_shown_ends_the_grace_period() -> None:
    scene = in_grace(records=begun())
    scene.connect().show(token(LicenseKind.FULL))
    client = scene.connect(PHONE)
    client.show()
    assert client.code is ErrorCode.NO_LICENSE_SERVER
    assert list(scene.stored.values()) == [
        ServerRecord(name=NAME, grace_started_at=NOW, grace_over=True)
    ]


def test_the_first_full_token_that_is_issued_here_ends_it_even_if_its_device_is_lost() -> None:
    scene = Scene(grace_days=GRACE_DAYS, records=begun()).up()
    client = scene.connect()
    client.show(token(LicenseKind.TEMPORARY))
    scene.answer(Ask, issued(token(LicenseKind.FULL, number=2)))
    client.lose()
    assert list(scene.stored.values()) == [
        ServerRecord(name=NAME, grace_started_at=NOW, grace_over=True)
    ]


def test_a_temporary_token_does_not_end_the_grace_period() -> None:
    scene = in_grace(records=begun())
    scene.connect().show(token(LicenseKind.TEMPORARY))
    client = scene.connect(PHONE)
    client.show()
    assert client.last(LicenseAccepted).kind is LicenseKind.GRACE


def test_a_grace_period_that_is_over_stays_over_after_a_restart() -> None:
    client = in_grace(records=begun(grace_over=True)).connect()
    client.show()
    assert client.code is ErrorCode.NO_LICENSE_SERVER


def test_a_clock_that_is_set_back_does_not_bring_the_grace_period_back() -> None:
    scene = in_grace(records=begun(), now=NOW + DAY)
    scene.now = NOW + GRACE_DAYS * DAY
    scene.connect().show()
    again = in_grace(records=scene.rows(), now=NOW + DAY)
    client = again.connect()
    client.show()
    assert client.code is ErrorCode.NO_LICENSE_SERVER


def test_a_start_remembers_a_grace_period_that_is_over() -> None:
    scene = in_grace(records=begun(), now=NOW + GRACE_DAYS * DAY)
    assert list(scene.stored.values()) == [
        ServerRecord(name=NAME, grace_started_at=NOW, grace_over=True)
    ]


def test_a_host_without_a_grace_period_leaves_the_one_that_may_be_configured() -> None:
    scene = Scene(license_servers=(), grace_days=0, records=begun(), now=NOW + DAY)
    scene.start()
    assert list(scene.stored.values()) == [ServerRecord(name=NAME, grace_started_at=NOW)]


def test_grace_days_0_means_no_grace_period() -> None:
    scene = Scene(license_servers=(), grace_days=0)
    scene.start()
    client = scene.connect()
    client.show()
    assert client.code is ErrorCode.NO_LICENSE_SERVER


def test_a_license_server_that_decides_against_a_device_leaves_no_grace() -> None:
    scene = Scene(grace_days=GRACE_DAYS, records=begun()).up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    assert client.code is ErrorCode.NO_LICENSE


def test_a_license_server_that_does_not_serve_this_host_is_like_none() -> None:
    scene = Scene(grace_days=GRACE_DAYS, records=begun()).up()
    client = scene.connect()
    client.show()
    effects = scene.answer(Ask, Refused(code=ErrorCode.SERVER_NOT_SERVED))
    assert client.last(LicenseAccepted).kind is LicenseKind.GRACE
    (used,) = of(events.GraceUsed, effects)
    assert used.expires_at == client.last(LicenseAccepted).expires_at


def test_the_end_of_the_grace_period_is_known_only_while_it_runs() -> None:
    records = [
        ServerRecord(name=NAME),
        ServerRecord(name=NAME, grace_started_at=NOW),
        ServerRecord(name=NAME, grace_started_at=NOW, grace_over=True),
    ]
    ends = [GracePeriod(OwnRecord(record), GRACE_DAYS).ends_at for record in records]
    assert ends == [0, NOW + GRACE_DAYS * DAY, 0]


def test_session_ids_are_reserved_in_blocks() -> None:
    ids = SessionIds(OwnRecord(ServerRecord(name=NAME)), [])
    taken = [ids.take() for _ in range(SESSION_IDS_RESERVED + 1)]
    assert [session_id for session_id, _ in taken] == list(range(1, SESSION_IDS_RESERVED + 2))
    assert [bool(effects) for _, effects in taken] == [
        True,
        *[False] * (SESSION_IDS_RESERVED - 1),
        True,
    ]


def test_no_session_id_is_given_out_again_after_a_crash() -> None:
    scene = Scene().up()
    scene.let_in().start()
    scene.let_in(PHONE).start("bob")
    again = Scene(records=scene.rows()).up()
    again.let_in().log_on()
    assert again.open_effect(StartProgram).session_id > 2


def test_no_session_id_is_given_out_that_the_keeper_still_runs() -> None:
    ids = SessionIds(OwnRecord(ServerRecord(name=NAME)), [4, 9])
    assert ids.take()[0] == 10
