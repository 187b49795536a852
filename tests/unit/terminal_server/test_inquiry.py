"""In which order license servers are asked, and when the next one is."""

from __future__ import annotations

import pytest

from daemons.effects import Ask, Dial, Failed, Outcome
from daemons.terminal_server.inquiry import ASKING_SECONDS
from tests.unit.terminal_server.scenario import LS_A, LS_B, Client, Scene, issued, token
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseAccepted, LicenseKind, Refused

UNANSWERED = Failed(ErrorCode.UNANSWERED)
NEXT_SERVER_MAY_HELP = [
    Refused(code=ErrorCode.SERVER_NOT_SERVED),
    Refused(code=ErrorCode.TOO_MANY_DEVICES),
    Refused(code=ErrorCode.LEDGER_FULL),
    UNANSWERED,
    Failed(ErrorCode.UNREACHABLE),
    Failed(ErrorCode.CONNECTION_LOST),
]


def asking() -> tuple[Scene, Client]:
    """A device without a token, of two license servers the chosen one is being asked."""
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    client = scene.connect()
    client.show()
    return scene, client


def asked(scene: Scene) -> list[str]:
    return [ask.endpoint.host for ask in scene.opened(Ask)]


def test_the_chosen_license_server_is_asked_first() -> None:
    scene, _ = asking()
    assert asked(scene) == ["ls-a.lab"]


@pytest.mark.parametrize("outcome", NEXT_SERVER_MAY_HELP)
def test_the_next_is_asked_when_one_does_not_answer_or_cannot_help(outcome: Outcome) -> None:
    scene, client = asking()
    scene.answer(Ask, outcome)
    assert asked(scene) == ["ls-b.lab"]
    scene.answer(Ask, issued(token(LicenseKind.TEMPORARY, issuer=LS_B), LS_B))
    client.store()
    assert client.last(LicenseAccepted).kind is LicenseKind.TEMPORARY


def test_a_decision_about_the_device_is_not_taken_to_another_license_server() -> None:
    scene, client = asking()
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    assert asked(scene) == []
    assert client.code is ErrorCode.NO_LICENSE


def test_when_nobody_answers_discovery_restarts_and_those_found_are_asked() -> None:
    scene, client = asking()
    scene.lose_links()
    scene.answer(Ask, UNANSWERED)
    scene.answer(Ask, UNANSWERED)
    assert [dial.endpoint.host for dial in scene.opened(Dial)] == ["ls-a.lab", "ls-b.lab"]
    scene.answer(Dial, Failed(ErrorCode.UNREACHABLE))
    scene.reach(scene.open_effect(Dial).endpoint)
    assert asked(scene) == ["ls-b.lab"]


def test_discovery_restarts_only_once_for_a_connection() -> None:
    scene, client = asking()
    for _ in range(4):
        scene.answer(Ask, UNANSWERED)
    closed = client.closed
    assert closed is not None
    assert closed.code is ErrorCode.NO_LICENSE_SERVER
    assert "ls-a, ls-b" in closed.detail


def test_license_servers_that_refuse_are_not_searched_for() -> None:
    scene, client = asking()
    scene.answer(Ask, Refused(code=ErrorCode.SERVER_NOT_SERVED))
    scene.answer(Ask, Refused(code=ErrorCode.LEDGER_FULL, detail="full", retry_after_seconds=60))
    closed = client.closed
    assert closed is not None
    assert closed.code is ErrorCode.NO_LICENSE_SERVER
    assert closed.retry_after_seconds == 60


def test_an_inquiry_ends_while_the_device_still_waits() -> None:
    scene, client = asking()
    scene.now += ASKING_SECONDS
    scene.answer(Ask, UNANSWERED)
    assert client.code is ErrorCode.NO_LICENSE_SERVER
    assert ASKING_SECONDS + 2 * limits.REQUEST_SECONDS <= limits.LICENSING_SECONDS
