"""Every refusal says why."""

from __future__ import annotations

from daemons import events
from daemons.effects import Answer
from tests.unit.license_server.scenario import (
    DAY,
    LAPTOP,
    PHONE,
    PRODUCT,
    START,
    TABLET,
    Server,
    acquire,
    found,
    one_ask,
    pack,
    peer,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Refused, Role


def test_a_refusal_says_which_pools_were_looked_at() -> None:
    server = Server("a", pack(1))
    server.full(PHONE)
    server.logs_on(LAPTOP)
    server.now = START + 90 * DAY
    server.logs_on(TABLET)
    server.issued(acquire(TABLET))
    effects = server.hears(acquire(LAPTOP, trace_id="t1"))
    (refused,) = found(effects, events.LicenseRefused)
    assert refused.pools == [f"{PRODUCT} 1: 0 of 1 available"]
    assert refused.trace_id == "t1"
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, Refused)
    assert f"{PRODUCT} 1: 0 of 1 available" in answer.message.detail
    assert "ask the administrator for more licenses" in answer.message.detail


def test_everybody_who_waits_is_refused_under_their_own_trace() -> None:
    server = Server("a", lists=("b",))
    server.told(server.linked("b"), 1)
    server.logs_on()
    server.now = START + 90 * DAY
    ask = one_ask(server.hears(acquire(trace_id="t1")))
    server.hears(acquire(trace_id="t2"))
    effects = server.answers(ask.question_id, Refused(code=ErrorCode.NO_LICENSE))
    answers = [answer.message for answer in found(effects, Answer)]
    assert [a.trace_id for a in answers if isinstance(a, Refused)] == ["t1", "t2"]
    assert [event.trace_id for event in found(effects, events.LicenseRefused)] == ["t1", "t2"]


def test_a_peer_that_claims_tokens_and_is_not_dialled_yet_is_named_as_that() -> None:
    server = Server("a")
    server.logs_on()
    stranger = peer("b", Role.LICENSE_SERVER)
    server.core.on_peer_opened(stranger, server.now)
    server.told(stranger, 2)
    (kept,) = found(server.hears(acquire()), events.LicenseNotUpgraded)
    assert kept.peers == ["b: 2 of version 1, not dialled yet"]
    assert kept.reason.endswith("dialled this one, which has not found and dialled it yet")
    server.now += 90 * DAY
    refused = server.refused(acquire())
    assert refused.code is ErrorCode.NO_LICENSE
    assert "give both a discovery scope in common" in refused.detail
    server.told(stranger, 0)
    assert "no token is left" in server.refused(acquire()).detail
