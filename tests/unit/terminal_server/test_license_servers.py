"""Discovery of license servers by a terminal server."""

from __future__ import annotations

from collections import Counter

import pytest

from daemons.effects import Answer, Ask, Broadcast, Dial, Endpoint, Failed, Peer
from daemons.settings import Discovery, ServerAddress
from tests.unit.terminal_server.scenario import (
    FARM,
    LS_A,
    LS_B,
    Scene,
    issued,
    notes,
    of,
    token,
)
from tsproto import discovery, limits
from tsproto.discovery import Scope
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, LicenseServers, QueryLicenseServers, Role

UNREACHABLE = Failed(ErrorCode.UNREACHABLE)
IN_WORKGROUP = Discovery(workgroup="lab", retry_seconds=900, verify_seconds=7200)


def searching(*, found: Discovery = IN_WORKGROUP, seed: int = 1) -> Scene:
    scene = Scene(discovery=found, seed=seed)
    scene.start()
    return scene


def endpoint(number: int) -> Endpoint:
    return Endpoint(Role.LICENSE_SERVER, f"10.1.0.{number}", 5601, f"ls-{number}")


def answers(
    scene: Scene, *numbers: int, scope: tuple[Scope, str] = (Scope.WORKGROUP, "lab")
) -> None:
    """License servers 1, 2, … answer the last query."""
    query = of(Broadcast, scene.log)[-1].datagram
    for number in numbers:
        answer = discovery.answer(
            query, farm=FARM, name=f"ls-{number}", port=5601, scopes=[scope], instance=b"x"
        )
        assert answer is not None
        scene.core.on_datagram(f"10.1.0.{number}", limits.DISCOVERY_PORT, answer, scene.now)


def known(scene: Scene) -> list[tuple[str, str, bool]]:
    (answer,) = of(Answer, scene.ask_as_administrator(QueryLicenseServers()))
    assert isinstance(answer.message, LicenseServers)
    return [(row.name, row.found, row.chosen) for row in answer.message.servers]


def dialled(scene: Scene) -> list[Endpoint]:
    return [dial.endpoint for dial in scene.opened(Dial)]


def test_a_configured_list_is_dialled_and_nothing_is_ever_broadcast() -> None:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    scene.wait(30 * 86_400)
    assert of(Broadcast, scene.log) == []
    assert known(scene) == [("ls-a", "list", True), ("ls-b", "list", False)]


def test_of_a_list_the_first_that_is_reached_is_chosen() -> None:
    scene = Scene(license_servers=(LS_A, LS_B))
    scene.start()
    first, second = dialled(scene)
    scene.reach(second)
    assert known(scene) == []  # the first may still be reached
    scene.answer(Dial, UNREACHABLE)
    assert known(scene) == [("ls-b", "list", True)]


def test_a_server_that_is_reached_late_is_known_as_well() -> None:
    scene = Scene(license_servers=(LS_A, LS_B))
    scene.start()
    first, second = dialled(scene)
    scene.reach(first)
    assert known(scene) == [("ls-a", "list", True)]
    scene.reach(second)
    assert known(scene) == [("ls-a", "list", True), ("ls-b", "list", False)]


def test_a_candidate_that_stays_silent_is_given_up() -> None:
    scene = Scene(license_servers=(LS_A, LS_B))
    scene.start()
    scene.reach(dialled(scene)[1])
    scene.wait(limits.DIAL_SECONDS + limits.OPENING_SECONDS)
    assert known(scene) == [("ls-b", "list", True)]


def test_a_broadcast_answer_is_only_a_candidate_until_it_was_dialled() -> None:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert (known(scene), dialled(scene)) == ([], [endpoint(1)])
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_scopes_are_searched_in_order_until_one_answers() -> None:
    scene = searching(found=Discovery(workgroup="lab", domain="corp", site="north"))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    answers(scene, 1, scope=(Scope.DOMAIN, "corp"))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "domain", True)]
    assert len(of(Broadcast, scene.log)) == 2


def test_an_answer_that_nobody_stands_behind_does_not_hide_the_next_scope() -> None:
    scene = searching(found=Discovery(workgroup="lab", domain="corp"))
    answers(scene, 9)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.answer(Dial, UNREACHABLE)
    answers(scene, 1, scope=(Scope.DOMAIN, "corp"))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert dialled(scene) == [endpoint(1)]
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "domain", True)]


