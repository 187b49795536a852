"""Each answer of a license server, and each session that a user is shown: whether it may come in
this state, and what it leads to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.simulation.linearizable import Operation, Stuck, check
from tests.simulation.models import (
    Acquire,
    Done,
    End,
    Lend,
    LicenseModel,
    Licenses,
    LogOn,
    Renew,
    SessionModel,
    Sessions,
    Shown,
    Token,
    Validate,
)
from tsproto.errors import ErrorCode
from tsproto.limits import DAY_SECONDS
from tsproto.messages import LicenseKind

DAY = float(DAY_SECONDS)
FIRST = Token(
    kind=LicenseKind.TEMPORARY, license_id="first", version=1, expires_at=90 * DAY, validated=False
)
VALIDATED = replace(FIRST, validated=True)
FULL = Token(kind=LicenseKind.FULL, license_id="full", version=1, expires_at=60 * DAY)
RENEWED = replace(FULL, expires_at=120 * DAY)
OTHER = replace(FULL, license_id="other", expires_at=80 * DAY)
ASK, VALIDATE, RENEW = Acquire(1), Validate(), Renew("full", 1, False)
LICENSED = [(ASK, FIRST), (VALIDATE, Done()), (ASK, FULL)]
Answered = tuple[object, object]


def asked(*answers: Answered, day: float = 0.0) -> list[Operation]:
    """One after the other, from this day on; None is an answer that was lost."""
    history = []
    for second, (call, answer) in enumerate(answers):
        at = day * DAY + second
        operation = Operation(call=call, called_at=at)
        if answer is not None:
            operation.answer, operation.returned_at = answer, at + 0.5
        history.append(operation)
    return history


def licensed(*history: Operation) -> Stuck[Licenses] | None:
    tokens = [op.answer for op in history if isinstance(op.answer, Token)]
    return check(history, LicenseModel(tokens), Licenses())


@pytest.mark.parametrize(
    "answers",
    [
        [(ASK, FIRST), (ASK, FIRST)],
        [(ASK, FIRST), (Acquire(2), replace(FIRST, version=2))],
        LICENSED,
        [*LICENSED, (ASK, FULL), (RENEW, FULL)],
        [*LICENSED, (Acquire(2), replace(VALIDATED, version=2))],
        [*LICENSED, (Lend(1), FULL)],
        [(Lend(1), FULL), (Lend(1), FULL), (VALIDATE, Done())],
        [(Lend(1), ErrorCode.NO_LICENSE), (ASK, FIRST)],
        [(VALIDATE, ErrorCode.UNKNOWN_LICENSE), (RENEW, ErrorCode.UNKNOWN_LICENSE)],
        [(ASK, FIRST), (Renew("first", 1, False), FIRST)],
        [*LICENSED, (Renew("full", 2, False), ErrorCode.UNKNOWN_LICENSE)],
    ],
)
def test_these_answers_may_follow_each_other(answers: list[Answered]) -> None:
    assert licensed(*asked(*answers)) is None


@pytest.mark.parametrize(
    "answers",
    [
        [(ASK, FULL)],
        [(ASK, FIRST), (ASK, FULL)],
        [(ASK, FIRST), (ASK, VALIDATED)],
        [(ASK, FIRST), (ASK, replace(FIRST, license_id="second"))],
        [(ASK, FIRST), (ASK, replace(FIRST, expires_at=91 * DAY))],
        [(ASK, FIRST), (VALIDATE, Done()), (ASK, FIRST)],
        [(ASK, FIRST), (VALIDATE, ErrorCode.UNKNOWN_LICENSE)],
        [(ASK, FIRST), (ASK, ErrorCode.NO_LICENSE)],
        [(ASK, ErrorCode.NO_LICENSE)],
        [(VALIDATE, Done())],
        [*LICENSED, (ASK, VALIDATED)],
        [*LICENSED, (ASK, OTHER)],
        [*LICENSED, (ASK, RENEWED)],
        [*LICENSED, (RENEW, RENEWED)],
        [*LICENSED, (RENEW, OTHER)],
        [*LICENSED, (RENEW, ErrorCode.UNKNOWN_LICENSE)],
        [*LICENSED, (ASK, ErrorCode.NO_LICENSE)],
        [*LICENSED, (Lend(1), ErrorCode.NO_LICENSE)],
        [(Lend(1), FIRST)],
    ],
)
def test_these_answers_never_follow_each_other(answers: list[Answered]) -> None:
    stuck = licensed(*asked(*answers))
    assert stuck is not None and stuck.explained == len(answers) - 1


def test_a_token_is_renewed_in_its_last_days_and_keeps_its_new_end() -> None:
    begun = asked(*LICENSED)
    assert licensed(*begun, *asked((RENEW, RENEWED), (ASK, RENEWED), day=54)) is None
    assert licensed(*begun, *asked((RENEW, RENEWED), (ASK, FULL), day=54)) is not None


def test_a_token_that_has_ended_is_taken_back() -> None:
    begun, full = asked(*LICENSED), replace(OTHER, expires_at=130 * DAY)
    assert licensed(*begun, *asked((ASK, VALIDATED), day=61)) is None
    assert licensed(*begun, *asked((ASK, full), day=61)) is None
    assert licensed(*begun, *asked((ASK, FULL), day=61)) is not None
    assert licensed(*begun, *asked((RENEW, ErrorCode.UNKNOWN_LICENSE), day=91)) is None


def test_a_device_whose_temporary_token_has_ended_is_refused() -> None:
    begun = asked((ASK, FIRST))
    assert licensed(*begun, *asked((ASK, ErrorCode.NO_LICENSE), day=91)) is None
    assert licensed(*begun, *asked((ASK, FIRST), day=91)) is not None


def test_what_was_borrowed_its_lender_may_refuse_to_renew() -> None:
    lent = replace(FULL, lender="b")
    refused = (RENEW, ErrorCode.UNKNOWN_LICENSE)
    assert licensed(*asked(*LICENSED[:2], (ASK, lent), refused)) is None


def test_what_ended_while_its_lender_was_asked_is_borrowed_again() -> None:
    lent, again = replace(FULL, lender="b"), replace(RENEWED, lender="b")
    begun = asked(*LICENSED[:2], (ASK, lent))
    assert licensed(*begun, *asked((RENEW, again), (ASK, again), day=61)) is None


@pytest.mark.parametrize(
    "answers",
    [
        [(ASK, None), (ASK, FIRST)],
        [(ASK, None), (VALIDATE, Done())],
        [(ASK, FIRST), (VALIDATE, None), (ASK, FULL)],
        [(ASK, FIRST), (VALIDATE, None), (ASK, FIRST)],
        [(ASK, FIRST), (VALIDATE, Done()), (ASK, None), (RENEW, FULL)],
        [(Lend(1), None), (RENEW, FULL)],
        [(Lend(2), None), (ASK, FULL)],
    ],
)
def test_an_answer_that_was_lost_may_have_had_its_effect(answers: list[Answered]) -> None:
    assert licensed(*asked(*answers)) is None


def test_a_renewal_that_was_not_heard_of_may_have_renewed() -> None:
    begun = asked(*LICENSED)
    assert licensed(*begun, *asked((RENEW, None), (ASK, RENEWED), day=54)) is None
    assert licensed(*begun, *asked((RENEW, None), (ASK, FULL), day=54)) is None


# --- sessions -----------------------------------------------------------------------------------

ONE, TWO = ("ts1", 1), ("ts2", 1)
NEW, OLD, NEW_TWO, OLD_TWO = (
    Shown(ONE, False),
    Shown(ONE, True),
    Shown(TWO, False),
    Shown(TWO, True),
)
LOG_ON, FULL_HOST = LogOn(), ErrorCode.TOO_MANY_SESSIONS


def shown(*answers: Answered, torn: bool = False) -> Stuck[Sessions] | None:
    model = SessionModel([ONE, TWO], torn=torn)
    return check(asked(*answers), model, Sessions())


@pytest.mark.parametrize(
    "answers",
    [
        [(LOG_ON, NEW), (LOG_ON, OLD), (LOG_ON, OLD)],
        [(LOG_ON, NEW), (End(ONE), True), (LOG_ON, NEW_TWO)],
        [(LOG_ON, None), (LOG_ON, OLD)],
        [(LOG_ON, None), (LOG_ON, NEW)],
        [(LOG_ON, FULL_HOST), (LOG_ON, NEW)],
        [(LOG_ON, NEW), (End(ONE), True), (LOG_ON, FULL_HOST)],
    ],
)
def test_a_user_may_see_these(answers: list[Answered]) -> None:
    assert shown(*answers) is None
    assert shown(*answers, torn=True) is None


@pytest.mark.parametrize(
    "answers",
    [
        [(LOG_ON, NEW), (LOG_ON, NEW_TWO)],
        [(LOG_ON, OLD)],
        [(LOG_ON, NEW), (LOG_ON, FULL_HOST)],
        [(LOG_ON, None), (LOG_ON, OLD), (LOG_ON, OLD_TWO)],
    ],
)
def test_a_user_sees_these_in_a_torn_farm_alone(answers: list[Answered]) -> None:
    assert shown(*answers) is not None
    assert shown(*answers, torn=True) is None


@pytest.mark.parametrize(
    "answers",
    [
        [(LOG_ON, NEW), (LOG_ON, NEW)],
        [(LOG_ON, NEW), (End(ONE), True), (LOG_ON, OLD)],
        [(LOG_ON, NEW), (End(ONE), True), (LOG_ON, NEW)],
    ],
)
def test_a_user_never_sees_these(answers: list[Answered]) -> None:
    assert shown(*answers) is not None
    assert shown(*answers, torn=True) is not None


def test_of_two_logons_in_one_instant_either_may_begin_the_session() -> None:
    both = [
        Operation(call=LOG_ON, called_at=0.0, answer=answer, returned_at=3.0)
        for answer in (OLD, NEW)
    ]
    assert check(both, SessionModel([ONE], torn=False), Sessions()) is None
