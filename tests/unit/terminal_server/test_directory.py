"""The link to the session directory."""

from __future__ import annotations

from typing import Any

import pytest

from daemons import events
from daemons.effects import Ask, Failed, StartProgram
from daemons.terminal_server.records import SessionRecord
from tests.unit.terminal_server.scenario import (
    DIRECTORY,
    GENERATION,
    NAME,
    NOW,
    PHONE,
    SIGNATURE,
    Scene,
    of,
    questions,
    told,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    LogonAccepted,
    PlaceSession,
    Refused,
    RemoveSession,
    SessionPlaced,
    SessionState,
    SyncSessions,
    UpdateSession,
)

JOINED = Joined(generation=GENERATION)
UNREACHABLE = Failed(ErrorCode.UNREACHABLE)


def with_sessions(count: int) -> Scene:
    """A host that has just started and keeps so many sessions of an earlier life."""
    records = [
        SessionRecord(
            session_id=number,
            user_name=f"user{number}",
            system_user="sys",
            application="",
            state=SessionState.DISCONNECTED,
            created_at=NOW,
            disconnected_at=NOW,
            placement=number,
            columns=80,
            rows=24,
            device_id=b"",
            device_name="",
            attachment=1,
            generation=1,
            receipt=b"",
        )
        for number in range(1, count + 1)
    ]
    scene = Scene(
        license_servers=(),
        directory=True,
        records={SessionRecord: records},
        running=range(1, count + 1),
        sessions_max=100,
    )
    scene.start()
    scene.reach(DIRECTORY)
    return scene


def parts(scene: Scene) -> list[tuple[int, bool]]:
    """Answer every part of the list as it comes: their sizes, and which was called the last."""
    sent = []
    while scene.opened(Ask):
        sync = scene.open_effect(Ask).message
        assert isinstance(sync, SyncSessions)
        sent.append((len(sync.sessions), sync.last))
        scene.answer(Ask, Done())
    return sent


def test_a_host_joins_at_its_start_and_says_where_it_is() -> None:
    scene = Scene(license_servers=(), directory=True)
    (join,) = questions(scene.start())
    assert isinstance(join, JoinFarm)
    assert (join.address, join.port, join.incarnation) == ("ts1.lab", 5600, b"i" * 16)
    assert (join.weight, join.sessions_max) == (100, 10)
    assert scene.open_effect(Ask).endpoint == DIRECTORY


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, [(0, True)]),
        (25, [(25, True)]),
        (26, [(25, False), (1, True)]),
        (60, [(25, False), (25, False), (10, True)]),
    ],
)
def test_the_whole_list_is_sent_in_parts_of_at_most_25(count: int, expected: list[Any]) -> None:
    scene = with_sessions(count)
    scene.answer(Ask, JOINED)
    assert parts(scene) == expected


def test_every_session_is_in_the_list_once() -> None:
    scene = with_sessions(30)
    scene.answer(Ask, JOINED)
    parts(scene)
    syncs = [m for m in questions(scene.log) if isinstance(m, SyncSessions)]
    assert [row.session_id for sync in syncs for row in sync.sessions] == list(range(1, 31))


def test_changes_during_the_list_are_sent_after_it_in_their_order() -> None:
    scene = with_sessions(30)
    scene.answer(Ask, JOINED)
    assert told(scene.end_program(1)) == []
    client = scene.let_in()
    client.start()
    assert told(scene.log) == []
    scene.answer(Ask, Done())
    updates = told(scene.answer(Ask, Done()))
    assert [type(m) for m in updates] == [RemoveSession, UpdateSession]


def test_a_session_that_started_while_the_host_was_not_joined_is_in_the_list() -> None:
    scene = Scene(directory=True)
    scene.start()
    session_id = scene.let_in().start()
    scene.reach(DIRECTORY)
    (sync,) = questions(scene.answer(Ask, JOINED))
    assert isinstance(sync, SyncSessions)
    assert [row.session_id for row in sync.sessions] == [session_id]


def test_commands_and_starting_sessions_are_not_in_the_list() -> None:
    scene = Scene(directory=True)
    scene.start()
    scene.let_in().start(command="uptime")
    scene.let_in(PHONE).log_on("bob")
    scene.reach(DIRECTORY)
    (sync,) = questions(scene.answer(Ask, JOINED))
    assert isinstance(sync, SyncSessions)
    assert sync.sessions == []


def test_logons_do_not_wait_for_a_directory_that_is_synchronizing() -> None:
    scene = with_sessions(30)
    scene.answer(Ask, JOINED)
    scene.let_in().log_on()
    assert scene.opened(StartProgram)


