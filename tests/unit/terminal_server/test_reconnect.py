"""How a device comes back to the session that it showed last: by session and attachment."""

from __future__ import annotations

import pytest

from daemons.effects import Ask, Attach, Challenge, NoteShown, ProgramStarted, Prove, StartProgram
from tests.unit.terminal_server.scenario import PHONE, Client, Scene, of, questions
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LogoffSession,
    LogonAccepted,
    LogonRefused,
    LogonStart,
    PlaceSession,
    Refused,
)
from tsproto.user_proof import Method


def started(scene: Scene) -> int:
    """A session of ann's, left by its client."""
    client = scene.let_in()
    client.log_on()
    if scene.settings.directory:
        scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    scene.answer(StartProgram, ProgramStarted(pid=1))
    client.lose()
    accepted = client.last(LogonAccepted)
    assert accepted.attachment == 1
    return accepted.session_id


def resume(scene: Scene, session_id: int, attachment: int = 1, user_name: str = "ann") -> Client:
    client = scene.let_in()
    client.log_on(user_name, session_id=session_id, attachment=attachment)
    return client


def test_a_device_is_shown_its_session_again_without_asking_the_directory() -> None:
    scene = Scene(directory=True).up()
    session_id = started(scene)
    client = scene.let_in()
    effects = client.log_on(session_id=session_id, attachment=1)
    assert questions(effects) == []
    assert [each.session_id for each in of(Attach, effects)] == [session_id]
    accepted = client.last(LogonAccepted)
    assert (accepted.reattached, accepted.attachment) == (True, 2)


def test_a_device_that_lost_the_session_to_another_does_not_take_it_back() -> None:
    scene = Scene().up()
    session_id = started(scene)
    phone = scene.let_in(PHONE)
    phone.log_on()
    laptop = resume(scene, session_id, attachment=1)
    assert laptop.code is ErrorCode.DISCONNECTED_BY_OTHER
    assert phone.code is None
    assert phone.last(LogonAccepted).attachment == 2


def test_the_attachment_is_known_after_a_restart() -> None:
    scene = Scene().up()
    session_id = started(scene)
    again = Scene(records=scene.rows(), running=[session_id]).up()
    client = resume(again, session_id)
    accepted = client.last(LogonAccepted)
    assert (accepted.session_id, accepted.attachment) == (session_id, 2)
    overtaken = resume(again, session_id)
    assert overtaken.code is ErrorCode.DISCONNECTED_BY_OTHER


def test_a_device_takes_its_session_from_its_own_stale_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    session_id = client.start()
    again = resume(scene, session_id)
    assert again.last(LogonAccepted).session_id == session_id
    assert client.code is ErrorCode.DISCONNECTED_BY_OTHER


def test_two_that_resume_at_once_are_not_both_shown_the_session() -> None:
    scene = Scene().up()
    session_id = started(scene)
    first, second = scene.let_in(), scene.let_in()
    first.ask_for(session_id=session_id, attachment=1)
    second.ask_for(session_id=session_id, attachment=1)
    scene.answer(Prove, first.proved())
    scene.answer(Prove, second.proved())
    assert first.last(LogonAccepted).attachment == 2
    assert second.code is ErrorCode.DISCONNECTED_BY_OTHER
    assert first.code is None


@pytest.mark.parametrize("session_id", [2, 99])
def test_a_session_that_is_not_here_is_looked_for_as_at_any_logon(session_id: int) -> None:
    scene = Scene(directory=True).up()
    started(scene)
    client = scene.let_in()
    (question,) = questions(client.log_on(session_id=session_id, attachment=1))
    assert isinstance(question, PlaceSession)
    assert question.session_id == 0  # the directory is not asked for a receipt


def test_nobody_resumes_another_users_session() -> None:
    scene = Scene().up()
    session_id = started(scene)
    scene.let_in().log_on("bob", session_id=session_id, attachment=1)
    assert scene.open_effect(StartProgram).session_id != session_id


def test_a_session_that_is_being_logged_off_is_not_resumed() -> None:
    scene = Scene().up()
    client = scene.let_in()
    session_id = client.start()
    client.say(LogoffSession())
    resume(scene, session_id)
    assert scene.open_effect(StartProgram).session_id != session_id


def test_a_session_of_an_earlier_system_user_is_not_shown() -> None:
    scene = Scene().up()
    session_id = started(scene)
    client = scene.let_in()
    client.log_on(system_user="other", session_id=session_id, attachment=1)
    assert scene.open_effect(StartProgram).session_id != session_id
    scene.answer(StartProgram, ProgramStarted(pid=2))
    record = scene.session(client.last(LogonAccepted).session_id)
    assert record is not None
    assert record.system_user == "other"


def test_a_command_resumes_nothing() -> None:
    scene = Scene().up()
    session_id = started(scene)
    scene.let_in().log_on(session_id=session_id, attachment=1, command="uptime")
    assert scene.open_effect(StartProgram).asked.command == "uptime"


# --- by the device's key alone --------------------------------------------------------------------


def test_the_keeper_is_told_what_the_device_wants_to_resume() -> None:
    scene = Scene().up()
    session_id = started(scene)
    client = scene.let_in()
    client.say(LogonStart(user_name="ann", session_id=session_id, attachment=1))
    asked = scene.open_effect(Challenge)
    assert (asked.session_id, asked.attachment) == (session_id, 1)


def test_the_keeper_is_told_what_is_shown_for_which_proof() -> None:
    scene = Scene().up()
    session_id = started(scene)
    (shown,) = of(NoteShown, scene.let_in().log_on(session_id=session_id, attachment=1))
    assert (shown.session_id, shown.attachment) == (session_id, 2)


def test_a_device_alone_resumes_its_session() -> None:
    scene = Scene().up()
    session_id = started(scene)
    client = scene.let_in()
    client.log_on(session_id=session_id, attachment=1, method=Method.DEVICE)
    assert client.last(LogonAccepted).session_id == session_id


@pytest.mark.parametrize("session_id", [0, 99])
def test_a_device_alone_is_refused_where_there_is_nothing_to_resume(session_id: int) -> None:
    scene = Scene().up()
    started(scene)
    client = scene.let_in()
    client.log_on(session_id=session_id, attachment=1, method=Method.DEVICE)
    refused = client.last(LogonRefused)
    assert (refused.code, refused.attempts_left) == (ErrorCode.LOGON_FAILED, 2)
    assert refused.detail.startswith("the session to resume is not here any more")
    assert scene.opened(StartProgram) == []
