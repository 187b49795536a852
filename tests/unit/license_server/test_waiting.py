"""Requests that wait for another license server together."""

from __future__ import annotations

import pytest

from daemons.effects import Answer, Ask
from daemons.license_server import waiting
from tests.unit.license_server.scenario import (
    PHONE,
    TEMPORARY,
    Server,
    acquire,
    asker,
    found,
    lender_answers,
    one_ask,
    pack,
    refusal,
)
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseIssued, Refused


def test_requests_for_one_device_share_one_loan_and_are_all_answered() -> None:
    server, lender = asker("b"), Server("b", pack(2))
    ask = one_ask(server.hears(acquire(trace_id="t1")))
    for _ in range(4):
        assert server.hears(acquire(trace_id="t2")) == []
    answers = found(server.answers(ask.question_id, lender_answers(lender, ask)), Answer)
    assert len({answer.caller.request_id for answer in answers}) == 5
    tokens = [a.message.token for a in answers if isinstance(a.message, LicenseIssued)]
    assert len(tokens) == 5 and len(set(tokens)) == 1
    assert lender.pool().lent == 1


def test_too_many_waiting_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 2)
    server = asker("b")
    server.hears(acquire())
    assert server.hears(acquire()) == []
    assert refusal(server.hears(acquire())) is ErrorCode.BUSY


def test_when_too_many_wait_a_device_goes_on_with_its_temporary_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 1)
    server = asker("b")
    server.logs_on(PHONE)
    server.hears(acquire())
    effects = server.hears(acquire(PHONE))
    assert found(effects, Ask) == []
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, LicenseIssued) and answer.message.kind is TEMPORARY


def test_an_answer_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 2)
    server = asker("b")
    server.logs_on(PHONE)
    ask = one_ask(server.hears(acquire()))
    server.hears(acquire())
    server.answers(ask.question_id, Refused(code=ErrorCode.NO_LICENSE))
    server.told(server.links["b"], 1)
    one_ask(server.hears(acquire(PHONE)))
    assert server.hears(acquire(PHONE)) == []
    assert refusal(server.hears(acquire(PHONE))) is ErrorCode.BUSY
