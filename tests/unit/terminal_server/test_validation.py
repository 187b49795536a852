"""When a device's temporary license is validated."""

from __future__ import annotations

import pytest

from daemons import events
from daemons.effects import (
    Ask,
    Failed,
    NotProved,
    ProgramFailed,
    ProgramStarted,
    Prove,
    StartProgram,
)
from tests.unit.terminal_server.scenario import (
    LAPTOP,
    LS_A,
    LS_B,
    Client,
    Scene,
    names,
    of,
    questions,
    shape,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Done, LicenseKind, MarkValidated, Refused

TEMPORARY = LicenseKind.TEMPORARY
STARTED = ProgramStarted(pid=1)


def logging_on() -> tuple[Scene, Client]:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    client = scene.let_in(kind=TEMPORARY)
    client.log_on()
    return scene, client


def test_a_temporary_license_is_validated_once_the_session_is_there() -> None:
    scene, client = logging_on()
    assert scene.opened(Ask) == []
    effects = scene.answer(StartProgram, STARTED)
    assert shape(effects) == ["Persist", "NoteShown", "LogonAccepted", "Attach", "MarkValidated"]
    mark = scene.open_effect(Ask).message
    assert isinstance(mark, MarkValidated)
    assert (mark.device_id, mark.user_name) == (LAPTOP.device_id, "ann")
    assert names(scene.answer(Ask, Done())) == ["device.validated"]


def test_a_full_license_needs_no_validation() -> None:
    scene = Scene().up()
    client = scene.let_in(kind=LicenseKind.FULL)
    client.start()
    assert questions(scene.log) == []


def test_a_wrong_proof_validates_nothing() -> None:
    scene = Scene().up()
    client = scene.let_in(kind=TEMPORARY)
    client.ask_for()
    scene.answer(Prove, NotProved(ErrorCode.LOGON_FAILED))
    assert scene.opened(Ask) == []


def test_a_session_that_did_not_start_validates_nothing() -> None:
    scene, client = logging_on()
    scene.answer(StartProgram, ProgramFailed("no such shell"))
    assert scene.opened(Ask) == []


def test_an_interrupted_logon_validates_nothing() -> None:
    scene, client = logging_on()
    client.lose()
    scene.answer(StartProgram, STARTED)
    assert scene.opened(Ask) == []


def test_a_reattached_session_validates_as_well() -> None:
    scene = Scene().up()
    scene.let_in().start()
    scene.let_in(kind=TEMPORARY).log_on()
    assert isinstance(scene.open_effect(Ask).message, MarkValidated)


def test_another_license_server_is_told_when_one_does_not_answer() -> None:
    scene, client = logging_on()
    scene.answer(StartProgram, STARTED)
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    assert scene.open_effect(Ask).endpoint.host == "ls-b.lab"
    scene.answer(Ask, Done())
    assert scene.opened(Ask) == []


def test_a_validation_that_fails_everywhere_is_made_at_the_next_logon() -> None:
    scene, client = logging_on()
    scene.answer(StartProgram, STARTED)
    refused = Refused(code=ErrorCode.UNKNOWN_LICENSE)
    scene.answer(Ask, refused)
    (event,) = of(events.DeviceNotValidated, scene.answer(Ask, refused))
    assert (event.code, event.asked) == (ErrorCode.UNKNOWN_LICENSE, ("ls-a", "ls-b"))
    client.lose()
    scene.let_in(kind=TEMPORARY).log_on()
    assert isinstance(scene.open_effect(Ask).message, MarkValidated)


def test_one_device_is_validated_once_at_a_time() -> None:
    scene = Scene().up()
    first, second = scene.let_in(kind=TEMPORARY), scene.let_in(kind=TEMPORARY)
    first.start("ann")
    second.start("bob")
    assert [type(ask.message) for ask in scene.opened(Ask)] == [MarkValidated]


def test_validations_under_way_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemons.terminal_server.validation.VALIDATIONS_MAX", 0)
    scene, client = logging_on()
    (event,) = of(events.DeviceNotValidated, scene.answer(StartProgram, STARTED))
    assert event.code is ErrorCode.BUSY
    assert scene.opened(Ask) == []
