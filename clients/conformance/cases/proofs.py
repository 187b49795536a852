"""How a session directory believes terminal servers: users' proofs, and receipts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from clients.conformance.acting import CaseContext, join
from clients.conformance.attempt import STRANGERS_KEY
from clients.conformance.case import SESSION_DIRECTORY, Case, Chapter
from clients.conformance.farm import Farm
from clients.conformance.target import Unmet
from clients.conformance.user import User
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    RemoveSession,
    Role,
    SessionRow,
    SessionState,
    UserProof,
)

chapter = Chapter()

AGE_SECONDS_MAX = limits.CHALLENGE_SECONDS + limits.PROOF_CLOCK_SECONDS
SLACK_SECONDS = 10


@chapter.case("DIR-29", SESSION_DIRECTORY)
def a_host_without_a_proof(context: CaseContext) -> None:
    farm = Farm(context)
    farm.servers[0].expect_refused(farm.question(0, proof=[]), ErrorCode.NOT_PERMITTED)
    farm.expect_at(farm.place(1), 1, 0, "nothing reserved for the host that was refused")


@chapter.case("DIR-29", SESSION_DIRECTORY)
def proofs_that_were_not_given_for_this(context: CaseContext) -> None:
    farm = Farm(context)
    for what, proof in _wrong_proofs(farm):
        answer = farm.servers[0].ask(farm.question(0, proof=[proof]))
        code = answer.code if isinstance(answer, messages.Refused) else ErrorCode.NORMAL
        if code is not ErrorCode.NOT_PERMITTED:
            raise Unmet(f"expected Refused with NOT_PERMITTED for {what}, came {code.name}")
    farm.expect_at(farm.place(1), 1, 0, "nothing reserved for the host that was refused")


def _wrong_proofs(farm: Farm) -> Iterator[tuple[str, UserProof]]:
    here = farm.given_to(0)
    other_user = farm.given_to(0, farm.context.user(1))
    yield "a proof for another host", farm.given_to(1).for_directory()
    yield "another user's proof", other_user.for_directory()
    changed: dict[str, dict[str, Any]] = {
        "another application": {"application": farm.context.fresh_name("app")},
        "a command": {"command": "ls"},
        "another farm": {"farm": "elsewhere"},
        "another certificate": {"certificate": farm.context.rng.randbytes(32)},
        "another device": {"device_id": farm.context.rng.randbytes(32)},
        "other methods": {"methods": 7},
    }
    for what, changes in changed.items():
        yield f"a proof for {what}", here.for_directory(here.statement(**changes))
    good = here.for_directory()
    yield "another nonce", replace(good, nonce=farm.context.rng.randbytes(32))
    yield "another time", replace(good, time=good.time - 1)
    yield "another session", replace(good, session_id=3)
    yield "another attachment", replace(good, attachment=3)
    yield "another method", replace(good, method=2)
    yield "another algorithm", replace(good, algorithm="ssh-ed25519")
    signed = STRANGERS_KEY.sign(here.statement().signed_bytes())
    yield "somebody else's key", replace(good, signature=signed)
    yield "no signature", replace(good, signature=b"")


@chapter.case("DIR-29", SESSION_DIRECTORY)
def nobody_has_no_proof(context: CaseContext) -> None:
    farm = Farm(context)
    nobody = User(context.fresh_name("nobody"), b"password")
    unknown = farm.question(0, user=nobody)
    farm.servers[0].expect_refused(unknown, ErrorCode.NOT_PERMITTED)


@chapter.case("DIR-29", SESSION_DIRECTORY)
def how_old_a_proof_may_be(context: CaseContext) -> None:
    farm = Farm(context)
    early, late = limits.PROOF_CLOCK_SECONDS, -AGE_SECONDS_MAX
    for offset, is_good in (
        (early - SLACK_SECONDS, True),
        (early + SLACK_SECONDS, False),
        (late + SLACK_SECONDS, True),
        (late - SLACK_SECONDS, False),
    ):
        question = farm.question(0, proof=[_of_time(farm, offset)])
        if is_good:
            farm.servers[0].ask_for(messages.SessionPlaced, question)
        else:
            farm.servers[0].expect_refused(question, ErrorCode.NOT_PERMITTED)


def _of_time(farm: Farm, offset: int) -> UserProof:
    """A proof of so many seconds from now."""
    given = farm.given_to(0)
    time = int(farm.context.now) + offset
    return given.for_directory(given.statement(time=time))


@chapter.case("DIR-29", SESSION_DIRECTORY)
def the_same_proof_of_the_same_host(context: CaseContext) -> None:
    farm = Farm(context)
    question = farm.question(0)
    first = farm.servers[0].ask_for(messages.SessionPlaced, question)
    again = farm.servers[0].ask_for(messages.SessionPlaced, question)
    context.expect_fields(again, "the reservation", placement=first.placement)


# --- receipts -------------------------------------------------------------------------------------


@chapter.case("DIR-30", SESSION_DIRECTORY)
def a_row_without_a_receipt_leads_nobody(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(1, 7, state=SessionState.ACTIVE, placement=2**40)
    placed = farm.place(0)
    farm.expect_at(placed, 0, 0, "a place on the asking host")
    others = [(row.host, row.session_id) for row in placed.others]
    context.check((farm.names[1], 7) in others, "the session without a receipt in `others`")


@chapter.case("DIR-30", SESSION_DIRECTORY)
def receipts_that_were_given_for_something_else(context: CaseContext) -> None:
    farm = Farm(context)
    right = farm.own(1, 7, placement=5)
    farm.expect_at(farm.place(0), 1, 7, "the session with its receipt")
    first, last = right.receipt[:1], right.receipt[-1:]
    changed = right.receipt[:-1] + bytes([last[0] ^ 1])
    for what, receipt in (
        ("of another host", farm.own(0, 8, placement=5, state=SessionState.RESET).receipt),
        ("of another placement", farm.own(1, 8, placement=6, state=SessionState.RESET).receipt),
        ("of another application", _of_another_application(farm)),
        ("of another user", _of_another_user(farm)),
        ("with a changed bit", changed),
        ("that is cut", right.receipt[:-1]),
        ("that is a byte", first),
        ("of zeros", bytes(len(right.receipt))),
    ):
        farm.report(1, 7, placement=5, receipt=receipt)
        placed = farm.place(0)
        farm.expect_at(placed, 0, 0, f"nobody led to a row with a receipt {what}")
        given_up = RemoveSession(session_id=0, placement=placed.placement, user_name=farm.user.name)
        farm.tell(0, given_up)


def _of_another_application(farm: Farm) -> bytes:
    return farm.own(1, 9, placement=5, application=farm.context.fresh_name("app")).receipt


def _of_another_user(farm: Farm) -> bytes:
    other = farm.context.user(1)
    row = farm.report(1, 10, placement=5, user_name=other.name)
    question = farm.question(1, user=other, session_id=row.session_id)
    return farm.servers[1].ask_for(messages.SessionPlaced, question).receipt


@chapter.case("DIR-25", SESSION_DIRECTORY)
def the_session_that_was_promised(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(0, 7)
    farm.own(1, 8, state=SessionState.ACTIVE)
    farm.expect_at(farm.place(0), 1, 8, "the active session")
    promised = farm.place(0, redirected=True, session_id=7)
    farm.expect_at(promised, 0, 7, "the promised session, though another is active")
    farm.tell(0, RemoveSession(session_id=7, placement=1, user_name=farm.user.name))
    ended = farm.place(0, redirected=True, session_id=7)
    farm.expect_at(ended, 1, 8, "the other one, since the promised one has ended")


@chapter.case("DIR-26", SESSION_DIRECTORY)
def a_receipt_for_a_session_that_runs(context: CaseContext) -> None:
    farm = Farm(context)
    row = farm.report(0, 7, placement=0)
    placed = farm.receipt(0, row)
    farm.expect_at(placed, 0, 7, "the session of the question")
    context.expect_fields(placed, "the row's placement", placement=0)
    farm.report(0, 7, placement=0, receipt=placed.receipt)
    farm.expect_at(farm.place(1), 0, 7, "the session, with its receipt")


@chapter.case("DIR-26", SESSION_DIRECTORY)
def no_receipt_for_other_sessions(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(1, 7)
    farm.report(0, 8, user_name=context.user(1).name)
    farm.report(0, 9, application=context.fresh_name("app"))
    for session_id, whose in ((7, "another host's"), (8, "another user's"), (9, "another's")):
        answer = farm.servers[0].ask(farm.question(0, session_id=session_id))
        if getattr(answer, "code", None) is not ErrorCode.NOT_PERMITTED:
            raise Unmet(f"expected Refused with NOT_PERMITTED for {whose} session, came {answer}")
    farm.servers[0].expect_refused(farm.question(0, session_id=10), ErrorCode.NOT_PERMITTED)


@chapter.case("DIR-26", SESSION_DIRECTORY, also=("DIR-29",))
def an_older_proof_for_a_receipt_alone(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(0, 7)
    for age, is_good in ((3_600, True), (limits.DAY_SECONDS + SLACK_SECONDS, False)):
        question = farm.question(0, proof=[_of_time(farm, -age)], session_id=7)
        if is_good:
            farm.servers[0].ask_for(messages.SessionPlaced, question)
        else:
            farm.servers[0].expect_refused(question, ErrorCode.NOT_PERMITTED)
    redirected = replace(
        farm.question(0, proof=[_of_time(farm, -3_600)]), session_id=7, redirected=True
    )
    farm.servers[0].expect_refused(redirected, ErrorCode.NOT_PERMITTED)


@chapter.case("DIR-27", SESSION_DIRECTORY)
def receipts_outlive_the_directory(context: CaseContext) -> None:
    farm = Farm(context)
    row: SessionRow = farm.own(1, 7)
    context.target.restart()
    asking = context.open(Role.TERMINAL_SERVER, name=farm.names[0])
    join(asking, farm.names[0])
    join(context.open(Role.TERMINAL_SERVER, name=farm.names[1]), farm.names[1], [row])
    given = context.given_to(asking, farm.user, application=farm.application)
    question = farm.question(0, proof=[given.for_directory()])
    placed = asking.ask_for(messages.SessionPlaced, question)
    farm.expect_at(placed, 1, 7, "the session, by its receipt of before")


def cases() -> list[Case]:
    return chapter.cases
