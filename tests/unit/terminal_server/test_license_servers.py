"""Discovery of license servers by a terminal server."""

from __future__ import annotations

from collections import Counter

import pytest

from daemons import events
from daemons.effects import Answer, Ask, Broadcast, Dial, Endpoint, Failed, Outcome, Peer
from daemons.settings import Discovery, ServerAddress
from tests.unit.terminal_server.scenario import FARM, LS_A, LS_B, Scene, issued, names, of, token
from tsproto import discovery, limits
from tsproto.discovery import Scope
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, LicenseServers, QueryLicenseServers, Refused, Role

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
        effects = scene.core.on_datagram(
            f"10.1.0.{number}", limits.DISCOVERY_PORT, answer, scene.now
        )
        scene.feed(effects)


def known(scene: Scene) -> list[tuple[str, str, bool]]:
    (answer,) = of(Answer, scene.ask_as_administrator(QueryLicenseServers()))
    assert isinstance(answer.message, LicenseServers)
    return [(row.name, row.found, row.chosen) for row in answer.message.servers]


def dialled(scene: Scene) -> list[Endpoint]:
    return [dial.endpoint for dial in scene.opened(Dial)]


def fail_dials(scene: Scene) -> None:
    while scene.opened(Dial):
        scene.answer(Dial, UNREACHABLE)


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


def test_a_server_known_before_that_answers_is_chosen_before_forged_answers() -> None:
    for seed in range(8):
        scene = searching(seed=seed)
        answers(scene, 1)
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        scene.reach(endpoint(1))
        scene.lose_links()
        scene.wait(7200)
        scene.answer(Dial, UNREACHABLE)  # to verify it; now it is searched
        answers(scene, *range(2, 2 + limits.DISCOVERY_ANSWERS_MAX), 1)
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        assert len(dialled(scene)) == limits.DISCOVERY_ANSWERS_MAX + 1
        assert dialled(scene)[0] == endpoint(1)
        scene.reach(endpoint(1))  # chosen at once, though forged ones may still be reached
        assert known(scene)[0] == ("ls-1", "workgroup", True)


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


@pytest.mark.parametrize(
    ("found", "searched"),
    [
        (Discovery(), "any scope: none is configured"),
        (Discovery(workgroup="Lab", site="north"), "workgroup lab, site north"),
    ],
)
def test_a_search_that_found_none_says_why_and_what_to_do(found: Discovery, searched: str) -> None:
    scene = searching(found=found)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    event = of(events.LicenseServerNoneFound, scene.log)[0]
    assert (event.candidates, event.detail) == (0, f"no license server answered in {searched}")
    assert event.next_step.startswith("start a license server in a scope of this one's")


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
    assert names(effects) == ["license_server.unreachable", "license_server.none_found"]
    (event,) = of(events.LicenseServerUnreachable, effects)
    assert (event.address, event.port, event.code) == ("ls-a.lab", 5601, ErrorCode.UNREACHABLE)
    (none,) = of(events.LicenseServerNoneFound, effects)
    assert (none.candidates, none.detail) == (2, "no candidate could be reached")
    assert none.next_step.startswith("see the license_server.unreachable")


def test_a_list_that_fails_is_dialled_again_at_the_retry() -> None:
    scene = Scene(
        discovery=Discovery(servers=(ServerAddress(host="ls-a.lab", port=5601),), retry_seconds=60)
    )
    scene.start()
    scene.answer(Dial, UNREACHABLE)
    assert dialled(scene) == []
    scene.wait(60)
    assert len(dialled(scene)) == 1


# --- the first answer -----------------------------------------------------------------------------


def test_the_first_that_answers_is_used_before_the_answers_are_all_in() -> None:
    scene = searching()
    answers(scene, 1)
    assert dialled(scene) == [endpoint(1)]
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "workgroup", True)]
    assert names(scene.log)[-1] == "license_server.in_use"


def test_only_one_is_dialled_before_the_answers_are_all_in() -> None:
    scene = searching()
    answers(scene, 9, 1, 2)
    scene.answer(Dial, UNREACHABLE)
    answers(scene, 3)
    assert dialled(scene) == []
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert sorted(each.name for each in dialled(scene)) == ["ls-1", "ls-2", "ls-3", "ls-9"]