def test_a_server_known_before_is_dialled_when_only_forged_answers_come() -> None:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    scene.lose_links()
    scene.wait(7200)
    scene.answer(Dial, UNREACHABLE)  # to verify it; now it is searched
    answers(scene, 9)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert dialled(scene) == [endpoint(9)]
    scene.answer(Dial, UNREACHABLE)
    assert dialled(scene) == [endpoint(1)]
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_a_server_known_before_is_dialled_once_a_search() -> None:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    scene.lose_links()
    scene.wait(7200)
    scene.answer(Dial, UNREACHABLE)  # to verify it
    for _ in range(3):
        assert dialled(scene) == []
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        assert dialled(scene) == [endpoint(1)]
        scene.answer(Dial, UNREACHABLE)
        scene.wait(900)


def test_each_of_those_that_answer_is_chosen_about_equally_often() -> None:
    chosen: Counter[str] = Counter()
    for seed in range(300):
        scene = searching(seed=seed)
        answers(scene, 1, 2, 3)
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        for each in dialled(scene):
            scene.reach(each)
        chosen[known(scene)[0][0]] += 1
    assert sorted(chosen) == ["ls-1", "ls-2", "ls-3"]
    assert all(70 <= count <= 130 for count in chosen.values())


@pytest.mark.parametrize(("seconds", "queries"), [(899, 1), (900, 2)])
def test_a_search_that_found_none_is_repeated_after_a_while(seconds: int, queries: int) -> None:
    scene = searching()
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.wait(seconds)
    assert len(of(Broadcast, scene.log)) == queries


def test_a_chosen_server_whose_link_stands_is_verified_by_it() -> None:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    assert scene.wait(3 * 7200) == []


def test_a_chosen_server_whose_link_is_gone_is_dialled_to_verify_it() -> None:
    scene, peer = with_one_found()
    scene.lose(peer)
    scene.wait(7200)
    assert dialled(scene) == [endpoint(1)]
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "workgroup", True)]
    assert len(of(Broadcast, scene.log)) == 1


def test_a_chosen_server_that_cannot_be_verified_restarts_the_search() -> None:
    scene, peer = with_one_found()
    scene.lose(peer)
    scene.wait(7200)
    effects = scene.answer(Dial, UNREACHABLE)
    assert len(of(Broadcast, effects)) == 1


def test_a_connection_that_needs_a_server_when_none_is_known_starts_a_search_at_once() -> None:
    scene = searching()
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    client = scene.connect()
    assert len(of(Broadcast, client.show())) == 1
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    assert scene.open_effect(Ask).endpoint == endpoint(1)


def test_connections_share_one_search_and_all_go_on_at_its_end() -> None:
    scene = searching()
    first, second = scene.connect(), scene.connect()
    first.show()
    second.show()
    assert len(of(Broadcast, scene.log)) == 1
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert (first.code, second.code) == (ErrorCode.NO_LICENSE_SERVER,) * 2


def test_a_client_lost_during_a_search_asks_nobody() -> None:
    scene = searching()
    client = scene.connect()
    client.show()
    client.lose()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    assert scene.opened(Ask) == []


def test_a_server_that_fails_is_asked_last_afterwards() -> None:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, Failed(ErrorCode.UNANSWERED))
    scene.answer(Ask, issued(token(LicenseKind.TEMPORARY, issuer=LS_B), LS_B))
    assert known(scene) == [("ls-b", "list", True), ("ls-a", "list", False)]


def test_a_server_lost_before_it_was_chosen_is_not_chosen() -> None:
    scene = Scene(license_servers=(LS_A, LS_B))
    scene.start()
    first, second = dialled(scene)
    lost = scene.reach(second)
    scene.lose(lost)
    effects = scene.answer(Dial, UNREACHABLE)
    assert known(scene) == []
    assert notes(effects) == ["license_server.unreachable", "license_server.none_found"]


def test_a_list_that_fails_is_dialled_again_at_the_retry() -> None:
    scene = Scene(
        discovery=Discovery(servers=(ServerAddress(host="ls-a.lab", port=5601),), retry_seconds=60)
    )
    scene.start()
    scene.answer(Dial, UNREACHABLE)
    assert dialled(scene) == []
    scene.wait(60)
    assert len(dialled(scene)) == 1


def with_one_found() -> tuple[Scene, Peer]:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    return scene, scene.reach(endpoint(1))
