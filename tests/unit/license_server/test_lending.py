"""Tokens from other license servers: who is asked, what a failure leads to, what is kept."""

from __future__ import annotations

import pytest

from daemons import events
from daemons.effects import Answer, Ask, Failed, Persist
from daemons.license_server.records import LoanRequestRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    PRODUCT,
    START,
    TEMPORARY,
    UNANSWERED,
    UNREACHABLE,
    Server,
    acquire,
    asker,
    borrowed,
    claims,
    found,
    given,
    lend,
    lender_answers,
    one_ask,
    pack,
    peer,
    refusal,
    renew,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AddKeyPack, LendLicense, LicenseIssued, Refused, Role

# --- asking -------------------------------------------------------------------------------------


def test_an_empty_pool_asks_the_peer_that_claims_a_token() -> None:
    server = asker("b")
    effects = server.hears(acquire(trace_id="t1"))
    assert found(effects, Answer) == []
    ask = one_ask(effects)
    assert ask.endpoint.name == "b"
    assert ask.timeout_seconds == limits.LENDING_SECONDS
    assert isinstance(ask.message, LendLicense)
    assert (ask.message.device_id, ask.message.trace_id) == (LAPTOP, "t1")


def test_the_loan_is_durable_before_it_is_asked_for() -> None:
    persist, ask = asker("b").hears(acquire())
    assert isinstance(persist, Persist) and isinstance(ask, Ask)
    (asked,) = persist.put
    assert isinstance(asked, LoanRequestRecord) and isinstance(ask.message, LendLicense)
    assert asked.loan_id == ask.message.loan_id


def test_the_lender_issues_and_the_asker_delivers_and_records() -> None:
    server, lender = asker("b"), Server("b", pack(1))
    delivered = borrowed(server, lender)
    assert (delivered.kind, delivered.lender, claims(delivered).issuer) == (FULL, "b", "b")
    assert delivered.issuer_certificate == b"certificate of b"
    (row,) = (row for row in server.licenses() if row.kind is FULL)
    assert row.lender == "b"
    assert server.pool().total == 0
    assert (lender.pool().available, lender.pool().lent) == (0, 1)
    assert server.table(LoanRequestRecord) == []
    assert server.journal()[-1] == "license.borrowed"


def test_a_borrowed_token_is_given_again_also_after_a_restart() -> None:
    server = asker("b")
    delivered = borrowed(server, Server("b", pack(1)))
    server.restart()
    assert server.issued(acquire()) == delivered


def test_an_own_token_comes_before_a_peers() -> None:
    server = Server("a", pack(1), lists=("b",))
    server.told(server.linked("b"), 1)
    assert server.full().lender == ""


def test_the_same_version_of_a_peer_comes_before_its_newer_ones() -> None:
    server = Server("a", lists=("b", "c", "d"))
    server.told(server.linked("b"), 9, version=2)
    server.told(server.linked("c"), 1, version=1)
    server.told(server.linked("d"), 2, version=1)
    server.logs_on()
    asked = []
    effects = server.hears(acquire())
    while asks := found(effects, Ask):
        asked.append(asks[0].endpoint.name)
        effects = server.answers(asks[0].question_id, Refused(code=ErrorCode.NO_LICENSE))
    assert asked == ["d", "c", "b"]


def test_a_peer_with_older_tokens_only_or_with_none_is_not_asked() -> None:
    server = Server("a", lists=("b", "c"))
    server.told(server.linked("b"), 5, version=1)
    server.told(server.linked("c"), 0, version=2)
    server.logs_on()
    assert found(server.hears(acquire(version=2)), Ask) == []


def test_a_device_without_a_logon_makes_nobody_ask() -> None:
    server = asker("b")
    server.issued(acquire(PHONE))
    assert server.issued(acquire(PHONE)).kind is TEMPORARY


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [UNREACHABLE, Refused(code=ErrorCode.NO_LICENSE)])
def test_a_peer_that_surely_gave_nothing_is_followed_by_the_next(
    outcome: Failed | Refused,
) -> None:
    server = asker("b", "c")
    ask = one_ask(server.hears(acquire()))
    following = one_ask(server.answers(ask.question_id, outcome))
    assert (ask.endpoint.name, following.endpoint.name) == ("b", "c")
    assert [asked.lender for asked in server.table(LoanRequestRecord)] == ["c"]


def test_when_no_peer_gives_one_the_temporary_token_goes_on() -> None:
    server = asker("b")
    ask = one_ask(server.hears(acquire()))
    effects = server.answers(ask.question_id, UNREACHABLE)
    assert given(effects).kind is TEMPORARY
    (failed,) = found(effects, events.LoanFailed)
    assert (failed.peer, failed.reason) == ("b", "UNREACHABLE")
    assert server.table(LoanRequestRecord) == []