def test_a_forged_first_answer_changes_nothing() -> None:
    scene = searching()
    answers(scene, 9, 1)
    assert names(scene.answer(Dial, UNREACHABLE)) == ["license_server.unreachable"]
    assert known(scene) == []
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    fail_dials(scene)
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_a_forged_first_answer_that_stays_silent_ends_with_the_other_candidates() -> None:
    scene = searching()
    answers(scene, 9, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    scene.wait(limits.DIAL_SECONDS + limits.OPENING_SECONDS)
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_a_first_server_in_use_is_chosen_no_oftener_than_another() -> None:
    chosen: Counter[str] = Counter()
    for seed in range(300):
        scene = searching(seed=seed)
        answers(scene, 1, 2, 3)
        scene.reach(endpoint(1))
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        for each in dialled(scene):
            scene.reach(each)
        chosen[known(scene)[0][0]] += 1
    assert sorted(chosen) == ["ls-1", "ls-2", "ls-3"]
    assert all(70 <= count <= 130 for count in chosen.values())


def test_the_link_of_a_first_server_is_used_again_at_the_choice() -> None:
    scene = searching()
    answers(scene, 1)
    scene.reach(endpoint(1))
    effects = scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert names(effects) == ["license_server.chosen"]
    assert of(Dial, effects) == []


def test_a_first_server_is_in_use_until_the_chosen_one_is_reached() -> None:
    scene = searching(seed=seed_that_chooses(2))
    answers(scene, 1, 2)
    scene.reach(endpoint(1))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert known(scene) == [("ls-1", "workgroup", True)]
    scene.reach(endpoint(2))
    assert known(scene) == [("ls-2", "workgroup", True), ("ls-1", "workgroup", False)]


def test_a_first_server_that_is_reached_when_the_answers_are_in_is_used_as_well() -> None:
    scene = searching(seed=seed_that_chooses(2))
    answers(scene, 1, 2)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(1))
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_a_first_server_that_is_lost_again_is_not_chosen() -> None:
    scene = searching()
    answers(scene, 1, 2)
    scene.lose(scene.reach(endpoint(1)))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(2))
    fail_dials(scene)
    assert known(scene) == [("ls-2", "workgroup", True)]


def test_a_first_server_that_is_lost_again_and_the_only_one_is_known_no_more() -> None:
    scene = searching()
    answers(scene, 1)
    scene.lose(scene.reach(endpoint(1)))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert names(scene.answer(Dial, UNREACHABLE))[-1] == "license_server.none_found"
    assert known(scene) == []


def test_a_host_that_knows_a_server_waits_for_all_answers() -> None:
    scene, peer = with_one_found()
    scene.lose(peer)
    scene.wait(7200)
    scene.answer(Dial, UNREACHABLE)  # to verify it; now it is searched
    answers(scene, 2)
    assert dialled(scene) == []
    assert known(scene) == [("ls-1", "workgroup", True)]


def test_an_answer_that_comes_after_the_others_were_dialled_is_not_dialled() -> None:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    answers(scene, 2)
    assert dialled(scene) == [endpoint(1)]


def test_a_connection_that_waits_for_a_server_asks_the_first() -> None:
    scene = searching()
    client = scene.connect()
    client.show()
    answers(scene, 1, 2)
    scene.reach(endpoint(1))
    assert scene.open_effect(Ask).endpoint == endpoint(1)


@pytest.mark.parametrize(
    "outcome", [Failed(ErrorCode.UNANSWERED), Refused(code=ErrorCode.SERVER_NOT_SERVED)]
)
def test_a_connection_that_the_first_does_not_help_asks_whoever_is_chosen(outcome: Outcome) -> None:
    scene = searching(seed=seed_that_chooses(2))
    client = scene.connect()
    client.show()
    answers(scene, 1, 2)
    scene.reach(endpoint(1))
    scene.answer(Ask, outcome)
    assert (client.code, scene.opened(Ask)) == (None, [])
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(2))
    assert scene.open_effect(Ask).endpoint == endpoint(2)


def test_a_first_server_that_refused_is_not_asked_again() -> None:
    scene = searching()
    client = scene.connect()
    client.show()
    answers(scene, 1)
    scene.reach(endpoint(1))
    scene.answer(Ask, Refused(code=ErrorCode.SERVER_NOT_SERVED))
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    assert scene.opened(Ask) == []
    assert client.code is ErrorCode.NO_LICENSE_SERVER


def test_an_old_dial_that_fails_late_does_not_end_a_new_search() -> None:
    scene = searching(seed=seed_that_chooses(2))
    answers(scene, 1, 2)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.lose(scene.reach(endpoint(2)))  # the chosen one; 1 is still silent
    client = scene.connect()
    client.show()
    scene.answer(Ask, Failed(ErrorCode.UNREACHABLE))  # so it is searched again
    scene.answer(Dial, UNREACHABLE)
    answers(scene, 3)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    scene.reach(endpoint(3))
    assert known(scene) == [("ls-3", "workgroup", True)]


def with_one_found() -> tuple[Scene, Peer]:
    scene = searching()
    answers(scene, 1)
    scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
    return scene, scene.reach(endpoint(1))


def seed_that_chooses(number: int) -> int:
    """The first seed with which this one is chosen of servers 1 and 2, when both answer."""
    for seed in range(100):
        scene = searching(seed=seed)
        answers(scene, 1, 2)
        scene.wait(limits.DISCOVERY_WINDOW_SECONDS)
        for each in dialled(scene):
            scene.reach(each)
        if known(scene)[0][0] == f"ls-{number}":
            return seed
    raise AssertionError("no seed")
