"""Renewals, loans to peers, and who may ask at all."""

from __future__ import annotations

from daemons.effects import Caller, Close
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    START,
    TEMPORARY,
    Server,
    acquire,
    claims,
    lend,
    notes,
    pack,
    peer,
    renew,
    validated,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Role,
    UpdateSession,
)


def test_a_token_is_renewed_in_its_last_seven_days_and_not_before() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 7 * DAY - 1.0
    assert server.issued(renew(full.license_id)) == full
    server.now = full.expires_at - 7.0 * DAY
    renewed = server.issued(renew(full.license_id))
    assert renewed.license_id == full.license_id
    assert (renewed.expires_at - server.now) / DAY in range(52, 90)
    assert server.pool().issued == 1


def test_twenty_renewals_at_once_are_one() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 3.0 * DAY
    answers = [server.issued(renew(full.license_id)) for _ in range(20)]
    assert len({answer.token for answer in answers}) == 1
    assert server.journal().count("license.renewed") == 1


def test_a_renewed_token_is_not_taken_back_at_its_old_end() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 1.0
    server.issued(renew(full.license_id))
    assert notes(server.deadline(full.expires_at), "license.reclaimed") == []
    assert server.pool().available == 0


def test_an_expired_token_is_not_renewed() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = START + 90 * DAY
    assert server.refused(renew(full.license_id)).code is ErrorCode.UNKNOWN_LICENSE


def test_an_unknown_token_is_answered_with_the_devices_live_one() -> None:
    server = Server("a", pack(1))
    assert server.refused(renew(b"?" * 16)).code is ErrorCode.UNKNOWN_LICENSE
    full = server.full(LAPTOP)
    assert server.issued(renew(b"?" * 16, LAPTOP)) == full
    temporary = server.issued(acquire(PHONE))
    assert server.issued(renew(full.license_id, PHONE)) == temporary


def test_a_token_lent_is_counted_as_lent_and_given_again_for_the_same_device() -> None:
    server = Server("b", pack(2))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(LAPTOP), asker)
    assert (lent.kind, claims(lent).issuer) == (FULL, "b")
    assert (server.pool().available, server.pool().issued, server.pool().lent) == (1, 0, 1)
    assert server.issued(lend(LAPTOP), asker) == lent
    assert server.issued(lend(LAPTOP, loan_id=b"another".ljust(16)), asker) == lent
    assert server.issued(acquire(LAPTOP)) == lent
    (row,) = server.licenses()
    assert row.through == "a"


def test_a_lender_without_tokens_refuses() -> None:
    refused = Server("b").refused(lend(), peer("a", Role.LICENSE_SERVER))
    assert refused.code is ErrorCode.NO_LICENSE


def test_a_token_lent_is_renewed_for_the_asker_and_returns_when_it_expires() -> None:
    server = Server("b", pack(1))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(), asker)
    server.now = lent.expires_at - 1.0
    renewed = server.issued(renew(lent.license_id), asker)
    assert renewed.expires_at > lent.expires_at
    server.now = float(renewed.expires_at)
    assert (server.pool().available, server.pool().lent) == (1, 0)


def test_only_the_listed_terminal_servers_are_served() -> None:
    server = Server("a", serves=("ts1",))
    stranger = peer("ts2", Role.TERMINAL_SERVER)
    for request in (acquire(), renew(b"?" * 16), validated()):
        assert server.refused(request, stranger).code is ErrorCode.SERVER_NOT_SERVED
    assert server.licenses() == []
    assert server.issued(acquire()).kind is TEMPORARY


def test_license_servers_need_no_place_in_the_list_of_terminal_servers() -> None:
    server = Server("b", pack(1), serves=("ts1",))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(), asker)
    assert server.issued(renew(lent.license_id), asker) == lent


def test_a_message_for_somebody_else_ends_the_connection() -> None:
    server = Server("a")
    stray = UpdateSession(session=None)  # type: ignore[arg-type]
    (close,) = server.core.on_message(Caller(server.terminal_server), stray, START)
    assert close == Close(server.terminal_server, ErrorCode.OUT_OF_ORDER)