def test_pauses_before_joining_again_double_up_to_their_limit() -> None:
    scene = Scene(license_servers=(), directory=True)
    scene.start()
    pauses = []
    for _ in range(7):
        scene.answer(Ask, UNREACHABLE)
        deadline = scene.core.next_deadline()
        assert deadline is not None
        pauses.append(deadline - scene.now)
        scene.wait(deadline - scene.now)
    full = [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert all(whole / 2 <= pause <= whole for pause, whole in zip(pauses, full, strict=True))


def test_two_hosts_do_not_come_back_in_the_same_instant() -> None:
    scenes = [Scene(license_servers=(), directory=True, seed=seed) for seed in (1, 2)]
    for scene in scenes:
        scene.start()
        scene.answer(Ask, UNREACHABLE)
    first, second = (scene.core.next_deadline() for scene in scenes)
    assert first != second


def test_a_lost_link_is_joined_again_and_the_whole_list_is_sent() -> None:
    scene = with_sessions(3)
    scene.answer(Ask, JOINED)
    parts(scene)
    scene.lose_links()
    scene.wait(limits.REJOIN_SECONDS)
    assert isinstance(scene.open_effect(Ask).message, JoinFarm)
    scene.reach(DIRECTORY)
    scene.answer(Ask, JOINED)
    assert parts(scene) == [(3, True)]


def test_after_a_success_pauses_are_short_again() -> None:
    scene = Scene(license_servers=(), directory=True)
    scene.start()
    for _ in range(4):
        scene.answer(Ask, UNREACHABLE)
        scene.wait(limits.REJOIN_SECONDS_MAX)
    scene.join()
    scene.lose_links()
    deadline = scene.core.next_deadline()
    assert deadline is not None
    assert deadline - scene.now <= limits.REJOIN_SECONDS


def test_while_the_link_is_lost_nothing_is_sent() -> None:
    scene = with_sessions(1)
    scene.answer(Ask, JOINED)
    parts(scene)
    scene.lose_links()
    assert told(scene.end_program(1)) == []


def test_a_part_of_the_list_that_fails_begins_it_anew() -> None:
    scene = with_sessions(30)
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    scene.wait(limits.REJOIN_SECONDS)
    scene.answer(Ask, JOINED)
    assert parts(scene) == [(25, False), (5, True)]


def test_a_directory_that_refuses_is_left_alone_as_long_as_it_says() -> None:
    scene = Scene(license_servers=(), directory=True)
    scene.start()
    effects = scene.answer(Ask, Refused(code=ErrorCode.NOT_PERMITTED, retry_after_seconds=60))
    assert scene.core.next_deadline() == NOW + 60
    (event,) = of(events.DirectoryNotJoined, effects)
    assert (event.address, event.port, event.code) == ("sd.lab", 5602, ErrorCode.NOT_PERMITTED)
    assert event.next_step.startswith("mend what `detail` names")
    assert event.pause_seconds == 60.0


def test_a_directory_that_has_forgotten_this_host_is_joined_again() -> None:
    scene = Scene(directory=True).up()
    scene.let_in().log_on()
    scene.answer(Ask, Refused(code=ErrorCode.NOT_JOINED))
    scene.wait(limits.REJOIN_SECONDS)
    assert isinstance(scene.open_effect(Ask).message, JoinFarm)


def test_more_changes_than_can_be_held_back_begin_the_list_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("daemons.terminal_server.directory.HELD_BACK_MAX", 2)
    scene = with_sessions(30)
    scene.answer(Ask, JOINED)
    for session_id in (1, 2, 3):
        scene.end_program(session_id)
    scene.answer(Ask, Done())
    scene.wait(limits.REJOIN_SECONDS)
    scene.answer(Ask, JOINED)
    assert parts(scene) == [(25, False), (2, True)]


# --- receipts for sessions that began without the directory ---------------------------------------


def begun_without_directory() -> tuple[Scene, int]:
    scene = Scene(directory=True)
    scene.start()
    session_id = scene.let_in().start(application="mail")
    scene.reach(DIRECTORY)
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    return scene, session_id


def test_the_proof_of_a_session_is_exchanged_for_a_receipt_once_the_directory_is_there() -> None:
    scene, session_id = begun_without_directory()
    question = scene.open_effect(Ask).message
    assert isinstance(question, PlaceSession)
    assert (question.user_name, question.application) == ("ann", "mail")
    assert (question.session_id, question.redirected) == (session_id, False)
    assert [proof.signature for proof in question.proof] == [SIGNATURE]
    (update,) = told(scene.answer(Ask, receipt_for(session_id)))
    assert isinstance(update, UpdateSession)
    assert update.session.receipt == b"r" * 32
    record = scene.session(session_id)
    assert record is not None
    assert record.receipt == b"r" * 32


def test_a_receipt_is_asked_for_once() -> None:
    scene, session_id = begun_without_directory()
    scene.answer(Ask, receipt_for(session_id))
    scene.lose_links()
    scene.wait(limits.REJOIN_SECONDS)
    scene.reach(DIRECTORY)
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    assert scene.opened(Ask) == []


def test_a_refused_receipt_is_told_and_not_asked_for_again() -> None:
    scene, session_id = begun_without_directory()
    effects = scene.answer(Ask, Refused(code=ErrorCode.NOT_PERMITTED, detail="too old"))
    assert of(events.ReceiptRefused, effects) == [
        events.ReceiptRefused(session_id=session_id, code=ErrorCode.NOT_PERMITTED, detail="too old")
    ]
    assert scene.opened(Ask) == []


def test_a_directory_that_is_lost_meanwhile_is_shown_the_proof_again() -> None:
    scene, session_id = begun_without_directory()
    scene.lose_links()
    scene.answer(Ask, Failed(ErrorCode.CONNECTION_LOST))
    scene.wait(limits.REJOIN_SECONDS)
    scene.reach(DIRECTORY)
    scene.answer(Ask, JOINED)
    scene.answer(Ask, Done())
    assert isinstance(scene.open_effect(Ask).message, PlaceSession)


def test_no_receipt_is_stored_for_a_session_that_ended_meanwhile() -> None:
    scene, session_id = begun_without_directory()
    scene.end_program(session_id)
    assert told(scene.answer(Ask, receipt_for(session_id))) == []
    assert scene.session(session_id) is None


def receipt_for(session_id: int) -> SessionPlaced:
    return SessionPlaced(
        placement=0,
        host=NAME,
        address="ts1.lab",
        port=5600,
        session_id=session_id,
        receipt=b"r" * 32,
    )


def test_a_farm_of_one_has_no_directory_to_speak_to() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.start()
    assert client.last(LogonAccepted).reattached is False
    assert questions(scene.log) == []
    assert scene.core.next_deadline() == NOW + limits.DISCOVERY_VERIFY_SECONDS
