"""Cookies: how a device comes back to the session that it was attached to last."""

from __future__ import annotations

import hashlib

import pytest

from daemons.effects import Ask, Attach, LookUp, ProgramStarted, StartProgram, Verified
from tests.unit.terminal_server.scenario import LAPTOP, PHONE, Client, Scene, of, questions, told
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.identity import DeviceKey
from tsproto.messages import Credential, LogoffSession, LogonAccepted, LogonRefused, Refused, Role


def refusal(client: Client) -> tuple[ErrorCode, int]:
    refused = client.last(LogonRefused)
    return refused.code, refused.attempts_left


def started(scene: Scene) -> int:
    """A session of ann's, left by its client."""
    client = scene.let_in()
    client.log_on()
    if scene.settings.directory:
        scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    scene.answer(StartProgram, ProgramStarted(pid=1))
    client.lose()
    return client.last(LogonAccepted).session_id


def cookie_of(scene: Scene) -> bytes:
    """The one that was given last."""
    accepted = [m for m in told(scene.log, Role.CLIENT) if isinstance(m, LogonAccepted)]
    return accepted[-1].cookie


def reconnect(
    scene: Scene,
    session_id: int,
    cookie: bytes,
    device: DeviceKey = LAPTOP,
    user_name: str = "ann",
) -> Client:
    client = scene.let_in(device)
    client.ask_for(
        user_name,
        credential_kind=Credential.RECONNECT,
        credential=cookie,
        session_id=session_id,
    )
    return client


def test_a_cookie_leads_back_to_its_session_without_directory_or_password() -> None:
    scene = Scene(directory=True).up()
    session_id = started(scene)
    client = reconnect(scene, session_id, cookie_of(scene))
    effects = scene.answer(LookUp, Verified(True, "sys-ann"))
    assert questions(effects) == []
    assert [a.session_id for a in of(Attach, effects)] == [session_id]
    assert client.last(LogonAccepted).reattached is True


def test_a_cookie_is_used_once() -> None:
    scene = Scene().up()
    session_id = started(scene)
    cookie = cookie_of(scene)
    reconnect(scene, session_id, cookie)
    scene.answer(LookUp, Verified(True, "sys-ann"))
    assert cookie_of(scene) != cookie
    again = reconnect(scene, session_id, cookie)
    assert refusal(again) == (ErrorCode.TICKET_INVALID, limits.LOGON_ATTEMPTS)


def test_two_who_show_one_cookie_at_once_are_not_both_let_in() -> None:
    scene = Scene().up()
    session_id = started(scene)
    cookie = cookie_of(scene)
    reconnect(scene, session_id, cookie)
    second = reconnect(scene, session_id, cookie)
    scene.answer(LookUp, Verified(True, "sys-ann"))
    scene.answer(LookUp, Verified(True, "sys-ann"))
    assert refusal(second)[0] is ErrorCode.TICKET_INVALID


def test_a_cookie_is_good_after_a_restart_and_only_its_hash_is_kept() -> None:
    scene = Scene().up()
    session_id = started(scene)
    cookie = cookie_of(scene)
    record = scene.session(session_id)
    assert record is not None
    assert record.cookie_hash == hashlib.sha256(cookie).digest()
    again = Scene(records=scene.rows(), running=[session_id]).up()
    client = reconnect(again, session_id, cookie)
    again.answer(LookUp, Verified(True, "sys-ann"))
    assert client.last(LogonAccepted).session_id == session_id


@pytest.mark.parametrize(
    ("device", "user_name", "session"),
    [(PHONE, "ann", 1), (LAPTOP, "bob", 1), (LAPTOP, "ann", 2)],
)
def test_a_cookie_of_another_device_user_or_session_is_invalid(
    device: DeviceKey, user_name: str, session: int
) -> None:
    scene = Scene().up()
    started(scene)
    client = reconnect(scene, session, cookie_of(scene), device, user_name)
    assert refusal(client)[0] is ErrorCode.TICKET_INVALID
    assert scene.opened(LookUp) == []


def test_an_empty_cookie_opens_no_session() -> None:
    scene = Scene().up()
    assert refusal(reconnect(scene, started(scene), b""))[0] is ErrorCode.TICKET_INVALID


def test_a_cookie_takes_the_session_from_its_own_stale_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    session_id = client.start()
    again = reconnect(scene, session_id, cookie_of(scene))
    scene.answer(LookUp, Verified(True, "sys-ann"))
    assert again.last(LogonAccepted).session_id == session_id
    assert client.code is ErrorCode.DISCONNECTED_BY_OTHER


def test_a_cookie_of_a_session_that_is_being_logged_off_is_invalid() -> None:
    scene = Scene().up()
    client = scene.let_in()
    session_id = client.start()
    client.say(LogoffSession())
    again = reconnect(scene, session_id, cookie_of(scene))
    assert refusal(again)[0] is ErrorCode.TICKET_INVALID


def test_a_session_that_ends_while_its_user_reconnects_leaves_the_password() -> None:
    scene = Scene().up()
    session_id = started(scene)
    client = reconnect(scene, session_id, cookie_of(scene))
    scene.end_program(session_id)
    scene.answer(LookUp, Verified(True, "sys-ann"))
    assert refusal(client)[0] is ErrorCode.TICKET_INVALID
