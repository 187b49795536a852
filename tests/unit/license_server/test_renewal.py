"""Renewals: a fresh end here, or from the lender."""

from __future__ import annotations

import pytest

from daemons import events
from daemons.effects import Answer, Ask, Failed, Persist
from daemons.license_server.records import LicenseRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    PRODUCT,
    START,
    UNANSWERED,
    UNREACHABLE,
    Server,
    acquire,
    asker,
    borrowed,
    found,
    given,
    lender_answers,
    one_ask,
    pack,
    peer,
    refusal,
    renew,
)
from tsproto.errors import ErrorCode
from tsproto.messages import AddKeyPack, LicenseIssued, Message, Refused, RenewLicense, Role

# --- a token of ours -----------------------------------------------------------------------------


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
    assert found(server.deadline(full.expires_at), events.LicenseReclaimed) == []
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


# --- a token that was lent -----------------------------------------------------------------------


def lent(server: Server, lender: Server, *, days_left: float) -> LicenseIssued:
    """A borrowed token, and the time when it has `days_left`."""
    token = borrowed(server, lender)
    server.now = lender.now = token.expires_at - days_left * DAY
    return token


def test_a_borrowed_token_is_renewed_by_its_lender() -> None:
    server, lender = asker("b"), Server("b", pack(1))
    token = lent(server, lender, days_left=7)
    effects = server.hears(renew(token.license_id))
    ask = one_ask(effects)
    assert isinstance(ask.message, RenewLicense) and ask.endpoint.name == "b"
    answer = given(server.answers(ask.question_id, lender_answers(lender, ask)))
    assert (answer.license_id, answer.lender) == (token.license_id, "b")
    assert answer.expires_at > token.expires_at
    (row,) = (row for row in server.licenses() if row.kind is FULL)
    assert (row.issued_at, row.expires_at) == (int(START), answer.expires_at)
    server.restart()
    assert server.issued(acquire()) == answer
    assert lender.pool().lent == 1


def test_before_its_last_week_a_borrowed_token_is_given_again_without_asking() -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=8)
    assert server.issued(renew(token.license_id)) == token


def test_twenty_renewals_at_once_are_forwarded_once() -> None:
    server, lender = asker("b"), Server("b", pack(1))
    token = lent(server, lender, days_left=3)
    ask = one_ask(server.hears(renew(token.license_id)))
    for _ in range(19):
        assert server.hears(renew(token.license_id)) == []
    answers = found(server.answers(ask.question_id, lender_answers(lender, ask)), Answer)
    assert len(answers) == 20


@pytest.mark.parametrize("outcome", [UNREACHABLE, UNANSWERED])
def test_a_lender_that_does_not_answer_renews_nothing_and_the_old_token_stays(
    outcome: Failed,
) -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=3)
    ask = one_ask(server.hears(renew(token.license_id)))
    effects = server.answers(ask.question_id, outcome)
    assert refusal(effects) is ErrorCode.LENDER_UNREACHABLE
    (not_renewed,) = found(effects, events.LicenseNotRenewed)
    assert (not_renewed.peer, not_renewed.code) == ("b", outcome.code)
    assert server.issued(acquire()) == token


def test_a_lender_whose_place_is_not_known_is_unreachable() -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=3)
    server.restart()
    assert server.refused(renew(token.license_id)).code is ErrorCode.LENDER_UNREACHABLE


def test_a_lenders_refusal_is_passed_on() -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=3)
    ask = one_ask(server.hears(renew(token.license_id)))
    effects = server.answers(ask.question_id, Refused(code=ErrorCode.UNKNOWN_LICENSE))
    assert refusal(effects) is ErrorCode.UNKNOWN_LICENSE
    (refused,) = found(effects, events.RequestRefused)
    assert (refused.request, refused.code) == ("RenewLicense", ErrorCode.UNKNOWN_LICENSE)


def renewed_too_late(server: Server) -> tuple[Ask, Message]:
    """A renewal that is asked for just before its token ends, and the lender's answer to it."""
    lender = Server("b", pack(1))
    token = lent(server, lender, days_left=1 / DAY)
    ask = one_ask(server.hears(renew(token.license_id)))
    answer = lender_answers(lender, ask)
    server.now += 2
    return ask, answer


def test_a_renewal_that_comes_after_the_device_got_another_token_changes_nothing() -> None:
    server = asker("b")
    ask, late = renewed_too_late(server)
    key_pack = AddKeyPack(key_pack="p", product=PRODUCT, product_version=1, tokens=1)
    server.asked(key_pack, server.administrator)
    other = server.issued(acquire())
    effects = server.answers(ask.question_id, late)
    assert [answer.message for answer in found(effects, Answer)] == [other]
    assert found(effects, Persist) == []
    server.restart()
    assert server.issued(acquire()) == other


def test_a_renewal_that_comes_after_the_token_ended_is_taken_as_lent_anew() -> None:
    server = asker("b")
    ask, late = renewed_too_late(server)
    assert len(found(server.deadline(server.now), events.LicenseExpired)) == 1
    answer = given(server.answers(ask.question_id, late))
    assert isinstance(late, LicenseIssued)
    assert answer.token == late.token
    server.restart()
    assert server.issued(acquire()) == answer


def test_a_peers_renewal_is_never_passed_on() -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=3)
    refused = server.refused(renew(token.license_id), peer("c", Role.LICENSE_SERVER))
    assert refused.code is ErrorCode.UNKNOWN_LICENSE


def test_a_borrowed_token_that_expired_is_forgotten_and_asked_for_anew() -> None:
    server = asker("b")
    token = lent(server, Server("b", pack(1)), days_left=0)
    effects = server.hears(acquire())
    assert len(found(effects, events.LicenseExpired)) == 1
    assert one_ask(effects).endpoint.name == "b"
    (kept,) = (r for r in server.table(LicenseRecord) if r.license_id == token.license_id)
    assert (kept.ended, kept.token) == (True, b"")
    assert server.pool().total == 0
    assert PRODUCT == kept.product