def test_a_refusal_says_what_came_of_each_peer() -> None:
    server = asker("b", "c")
    server.now = START + 90 * DAY
    effects = server.hears(acquire())
    effects = server.answers(one_ask(effects).question_id, UNREACHABLE)
    effects = server.answers(one_ask(effects).question_id, Refused(code=ErrorCode.NO_LICENSE))
    assert refusal(effects) is ErrorCode.NO_LICENSE
    (refused,) = found(effects, events.LicenseRefused)
    assert refused.peers == ["b: UNREACHABLE", "c: NO_LICENSE"]


def test_a_peer_that_did_not_give_what_it_claimed_is_asked_again_after_it_claims_anew() -> None:
    server = asker("b")
    server.answers(one_ask(server.hears(acquire())).question_id, UNREACHABLE)
    assert found(server.hears(acquire()), Ask) == []
    server.told(peer("b", Role.LICENSE_SERVER), 1)
    assert one_ask(server.hears(acquire())).endpoint.name == "b"


def test_all_peers_together_have_less_time_than_the_terminal_server_waits() -> None:
    server = asker("b", "c", "d")
    ask = one_ask(server.hears(acquire()))
    server.now = START + 3.0
    following = one_ask(server.answers(ask.question_id, UNREACHABLE))
    assert following.timeout_seconds == 1.0
    server.now = START + 4.0
    assert found(server.answers(following.question_id, UNREACHABLE), Ask) == []
    assert limits.REQUEST_SECONDS > 4.0


def test_an_answer_that_is_no_token_for_the_device_counts_as_none() -> None:
    server, lender = asker("b"), Server("b", pack(1))
    ask = one_ask(server.hears(acquire()))
    others = lender.full(PHONE)
    assert given(server.answers(ask.question_id, others)).kind is TEMPORARY


def test_a_device_that_got_a_token_while_a_peer_was_asked_gets_no_second_one() -> None:
    server, lender = Server("a", lists=("b",)), Server("b", pack(1, version=2))
    server.told(server.linked("b"), 1, version=2)
    server.logs_on()
    server.now = lender.now = START + 90 * DAY
    older = one_ask(server.hears(acquire(version=1)))
    newer = one_ask(server.hears(acquire(version=2)))
    server.answers(newer.question_id, lender_answers(lender, newer))
    key_pack = AddKeyPack(key_pack="p", product=PRODUCT, product_version=2, tokens=1)
    server.asked(key_pack, server.administrator)
    effects = server.answers(older.question_id, Refused(code=ErrorCode.NO_LICENSE))
    answer = given(effects)
    assert (answer.kind, answer.lender) == (FULL, "b")
    assert server.pool(2).available == 1


# --- doubt --------------------------------------------------------------------------------------


def test_an_unanswered_lender_is_asked_again_with_the_same_loan_and_nobody_else_is() -> None:
    server, lender = asker("b", "c"), Server("b", pack(1))
    ask = one_ask(server.hears(acquire()))
    issued = lender_answers(lender, ask)  # and the answer is lost
    effects = server.answers(ask.question_id, UNANSWERED)
    assert found(effects, Ask) == []
    assert given(effects).kind is TEMPORARY
    again = one_ask(server.hears(acquire()))
    assert (again.endpoint, again.message) == (ask.endpoint, ask.message)
    assert isinstance(issued, LicenseIssued)
    assert (
        given(server.answers(again.question_id, lender_answers(lender, again))).token
        == issued.token
    )
    assert lender.pool().lent == 1


def test_a_crash_of_the_asker_loses_no_token() -> None:
    server, lender = asker("b"), Server("b", pack(1))
    ask = one_ask(server.hears(acquire()))
    issued = lender_answers(lender, ask)
    assert isinstance(issued, LicenseIssued)
    server.restart()
    server.told(server.linked("b"), 0)
    assert borrowed(server, lender).token == issued.token


def test_after_a_day_of_doubt_others_are_asked() -> None:
    server = asker("b", "c")
    server.answers(one_ask(server.hears(acquire())).question_id, UNANSWERED)
    server.restart()
    server.told(server.linked("c"), 1)
    server.now = START + DAY - 1.0
    assert found(server.hears(acquire()), Ask) == []
    server.now = START + DAY
    assert one_ask(server.hears(acquire())).endpoint.name == "c"


def test_a_silent_lender_is_waited_for_by_requests_of_every_version() -> None:
    server = asker("b", "c")
    server.answers(one_ask(server.hears(acquire())).question_id, UNANSWERED)
    server.told(server.linked("c"), 1, version=2)
    effects = server.hears(acquire(version=2))
    assert found(effects, Ask) == []
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, LicenseIssued) and answer.message.kind is TEMPORARY


def test_a_device_that_would_be_refused_does_not_wait_for_the_lender_in_doubt() -> None:
    server = asker("b", "c")
    server.now = START + 90 * DAY
    ask = one_ask(server.hears(acquire()))
    assert one_ask(server.answers(ask.question_id, UNANSWERED)).endpoint.name == "c"


# --- the lender's side --------------------------------------------------------------------------


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
