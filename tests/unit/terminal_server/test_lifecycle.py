"""Sessions from start to end, and the races on the way."""

from __future__ import annotations

from typing import Any

from daemons.effects import (
    Ask,
    Attach,
    Detach,
    Effect,
    EndProgram,
    Persist,
    ProgramFailed,
    ProgramStarted,
    Resize,
    StartProgram,
    Tell,
)
from tests.unit.terminal_server.scenario import (
    LAPTOP,
    NAME,
    NOW,
    PHONE,
    Client,
    Scene,
    names,
    of,
    shape,
    told,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    LogoffSession,
    LogonAccepted,
    LogonRefused,
    LogonStart,
    Refused,
    RemoveSession,
    ResizeSession,
    SessionEnded,
    SessionState,
    UpdateSession,
)

STARTED = ProgramStarted(pid=1)
ACTIVE, DISCONNECTED = SessionState.ACTIVE, SessionState.DISCONNECTED


def running(**fields: Any) -> tuple[Scene, Client, int]:
    """A host with a session of ann's that her client shows."""
    scene = Scene(**fields).up()
    client = scene.let_in()
    client.log_on(columns=100, rows=30)
    if scene.settings.directory:
        scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    scene.answer(StartProgram, STARTED)
    return scene, client, client.last(LogonAccepted).session_id


def test_a_session_is_durable_and_reported_before_its_client_is_told() -> None:
    scene = Scene(directory=True).up()
    client = scene.let_in()
    client.log_on(columns=100, rows=30)
    scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    effects = scene.answer(StartProgram, STARTED)
    shown = ["Persist", "UpdateSession", "NoteShown", "LogonAccepted", "Attach"]
    assert shape(effects) == [*shown, "PlaceSession"]  # which asks for a receipt
    accepted = client.last(LogonAccepted)
    assert (accepted.host, accepted.created_at, accepted.user_name) == (NAME, NOW, "ann")
    assert (accepted.reattached, accepted.attachment) == (False, 1)
    assert of(Attach, effects) == [Attach(client.peer, accepted.session_id, 100, 30, True)]


def test_a_started_session_is_recorded_whole() -> None:
    scene, _, session_id = running()
    record = scene.session(session_id)
    assert record is not None
    assert (record.user_name, record.system_user, record.application) == ("ann", "sys-ann", "")
    assert (record.state, record.created_at, record.disconnected_at) == (ACTIVE, NOW, 0)
    assert (record.columns, record.rows, record.device_id) == (100, 30, LAPTOP.device_id)


def test_a_disconnected_session_goes_on_without_its_client() -> None:
    scene, client, session_id = running(directory=True)
    scene.now += 5
    effects = client.say(DisconnectSession())
    assert shape(effects) == ["Detach", "Persist", "UpdateSession", "Close"]
    assert client.code is ErrorCode.DISCONNECTED_BY_USER
    record = scene.session(session_id)
    assert record is not None
    assert (record.state, record.disconnected_at) == (DISCONNECTED, NOW + 5)


def test_a_lost_client_leaves_its_session_like_one_that_disconnects() -> None:
    scene, client, session_id = running(directory=True)
    assert shape(client.lose()) == ["Detach", "Persist", "UpdateSession"]
    record = scene.session(session_id)
    assert record is not None
    assert record.state is DISCONNECTED


def test_a_reattached_session_keeps_its_age_and_is_not_disconnected_any_more() -> None:
    scene, client, session_id = running()
    client.lose()
    scene.now += 60
    again = scene.let_in(PHONE)
    effects = again.log_on(columns=50, rows=20)
    assert of(Attach, effects) == [Attach(again.peer, session_id, 50, 20, False)]
    accepted = again.last(LogonAccepted)
    assert (accepted.created_at, accepted.reattached) == (NOW, True)
    record = scene.session(session_id)
    assert record is not None
    assert (record.state, record.created_at, record.disconnected_at) == (ACTIVE, NOW, 0)
    assert record.device_id == PHONE.device_id


def test_a_second_client_takes_the_session_and_the_first_is_told() -> None:
    scene, first, session_id = running(directory=True)
    scene.answer(Ask, Refused(code=ErrorCode.BUSY))  # no receipt
    second = scene.let_in(PHONE)
    second.log_on()
    effects = scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    assert shape(effects) == [
        "Detach",
        "Close",
        "Persist",
        "UpdateSession",
        "NoteShown",
        "LogonAccepted",
        "Attach",
    ]
    assert first.code is ErrorCode.DISCONNECTED_BY_OTHER
    assert first.lose() == []


