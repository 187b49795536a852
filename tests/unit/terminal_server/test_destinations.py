"""Where an authenticated user is taken."""

from __future__ import annotations

from typing import Any

import pytest

from daemons.effects import Ask, Failed, Outcome, ProgramFailed, ProgramStarted, StartProgram
from daemons.terminal_server.destinations import PLACED_ANEW_MAX
from tests.unit.terminal_server.scenario import (
    GENERATION,
    NAME,
    PHONE,
    Scene,
    questions,
    shape,
    told,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    LogonAccepted,
    LogonRefused,
    PlaceSession,
    Redirect,
    Refused,
    RemoveSession,
    SessionPlaced,
    UpdateSession,
)

STARTED = ProgramStarted(pid=1)
NOT_JOINED = Refused(code=ErrorCode.NOT_JOINED)
JOINED = Joined(generation=GENERATION)
RECEIPT = b"r" * 32


def placed(host: str = NAME, placement: int = 9, session_id: int = 0) -> SessionPlaced:
    return SessionPlaced(
        request_id=3,
        placement=placement,
        host=host,
        address=f"{host}.lab",
        port=5600,
        session_id=session_id,
        receipt=RECEIPT if host == NAME else b"",
    )


def farm(**fields: Any) -> Scene:
    return Scene(directory=True, **fields).up()


def test_the_directory_is_asked_for_the_user_and_application_in_one_question() -> None:
    scene = farm()
    scene.let_in().log_on(application="mail", avoid="ts3")
    ask = scene.open_effect(Ask)
    question = ask.message
    assert isinstance(question, PlaceSession)
    assert (question.user_name, question.application, question.avoid) == ("ann", "mail", "ts3")
    assert (question.session_id, question.redirected) == (0, False)
    assert question.trace_id != ""
    assert ask.timeout_seconds == 3.0


def test_a_session_elsewhere_is_a_redirect_and_starts_nothing_here() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    effects = scene.answer(Ask, placed("ts2", session_id=7))
    assert shape(effects) == ["Redirect"]
    redirect = client.last(Redirect)
    assert (redirect.host, redirect.address, redirect.port) == ("ts2", "ts2.lab", 5600)
    assert redirect.session_id == 7
    assert redirect.request_id == 0  # a step of the client's procedure, and no answer
    assert client.lose() == []


def test_a_place_here_starts_a_session_with_that_placement() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    scene.answer(Ask, placed(placement=9))
    effects = scene.answer(StartProgram, STARTED)
    (update,) = told(effects)
    assert isinstance(update, UpdateSession)
    assert (update.session.placement, update.session.host) == (9, NAME)
    assert update.session.receipt == RECEIPT
    assert client.last(LogonAccepted).reattached is False


def test_a_known_session_here_is_reattached() -> None:
    scene = farm()
    session_id = ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on()
    scene.answer(Ask, placed(placement=10, session_id=session_id))
    accepted = client.last(LogonAccepted)
    assert (accepted.session_id, accepted.reattached) == (session_id, True)
    record = scene.session(session_id)
    assert record is not None
    assert record.placement == 10


def test_a_session_that_has_ended_is_reported_and_the_user_placed_anew() -> None:
    scene = farm()
    scene.let_in().log_on()
    effects = scene.answer(Ask, placed(placement=9, session_id=5))
    (removed,) = told(effects)
    assert isinstance(removed, RemoveSession)
    assert (removed.session_id, removed.placement, removed.user_name) == (5, 9, "ann")
    assert isinstance(scene.open_effect(Ask).message, PlaceSession)


def test_a_directory_that_insists_on_a_session_that_has_ended_is_asked_no_more() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    for _ in range(1 + PLACED_ANEW_MAX):
        scene.answer(Ask, placed(session_id=5))
    scene.answer(StartProgram, STARTED)
    assert client.last(LogonAccepted).reattached is False


def test_nobody_is_led_to_another_users_session() -> None:
    scene = farm()
    session_id = ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on("bob")
    effects = scene.answer(Ask, placed(session_id=session_id))
    assert shape(effects) == ["RemoveSession", "PlaceSession"]


def test_a_session_here_that_the_directory_does_not_know_is_not_doubled() -> None:
    scene = farm()
    session_id = ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on()
    scene.answer(Ask, placed(placement=11, session_id=0))
    assert client.last(LogonAccepted).session_id == session_id
    assert scene.opened(StartProgram) == []


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(ErrorCode.UNANSWERED),
        Failed(ErrorCode.CONNECTION_LOST),
        Refused(code=ErrorCode.BUSY),
    ],
)
def test_a_directory_that_does_not_place_leaves_the_decision_to_this_host(outcome: Outcome) -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    scene.answer(Ask, outcome)
    scene.answer(StartProgram, STARTED)
    record = scene.session(client.last(LogonAccepted).session_id)
    assert record is not None
    assert record.placement == 0


def test_a_directory_that_has_forgotten_this_host_is_joined_at_once_and_asked_again() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    assert questions(scene.answer(Ask, NOT_JOINED)) == [scene.open_effect(Ask).message]
    assert isinstance(scene.open_effect(Ask).message, JoinFarm)
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    assert isinstance(scene.open_effect(Ask).message, PlaceSession)
    scene.answer(Ask, placed("ts2", session_id=7))
    assert client.last(Redirect).host == "ts2"


def test_a_directory_that_forgets_this_host_twice_is_asked_no_more() -> None:
    scene = farm()
    scene.let_in().log_on()
    for outcome in (NOT_JOINED, JOINED, Done(), NOT_JOINED):
        scene.answer(Ask, outcome)
    assert scene.opened(StartProgram)
    assert scene.opened(Ask) == []


