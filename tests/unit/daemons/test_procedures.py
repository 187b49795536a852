"""The runner of procedures: what waits, who goes on, and every way in which one ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from daemons.effects import (
    Ask,
    Effect,
    Endpoint,
    Failed,
    LookUp,
    ProgramFailed,
    ProgramStarted,
    StartProgram,
    Verified,
    Verify,
)
from daemons.procedures import (
    Inbox,
    Procedure,
    Procedures,
    Promise,
    Question,
    ask,
    look_up,
    outcome_of,
    question,
    start_program,
    verify,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Joined, LicenseStored, Message, Refused, ResizeSession, Role

DIRECTORY = Endpoint(Role.SESSION_DIRECTORY, "sd.lab", 5602, "sd")
OWNER = "owner"


class Said(Effect, frozen=True, gc=False):
    """An effect that says where its procedure has come to."""

    text: str


class Interrupted(Exception):
    pass


@pytest.fixture
def procedures() -> Procedures:
    return Procedures()


def said(effects: list[Effect]) -> list[str]:
    return [effect.text for effect in effects if isinstance(effect, Said)]


def question_ids(effects: list[Effect]) -> list[int]:
    return [effect.question_id for effect in effects if isinstance(effect, Ask)]


def asking(procedures: Procedures, *, name: str = "asked") -> Procedure[None]:
    outcome = yield from ask(DIRECTORY, Done(), Done, 5.0)
    procedures.do(Said(f"{name}: {type(outcome).__name__}"))


def waiting(procedures: Procedures, promise: Promise[Any], name: str) -> Procedure[None]:
    outcome = yield from outcome_of(promise)
    procedures.do(Said(f"{name} got {outcome}"))


# --- starting and waiting -------------------------------------------------------------------------


def test_effects_come_in_the_order_in_which_they_were_decided(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        procedures.do(Said("first"), Said("second"))
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        procedures.do(Said("last"))

    effects = procedures.start(OWNER, procedure(), 1.0)
    assert effects == [Said("first"), Said("second"), Ask(DIRECTORY, Done(), 1, 5.0)]
    assert procedures.on_answer(1, Done(), 2.0) == [Said("last")]
    assert procedures.whereabouts() == {}


def test_each_wait_may_change_the_time(procedures: Procedures) -> None:
    times = []

    def procedure() -> Procedure[None]:
        times.append(procedures.now)
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        times.append(procedures.now)

    (question_id,) = question_ids(procedures.start(OWNER, procedure(), 1.0))
    procedures.on_answer(question_id, Done(), 4.5)
    assert times == [1.0, 4.5]


def test_an_owner_has_one_procedure_at_a_time(procedures: Procedures) -> None:
    procedures.start(OWNER, asking(procedures), 1.0)
    with pytest.raises(AssertionError):
        procedures.start(OWNER, asking(procedures), 1.0)
    procedures.stop(OWNER, 1.0)
    assert question_ids(procedures.start(OWNER, asking(procedures), 1.0)) == [2]


def test_a_runner_without_procedures_is_still_true() -> None:
    assert Procedures()


def test_a_procedure_that_raises_is_not_caught(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        raise LookupError

    (question_id,) = question_ids(procedures.start(OWNER, procedure(), 1.0))
    with pytest.raises(LookupError):
        procedures.on_answer(question_id, Done(), 2.0)


# --- promises -------------------------------------------------------------------------------------


def test_several_that_wait_for_one_promise_go_on_in_their_order(procedures: Procedures) -> None:
    promise = Promise[int]()
    for name in ("ann", "bob", "cleo"):
        procedures.start(name, waiting(procedures, promise, name), 1.0)
    procedures.stop("bob", 1.5)
    assert promise.is_awaited
    assert said(procedures.settle(promise, 7, 2.0)) == ["ann got 7", "cleo got 7"]
    assert not promise.is_awaited


def test_a_promise_that_is_settled_is_not_waited_for(procedures: Procedures) -> None:
    promise = Promise[int]()
    assert procedures.settle(promise, 7, 1.0) == []
    assert said(procedures.start(OWNER, waiting(procedures, promise, "late"), 2.0)) == [
        "late got 7"
    ]


def test_a_promise_is_settled_once(procedures: Procedures) -> None:
    promise = Promise[int]()
    procedures.settle(promise, 7, 1.0)
    with pytest.raises(AssertionError):
        procedures.settle(promise, 8, 1.0)


def test_settling_inside_a_procedure_only_queues(procedures: Procedures) -> None:
    promise = Promise[int]()

    def settling() -> Procedure[None]:
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        assert procedures.settle(promise, 7, procedures.now) == []
        procedures.do(Said("settled"))

    procedures.start("waits", waiting(procedures, promise, "waits"), 1.0)
    (question_id,) = question_ids(procedures.start("settles", settling(), 1.0))
    assert said(procedures.on_answer(question_id, Done(), 2.0)) == ["settled", "waits got 7"]


def test_a_procedure_may_settle_what_it_waits_for_next(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        promise = Promise[int]()
        assert procedures.settle(promise, 7, procedures.now) == []
        yield from waiting(procedures, promise, "itself")

    assert said(procedures.start(OWNER, procedure(), 1.0)) == ["itself got 7"]


def test_a_procedure_may_start_another_which_runs_when_it_waits(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        assert procedures.start("other", asking(procedures), procedures.now) == []
        procedures.do(Said("started"))
        yield from ask(DIRECTORY, Done(), Done, 5.0)

    effects = procedures.start(OWNER, procedure(), 1.0)
    assert [type(effect) for effect in effects] == [Said, Ask, Ask]
    assert list(procedures.whereabouts()) == [OWNER, "other"]


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Done(), "asked: Done"),
        (Refused(code=ErrorCode.BUSY), "asked: Refused"),
        (Failed(ErrorCode.UNREACHABLE), "asked: Failed"),
        (Joined(generation=bytes(16)), "asked: Failed"),
    ],
)
def test_an_answer_is_what_was_asked_for_or_a_refusal_or_a_failure(
    procedures: Procedures, outcome: Message, expected: str
) -> None:
    (question_id,) = question_ids(procedures.start(OWNER, asking(procedures), 1.0))
    assert said(procedures.on_answer(question_id, outcome, 2.0)) == [expected]


def test_an_answer_of_another_type_is_as_good_as_none(procedures: Procedures) -> None:
    outcomes = []

    def procedure() -> Procedure[None]:
        outcomes.append((yield from ask(DIRECTORY, Done(), Done, 5.0)))

    (question_id,) = question_ids(procedures.start(OWNER, procedure(), 1.0))
    procedures.on_answer(question_id, Joined(generation=bytes(16)), 2.0)
    assert outcomes == [Failed(ErrorCode.UNANSWERED, "Joined is no answer to this")]


def test_nothing_follows_an_unknown_question_or_a_second_answer(procedures: Procedures) -> None:
    (question_id,) = question_ids(procedures.start(OWNER, asking(procedures), 1.0))
    assert procedures.on_answer(question_id + 1, Done(), 2.0) == []
    assert said(procedures.on_answer(question_id, Done(), 2.0)) == ["asked: Done"]
    assert procedures.on_answer(question_id, Done(), 3.0) == []


def test_nothing_follows_an_answer_after_its_asker_was_stopped(procedures: Procedures) -> None:
    (question_id,) = question_ids(procedures.start(OWNER, asking(procedures), 1.0))
    assert procedures.stop(OWNER, 2.0) == []
    assert procedures.on_answer(question_id, Done(), 3.0) == []


def test_a_shared_question_is_asked_once_and_outlives_its_first_asker(
    procedures: Procedures,
) -> None:
    shared = question(DIRECTORY, Done(), Done, 5.0)
    (question_id,) = question_ids(procedures.start("ann", waiting(procedures, shared, "ann"), 1.0))
    assert procedures.start("bob", waiting(procedures, shared, "bob"), 1.0) == []
    procedures.stop("ann", 2.0)
    assert said(procedures.on_answer(question_id, Done(), 3.0)) == [f"bob got {Done()}"]


def test_passwords_accounts_and_programs_are_asked_for_alike(procedures: Procedures) -> None:
    def start(question_id: int) -> StartProgram:
        return StartProgram(1, "ann", "sys-ann", "", "", 80, 24, "xterm", question_id)

    def procedure() -> Procedure[None]:
        proved = yield from verify("ann", b"secret", "192.0.2.7")
        known = yield from look_up("ann")
        started = yield from start_program(start)
        procedures.do(Said(f"{proved.accepted} {known.system_user} {started}"))

    assert procedures.start(OWNER, procedure(), 1.0) == [Verify("ann", b"secret", 1, "192.0.2.7")]
    assert procedures.on_answer(1, Verified(True), 1.0) == [LookUp("ann", 2)]
    assert procedures.on_answer(2, Verified(True, "sys-ann"), 1.0) == [start(3)]
    failed = ProgramFailed("no shell")
    assert said(procedures.on_answer(3, failed, 1.0)) == [f"True sys-ann {failed}"]


def test_a_program_that_started_is_an_outcome_too(procedures: Procedures) -> None:
    outcomes = []

    def procedure() -> Procedure[None]:
        outcomes.append((yield from start_program(lambda question_id: _start(question_id))))

    procedures.start(OWNER, procedure(), 1.0)
    procedures.on_answer(1, ProgramStarted(pid=5), 1.0)
    assert outcomes == [ProgramStarted(pid=5)]


def _start(question_id: int) -> StartProgram:
    return StartProgram(1, "ann", "sys-ann", "", "", 80, 24, "xterm", question_id)


# --- the first of several -----------------------------------------------------------------------


def first_of(
    procedures: Procedures, promise: Promise[Any], asked: Question[Any]
) -> Procedure[None]:
    yield promise, asked
    procedures.do(Said(f"promise {promise.is_settled}, question {asked.is_settled}"))
    outcome = yield from outcome_of(asked)
    procedures.do(Said(type(outcome).__name__))


def test_of_two_the_first_goes_on_and_the_question_stays_asked(procedures: Procedures) -> None:
    promise, asked = Promise[int](), question(DIRECTORY, Done(), Done, 5.0)
    (question_id,) = question_ids(
        procedures.start(OWNER, first_of(procedures, promise, asked), 1.0)
    )
    first = procedures.settle(promise, 7, 2.0)
    assert first == [Said("promise True, question False")]
    assert said(procedures.on_answer(question_id, Done(), 3.0)) == ["Done"]


def test_of_two_the_answer_may_be_first(procedures: Procedures) -> None:
    promise, asked = Promise[int](), question(DIRECTORY, Done(), Done, 5.0)
    (question_id,) = question_ids(
        procedures.start(OWNER, first_of(procedures, promise, asked), 1.0)
    )
    effects = procedures.on_answer(question_id, Done(), 2.0)
    assert said(effects) == ["promise False, question True", "Done"]
    assert not promise.is_awaited


def test_both_in_one_wake_up_resume_once(procedures: Procedures) -> None:
    promise, other = Promise[int](), Promise[int]()
    resumed = []

    def procedure() -> Procedure[None]:
        yield promise, other
        resumed.append((promise.is_settled, other.is_settled))
        yield from ask(DIRECTORY, Done(), Done, 5.0)

    def settling_both() -> Procedure[None]:
        procedures.do(*procedures.settle(promise, 1, procedures.now))
        procedures.do(*procedures.settle(other, 2, procedures.now))
        yield from ask(DIRECTORY, Done(), Done, 5.0)

    procedures.start(OWNER, procedure(), 1.0)
    assert len(question_ids(procedures.start("settles", settling_both(), 2.0))) == 2
    assert resumed == [(True, True)]


# --- interruption ---------------------------------------------------------------------------------


def interruptible(procedures: Procedures, promise: Promise[int]) -> Procedure[None]:
    try:
        yield from outcome_of(promise)
    except Interrupted as why:
        procedures.do(Said(f"interrupted: {why}"))


def test_an_interruption_is_raised_where_the_procedure_waits(procedures: Procedures) -> None:
    promise = Promise[int]()
    procedures.start(OWNER, interruptible(procedures, promise), 1.0)
    assert said(procedures.interrupt(OWNER, Interrupted("now"), 2.0)) == ["interrupted: now"]
    assert not promise.is_awaited
    assert procedures.interrupt(OWNER, Interrupted("again"), 3.0) == []


def test_an_interrupted_procedure_may_wait_again(procedures: Procedures) -> None:
    promise = Promise[int]()

    def procedure() -> Procedure[None]:
        yield from interruptible(procedures, promise)
        yield from waiting(procedures, promise, "then")

    procedures.start(OWNER, procedure(), 1.0)
    procedures.interrupt(OWNER, Interrupted("once"), 2.0)
    assert said(procedures.settle(promise, 7, 3.0)) == ["then got 7"]


def test_an_interruption_and_an_outcome_in_one_wake_up_resume_once(procedures: Procedures) -> None:
    promise = Promise[int]()

    def both() -> Procedure[None]:
        procedures.do(*procedures.settle(promise, 7, procedures.now))
        procedures.do(*procedures.interrupt(OWNER, Interrupted("too"), procedures.now))
        yield from ask(DIRECTORY, Done(), Done, 5.0)

    def procedure() -> Procedure[None]:
        yield from interruptible(procedures, promise)
        yield from asking(procedures)

    procedures.start(OWNER, procedure(), 1.0)
    effects = procedures.start("both", both(), 2.0)
    assert said(effects) == ["interrupted: too"]
    assert len(question_ids(effects)) == 2  # and not resumed again at the second wait


def test_a_procedure_that_interrupts_itself_is_interrupted_at_its_next_wait(
    procedures: Procedures,
) -> None:
    promise = Promise[int]()

    def procedure() -> Procedure[None]:
        procedures.do(*procedures.interrupt(OWNER, Interrupted("myself"), procedures.now))
        yield from interruptible(procedures, promise)
        yield from asking(procedures)

    assert said(procedures.start(OWNER, procedure(), 1.0)) == ["interrupted: myself"]
    assert not promise.is_awaited


# --- stopping -------------------------------------------------------------------------------------


def giving_back(
    procedures: Procedures, give_back: Callable[[], list[Effect]] = list
) -> Procedure[None]:
    try:
        yield from ask(DIRECTORY, Done(), Done, 5.0)
    finally:
        procedures.do(Said("given back"), *give_back())


def test_a_finally_may_decide_when_its_procedure_is_stopped(procedures: Procedures) -> None:
    procedures.start(OWNER, giving_back(procedures), 1.0)
    assert procedures.stop(OWNER, 2.0) == [Said("given back")]
    assert procedures.now == 2.0


def test_stopping_twice_gives_back_once(procedures: Procedures) -> None:
    procedures.start(OWNER, giving_back(procedures), 1.0)
    assert said(procedures.stop(OWNER, 2.0)) == ["given back"]
    assert procedures.stop(OWNER, 3.0) == []
    assert procedures.stop("nobody", 3.0) == []


def test_a_procedure_that_is_stopped_waits_no_more(procedures: Procedures) -> None:
    promise = Promise[int]()
    procedures.start(OWNER, waiting(procedures, promise, "waits"), 1.0)
    procedures.stop(OWNER, 2.0)
    assert not promise.is_awaited
    assert procedures.settle(promise, 7, 3.0) == []


def test_who_waits_for_what_a_finally_settles_goes_on(procedures: Procedures) -> None:
    promise = Promise[int]()

    def give_back() -> list[Effect]:
        assert procedures.settle(promise, 7, procedures.now) == []  # only queued
        return []

    procedures.start(OWNER, giving_back(procedures, give_back), 1.0)
    procedures.start("waits", waiting(procedures, promise, "waits"), 1.0)
    assert said(procedures.stop(OWNER, 2.0)) == ["given back", "waits got 7"]


def test_a_procedure_that_stops_itself_ends_at_its_next_wait(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        try:
            assert procedures.stop(OWNER, procedures.now) == []
            procedures.do(Said("said Goodbye"))
            yield from ask(DIRECTORY, Done(), Done, 5.0)
            procedures.do(Said("never"))
        finally:
            procedures.do(Said("given back"))

    assert procedures.start(OWNER, procedure(), 1.0) == [Said("said Goodbye"), Said("given back")]
    assert procedures.whereabouts() == {}
    assert procedures.on_answer(1, Done(), 2.0) == []


def test_a_procedure_that_stops_itself_ends_even_where_nothing_is_to_be_waited_for(
    procedures: Procedures,
) -> None:
    def procedure() -> Procedure[None]:
        settled = Promise[int]()
        procedures.do(*procedures.settle(settled, 7, procedures.now))
        procedures.do(*procedures.stop(OWNER, procedures.now))
        yield (settled,)
        procedures.do(Said("never"))

    assert procedures.start(OWNER, procedure(), 1.0) == []


def test_a_procedure_that_stops_itself_may_just_end(procedures: Procedures) -> None:
    def procedure() -> Procedure[None]:
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        procedures.do(*procedures.stop(OWNER, procedures.now), Said("done"))

    (question_id,) = question_ids(procedures.start(OWNER, procedure(), 1.0))
    assert said(procedures.on_answer(question_id, Done(), 2.0)) == ["done"]
    assert procedures.stop(OWNER, 3.0) == []


def test_one_procedure_may_stop_another_which_was_about_to_go_on(procedures: Procedures) -> None:
    promise = Promise[int]()

    def stopping() -> Procedure[None]:
        yield from outcome_of(promise)
        procedures.do(*procedures.stop("second", procedures.now), Said("stopped it"))

    def interrupting() -> Procedure[None]:
        yield from outcome_of(promise)
        procedures.do(*procedures.interrupt("second", Interrupted("late"), procedures.now))

    procedures.start("interrupts", interrupting(), 1.0)
    procedures.start("first", stopping(), 1.0)
    procedures.start("second", waiting(procedures, promise, "second"), 1.0)
    assert said(procedures.settle(promise, 7, 2.0)) == ["stopped it"]


def test_an_owner_that_is_stopped_may_begin_anew_at_once(procedures: Procedures) -> None:
    def anew() -> Procedure[None]:
        yield from ask(DIRECTORY, Done(), Done, 5.0)
        procedures.do(*procedures.stop(OWNER, procedures.now))
        again = asking(procedures, name="again")
        procedures.do(*procedures.start(OWNER, again, procedures.now))

    procedures.start(OWNER, anew(), 1.0)
    (question_id,) = question_ids(procedures.on_answer(1, Done(), 2.0))
    assert said(procedures.on_answer(question_id, Done(), 3.0)) == ["again: Done"]


# --- an inbox -------------------------------------------------------------------------------------


def test_a_message_is_taken_once_and_only_while_it_is_expected(procedures: Procedures) -> None:
    inbox = Inbox()
    message = LicenseStored(license_id=bytes(16))
    assert inbox.take(message) is None

    def procedure() -> Procedure[None]:
        stored = yield from inbox.hear(LicenseStored)
        procedures.do(Said(f"heard {len(stored.license_id)}"))

    procedures.start(OWNER, procedure(), 1.0)
    assert inbox.take(ResizeSession(columns=80, rows=24)) is None
    promise = inbox.take(message)
    assert promise is not None
    assert inbox.take(message) is None
    assert said(procedures.settle(promise, message, 2.0)) == ["heard 16"]


# --- whereabouts ----------------------------------------------------------------------------------


def test_the_whereabouts_name_function_and_line_of_each_wait(procedures: Procedures) -> None:
    def outer() -> Procedure[None]:
        yield from asking(procedures)

    procedures.start("ann", outer(), 1.0)
    procedures.start("bob", asking(procedures), 1.0)
    places = {
        owner: [place.rsplit(".", 1)[-1].split(":")[0] for place in frames]
        for owner, frames in procedures.whereabouts().items()
    }
    assert places == {"ann": ["outer", "asking", "outcome_of"], "bob": ["asking", "outcome_of"]}
    line = asking.__code__.co_firstlineno + 1
    assert procedures.whereabouts()["bob"][0] == f"asking:{line}"