def test_what_a_client_still_says_while_it_is_sent_away_is_ignored() -> None:
    scene, first, session_id = running()
    scene.let_in(PHONE).log_on()
    assert first.say(LogoffSession()) == []
    assert first.say(ResizeSession(columns=1, rows=1)) == []


def test_a_resize_reaches_the_program_and_is_recorded_with_the_next_transition() -> None:
    scene, client, session_id = running(directory=True)
    effects = client.say(ResizeSession(columns=132, rows=50))
    assert effects == [Resize(session_id, 132, 50)]
    client.lose()
    record = scene.session(session_id)
    assert record is not None
    assert (record.columns, record.rows) == (132, 50)


def test_a_logoff_ends_the_program_and_the_client_sees_the_end() -> None:
    scene, client, session_id = running(directory=True)
    effects = client.say(LogoffSession())
    assert of(EndProgram, effects) == [EndProgram(session_id)]
    (update,) = told(effects)
    assert isinstance(update, UpdateSession)
    assert update.session.state is SessionState.RESET
    assert client.code is None
    ended = scene.end_program(session_id, 129)
    assert shape(ended) == ["SessionEnded", "Close", "Persist", "RemoveSession"]
    assert client.last(SessionEnded).exit_status == 129
    assert client.code is ErrorCode.LOGGED_OFF
    assert scene.session(session_id) is None


def test_a_second_logoff_asks_for_nothing_more() -> None:
    _, client, _ = running()
    client.say(LogoffSession())
    assert client.say(LogoffSession()) == []


def test_a_client_lost_during_logoff_leaves_no_disconnected_session() -> None:
    scene, client, session_id = running()
    client.say(LogoffSession())
    assert client.lose() == [Detach(session_id)]
    assert shape(scene.end_program(session_id)) == ["Persist"]
    assert scene.session(session_id) is None


def test_a_logon_during_logoff_gets_a_session_of_its_own() -> None:
    scene, client, session_id = running()
    client.say(LogoffSession())
    again = scene.let_in(PHONE)
    assert again.start() != session_id
    scene.end_program(session_id)
    third = scene.let_in()
    third.log_on()
    assert third.last(LogonAccepted).session_id == again.last(LogonAccepted).session_id


def test_the_programs_end_closes_its_client_with_the_exit_status() -> None:
    scene, client, session_id = running()
    scene.end_program(session_id, 3)
    assert client.last(SessionEnded).exit_status == 3
    assert client.code is ErrorCode.LOGGED_OFF


def test_a_session_that_ends_while_nobody_shows_it_is_removed() -> None:
    scene, client, session_id = running(directory=True)
    client.lose()
    effects = scene.end_program(session_id)
    assert shape(effects) == ["Persist", "RemoveSession"]
    (removed,) = told(effects)
    assert isinstance(removed, RemoveSession)
    assert (removed.session_id, removed.user_name) == (session_id, "ann")


def test_the_end_of_an_unknown_program_means_nothing() -> None:
    assert Scene().up().end_program(99) == []


# --- while a session is starting ------------------------------------------------------------------


def starting(**fields: Any) -> tuple[Scene, Client, int]:
    scene = Scene(**fields).up()
    client = scene.let_in()
    client.log_on()
    if scene.settings.directory:
        scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    return scene, client, scene.open_effect(StartProgram).session_id


def test_a_session_whose_client_is_lost_while_it_starts_is_left_disconnected() -> None:
    scene, client, session_id = starting(directory=True)
    assert client.lose() == []
    effects = scene.answer(StartProgram, STARTED)
    assert shape(effects) == ["Detach", "Persist", "UpdateSession", "PlaceSession"]
    scene.answer(Ask, Refused(code=ErrorCode.BUSY))  # no receipt
    record = scene.session(session_id)
    assert record is not None
    assert (record.state, record.disconnected_at) == (DISCONNECTED, NOW)
    again = scene.let_in()
    again.log_on()
    scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    assert again.last(LogonAccepted).session_id == session_id


def test_a_client_that_misbehaves_while_its_session_starts_is_like_one_that_is_lost() -> None:
    scene, client, session_id = starting()
    client.say(LogonStart(user_name="ann"))
    assert client.code is ErrorCode.OUT_OF_ORDER
    scene.answer(StartProgram, STARTED)
    record = scene.session(session_id)
    assert record is not None
    assert record.state is DISCONNECTED


def test_a_program_that_ends_before_its_start_is_reported_leaves_no_session() -> None:
    scene, client, session_id = starting()
    assert scene.end_program(session_id, 7) == []
    effects = scene.answer(StartProgram, STARTED)
    assert shape(effects) == ["SessionEnded", "Close"]
    assert client.last(SessionEnded).exit_status == 7
    assert scene.session(session_id) is None
    assert scene.let_in(PHONE).start() != session_id