def test_logons_that_wait_for_one_join_go_on_together_when_it_fails() -> None:
    scene = farm()
    scene.let_in().log_on()
    scene.let_in(PHONE).log_on("bob")
    scene.answer(Ask, NOT_JOINED)
    scene.answer(Ask, NOT_JOINED)
    assert [type(ask.message) for ask in scene.opened(Ask)] == [JoinFarm]
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    assert len(scene.opened(StartProgram)) == 2


def test_a_client_lost_while_this_host_joins_again_is_not_placed() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    scene.answer(Ask, NOT_JOINED)
    client.lose()
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    assert scene.opened(Ask) == []


def test_a_directory_that_hangs_holds_up_one_logon_only() -> None:
    scene = farm()
    scene.let_in().log_on()
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    scene.let_in(PHONE).log_on("bob")
    assert len(scene.opened(StartProgram)) == 2
    scene.wait(1)
    assert [type(ask.message) for ask in scene.opened(Ask)] == [JoinFarm]
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    scene.let_in().log_on("cleo")
    assert isinstance(scene.open_effect(Ask).message, PlaceSession)


def test_a_directory_that_does_not_place_leaves_a_session_here_to_be_found() -> None:
    scene = farm()
    session_id = ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on()
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    assert client.last(LogonAccepted).session_id == session_id


def test_without_a_link_to_the_directory_nothing_is_waited_for() -> None:
    scene = Scene(directory=True)
    scene.start()
    client = scene.let_in()
    client.start()
    assert client.last(LogonAccepted).reattached is False


def test_without_a_directory_a_user_comes_back_to_the_session_for_the_application() -> None:
    scene = Scene().up()
    shell = scene.let_in().start()
    mail = scene.let_in().start(application="mail")
    again = scene.let_in(PHONE)
    again.log_on(application="mail")
    assert shell != mail == again.last(LogonAccepted).session_id


def test_two_logons_at_once_without_a_directory_share_one_session() -> None:
    scene = Scene().up()
    first, second = scene.let_in(), scene.let_in(PHONE)
    first.log_on()
    second.log_on()
    assert len(scene.opened(StartProgram)) == 1
    scene.answer(StartProgram, STARTED)
    assert second.last(LogonAccepted).reattached is True
    assert first.code is ErrorCode.DISCONNECTED_BY_OTHER


def test_a_client_lost_while_it_is_placed_starts_nothing_and_keeps_the_place_for_another() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    client.lose()
    assert scene.answer(Ask, placed()) == []


def test_a_program_that_cannot_be_started_gives_the_place_back() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on()
    scene.answer(Ask, placed(placement=9))
    effects = scene.answer(StartProgram, ProgramFailed("no PTY is left"))
    refused = client.last(LogonRefused)
    assert refused.code is ErrorCode.PROGRAM_FAILED
    assert "no PTY is left" in refused.detail
    (removed,) = told(effects)
    assert isinstance(removed, RemoveSession)
    assert (removed.session_id, removed.placement) == (0, 9)


def test_a_program_that_cannot_be_started_says_why_in_its_code() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.log_on()
    scene.answer(StartProgram, ProgramFailed("root", ErrorCode.ACCOUNT_UNUSABLE))
    assert client.last(LogonRefused).code is ErrorCode.ACCOUNT_UNUSABLE
    client.start()  # and the client may try again


def test_a_full_host_refuses_a_new_session_and_gives_the_place_back() -> None:
    scene = farm(sessions_max=1)
    ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on("bob")
    effects = scene.answer(Ask, placed(placement=10))
    assert client.last(LogonRefused).code is ErrorCode.TOO_MANY_SESSIONS
    assert [type(m) for m in told(effects)] == [RemoveSession]


def test_a_full_host_still_takes_its_users_back() -> None:
    scene = Scene(sessions_max=1).up()
    session_id = scene.let_in().start()
    client = scene.let_in(PHONE)
    client.log_on()
    assert client.last(LogonAccepted).session_id == session_id


def test_a_command_is_never_placed_by_the_directory() -> None:
    scene = farm()
    effects = scene.let_in().log_on(command="uptime")
    assert shape(effects)[-1] == "StartProgram"
    assert scene.opened(Ask) == []


def test_a_redirected_client_names_the_session_that_it_was_sent_to() -> None:
    scene = farm()
    effects = scene.let_in().log_on(session_id=7, redirected=True)
    (question,) = questions(effects)
    assert isinstance(question, PlaceSession)
    assert (question.session_id, question.redirected) == (7, True)


def test_a_place_for_an_application_that_is_unknown_here_is_given_back() -> None:
    scene = farm()
    client = scene.let_in()
    client.log_on(application="games", redirected=True)
    (removed,) = told(scene.answer(Ask, placed(placement=9)))
    assert isinstance(removed, RemoveSession)
    assert (removed.session_id, removed.placement) == (0, 9)
    assert client.last(LogonRefused).code is ErrorCode.UNKNOWN_APPLICATION


def test_a_session_of_an_earlier_system_user_stays_and_a_new_one_starts_beside_it() -> None:
    scene = farm()
    session_id = ann_has_a_session(scene)
    client = scene.let_in(PHONE)
    client.log_on(system_user="other")
    effects = scene.answer(Ask, placed(placement=12, session_id=session_id))
    assert shape(effects)[-1] == "StartProgram"
    assert told(effects) == []  # the directory is not told that it has ended


def ann_has_a_session(scene: Scene) -> int:
    client = scene.let_in()
    client.log_on()
    scene.answer(Ask, placed(placement=1))
    scene.answer(StartProgram, STARTED)
    client.lose()
    return client.last(LogonAccepted).session_id