def test_all_who_wait_for_a_start_hear_that_it_failed() -> None:
    scene, first, _ = starting()
    second = scene.let_in(PHONE)
    second.log_on()
    scene.answer(StartProgram, ProgramFailed("no such shell"))
    codes = [client.last(LogonRefused).code for client in (first, second)]
    assert codes == [ErrorCode.PROGRAM_FAILED] * 2


def test_of_two_who_wait_the_lost_one_is_forgotten() -> None:
    scene, first, session_id = starting()
    second = scene.let_in(PHONE)
    second.log_on()
    first.lose()
    effects = scene.answer(StartProgram, STARTED)
    assert of(Attach, effects) == [Attach(second.peer, session_id, 80, 24, True)]


def test_a_failed_start_after_its_client_is_lost_is_told_to_nobody() -> None:
    scene, client, _ = starting()
    client.lose()
    effects = scene.answer(StartProgram, ProgramFailed("no such shell"))
    assert of(Tell, effects) == []


# --- sessions of one command ----------------------------------------------------------------------


def command(**fields: Any) -> tuple[Scene, Client, int, list[Effect]]:
    scene = Scene(**fields).up()
    client = scene.let_in()
    effects = client.log_on(command="uptime")
    effects += scene.answer(StartProgram, STARTED)
    return scene, client, client.last(LogonAccepted).session_id, effects


def test_a_command_is_neither_recorded_nor_reported_and_cannot_be_resumed() -> None:
    scene, client, session_id, effects = command(directory=True)
    assert scene.session(session_id) is None
    assert told(effects) == []
    assert client.last(LogonAccepted).attachment == 0


def test_the_programs_of_a_command_end_with_its_connection() -> None:
    scene, client, session_id, _ = command(directory=True)
    effects = client.lose()
    assert shape(effects) == ["Detach", "EndProgram"]
    assert shape(scene.end_program(session_id)) == []


def test_a_command_whose_client_is_lost_while_it_starts_is_ended() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.log_on(command="uptime")
    client.lose()
    assert shape(scene.answer(StartProgram, STARTED)) == ["EndProgram"]


def test_a_commands_client_hears_its_exit_status() -> None:
    scene, client, session_id, _ = command()
    assert shape(scene.end_program(session_id, 2)) == ["SessionEnded", "Close"]
    assert client.last(SessionEnded).exit_status == 2


def test_a_command_is_not_the_users_session() -> None:
    scene, _, session_id, _ = command()
    assert scene.let_in(PHONE).start() != session_id


def test_commands_count_as_sessions() -> None:
    scene, _, _, _ = command(sessions_max=1)
    client = scene.let_in(PHONE)
    client.log_on(command="date")
    assert client.last(LogonRefused).code is ErrorCode.TOO_MANY_SESSIONS


# --- after a restart ----------------------------------------------------------------------------


def test_a_session_that_the_keeper_kept_is_disconnected_and_found_by_its_user() -> None:
    scene, _, session_id = running()
    again = Scene(records=scene.rows(), running=[session_id], now=NOW + 30).up()
    record = again.session(session_id)
    assert record is not None
    assert (record.state, record.disconnected_at) == (DISCONNECTED, NOW + 30)
    client = again.let_in()
    client.log_on()
    accepted = client.last(LogonAccepted)
    assert (accepted.session_id, accepted.created_at) == (session_id, NOW)


def test_a_session_left_before_the_restart_keeps_the_time_it_was_left() -> None:
    scene, client, session_id = running()
    client.lose()
    again = Scene(records=scene.rows(), running=[session_id], now=NOW + 30).up()
    record = again.session(session_id)
    assert record is not None
    assert record.disconnected_at == NOW


def test_a_record_whose_program_is_gone_is_deleted() -> None:
    scene, _, session_id = running()
    again = Scene(records=scene.rows())
    effects = again.start()
    assert [len(persist.delete) for persist in of(Persist, effects)] == [1]
    assert again.session(session_id) is None
    assert "session.lost" in names(effects)


def test_a_program_without_a_record_is_ended() -> None:
    scene = Scene(running=[8, 3])
    effects = scene.start()
    assert of(EndProgram, effects) == [EndProgram(3), EndProgram(8)]
    assert names(effects).count("session.unrecorded") == 2
    assert scene.end_program(3) == []


def test_a_first_start_writes_nothing() -> None:
    assert of(Persist, Scene().start()) == []
