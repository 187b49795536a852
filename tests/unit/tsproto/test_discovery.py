import random
from collections.abc import Callable

import msgspec
import pytest

from tsproto import limits
from tsproto.discovery import (
    Answer,
    AnswerLimit,
    Candidate,
    Query,
    Scope,
    Search,
    answer,
    decode_answer,
    decode_query,
    encode_query,
    scopes_of,
)

NOW = 1_000.0
NONCE, SECOND_NONCE, THIRD_NONCE = (bytes([number]) * 16 for number in (1, 2, 3))
INSTANCE, OTHER_INSTANCE = bytes([8]) * 16, bytes([9]) * 16
SCOPES = scopes_of("lab", "", "berlin")
QUERY = Query(farm="farm1", scope=Scope.WORKGROUP, scope_name="lab", nonce=NONCE)


def search(
    every_scope: bool = False,
    instance: bytes = b"",
    is_known: Callable[[Candidate], bool] = lambda candidate: False,
) -> Search:
    return Search(
        "farm1",
        SCOPES,
        window_seconds=2.0,
        every_scope=every_scope,
        instance=instance,
        is_known=is_known,
    )


def answered(
    datagram: bytes | None,
    *,
    farm: str = "farm1",
    name: str = "ls1",
    port: int = 5604,
    scopes: tuple[tuple[Scope, str], ...] = SCOPES,
    instance: bytes = INSTANCE,
) -> bytes | None:
    assert datagram is not None
    return answer(datagram, farm=farm, name=name, port=port, scopes=scopes, instance=instance)


def heard(
    running: Search, datagram: bytes | None, host: str = "10.0.0.1", now: float = NOW
) -> None:
    assert datagram is not None
    running.on_datagram(host, limits.DISCOVERY_PORT, datagram, now)


# --- datagrams --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 64])
@pytest.mark.parametrize("instance", [b"", INSTANCE])
def test_a_query_is_always_exactly_as_long(length: int, instance: bytes) -> None:
    query = Query(
        farm="f" * length,
        scope=Scope.SITE,
        scope_name="s" * length,
        nonce=NONCE,
        instance=instance,
    )
    datagram = encode_query(query)
    assert len(datagram) == limits.DATAGRAM_BYTES
    decoded = decode_query(datagram)
    assert decoded is not None
    assert msgspec.structs.replace(decoded, padding=b"") == query


def test_an_answer_is_never_longer_than_a_query() -> None:
    query = msgspec.structs.replace(QUERY, farm="f" * 64)
    reply = answered(encode_query(query), farm="f" * 64, name="n" * 64, port=65_535)
    assert reply is not None and len(reply) < limits.DATAGRAM_BYTES


def test_a_server_answers_with_its_name_its_port_and_the_querys_nonce() -> None:
    reply = answered(encode_query(QUERY))
    assert reply is not None
    assert decode_answer(reply) == Answer(farm="farm1", name="ls1", port=5604, nonce=NONCE)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_server_answers_in_each_of_its_scopes(scope: tuple[Scope, str]) -> None:
    query = msgspec.structs.replace(QUERY, scope=scope[0], scope_name=scope[1])
    assert answered(encode_query(query))


@pytest.mark.parametrize(
    "changes",
    [
        {"farm": "farm2"},
        {"scope_name": "office"},
        {"scope": Scope.SITE},
        {"scope": Scope.DOMAIN},
        {"instance": INSTANCE},
        {"version": 2},
        {"magic": "tsfarn"},
        {"kind": 2},
        {"nonce": bytes(15)},
    ],
    ids=str,
)
def test_a_query_that_is_not_meant_gets_no_answer(changes: dict[str, object]) -> None:
    assert answered(encode_query(msgspec.structs.replace(QUERY, **changes))) is None


def test_another_license_servers_query_is_answered() -> None:
    query = msgspec.structs.replace(QUERY, instance=OTHER_INSTANCE)
    assert answered(encode_query(query))


def test_a_server_without_an_instance_answers_an_asker_without_one() -> None:
    assert answered(encode_query(QUERY), instance=b"")


def test_a_query_of_any_other_length_gets_no_answer() -> None:
    datagram = encode_query(QUERY)
    unpadded = msgspec.msgpack.encode(QUERY)
    longer = msgspec.msgpack.encode(
        msgspec.structs.replace(QUERY, padding=bytes(limits.DATAGRAM_BYTES))
    )
    for other in (unpadded, datagram[:-1], datagram + b"\0", longer, b""):
        assert answered(other) is None


def test_an_answer_is_no_query_and_a_query_no_answer() -> None:
    datagram = encode_query(QUERY)
    reply = answered(datagram)
    assert answered(reply) is None
    assert decode_answer(datagram) is None


def test_no_bytes_surprise_the_decoders() -> None:
    rng = random.Random(20)
    samples = [encode_query(QUERY), answered(encode_query(QUERY)) or b""]
    for turn in range(20_000):
        if turn % 2:
            datagram = rng.randbytes(rng.choice((0, 1, 20, limits.DATAGRAM_BYTES, 1500)))
        else:
            changed = bytearray(samples[turn // 2 % 2])
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(min(90, len(changed)))] = rng.randrange(256)
            datagram = bytes(changed)
        assert isinstance(decode_query(datagram), Query | None)
        assert isinstance(decode_answer(datagram), Answer | None)


def test_deep_nesting_is_no_datagram() -> None:
    assert decode_query(b"\x91" * limits.DATAGRAM_BYTES) is None
    assert decode_answer(b"\x91" * limits.DATAGRAM_BYTES) is None


def test_scopes_are_those_that_are_set_in_order_and_without_case() -> None:
    assert scopes_of("LAB", "corp.example", "Berlin") == (
        (Scope.WORKGROUP, "lab"),
        (Scope.DOMAIN, "corp.example"),
        (Scope.SITE, "berlin"),
    )
    assert scopes_of("", "", "") == ()


# --- search -----------------------------------------------------------------------------------


def test_a_search_without_scopes_is_finished_at_once() -> None:
    idle = Search("farm1", (), window_seconds=2.0)
    assert idle.start(NOW, NONCE) is None
    assert not idle.searching
    assert idle.next_deadline() is None


def test_a_search_asks_its_first_scope_and_waits_for_the_window() -> None:
    running = search(instance=INSTANCE)
    datagram = running.start(NOW, NONCE)
    assert datagram == encode_query(msgspec.structs.replace(QUERY, instance=INSTANCE))
    assert running.searching
    assert running.next_deadline() == NOW + 2.0


def test_an_answer_is_a_candidate_at_its_source_address() -> None:
    running = search()
    heard(running, answered(running.start(NOW, NONCE)), "10.0.0.7")
    assert running.found == [Candidate("ls1", "10.0.0.7", 5604, "workgroup")]


def test_a_search_ends_after_the_first_scope_with_an_answer() -> None:
    running = search()
    heard(running, answered(running.start(NOW, NONCE)))
    assert running.on_deadline(NOW + 2.0, SECOND_NONCE) is None
    assert not running.searching
    assert len(running.found) == 1


def test_a_silent_scope_is_followed_by_the_next() -> None:
    running = search()
    running.start(NOW, NONCE)
    datagram = running.on_deadline(NOW + 2.0, SECOND_NONCE)
    assert running.next_deadline() == NOW + 4.0
    heard(running, answered(datagram))
    assert [candidate.found for candidate in running.found] == ["site"]
    assert running.on_deadline(NOW + 4.0, THIRD_NONCE) is None
    assert not running.searching


def test_a_search_goes_on_with_the_scopes_that_are_left_and_forgets_whom_it_found() -> None:
    running = search()
    heard(running, answered(running.start(NOW, NONCE)))
    running.on_deadline(NOW + 2.0, SECOND_NONCE)
    heard(running, answered(running.next_scope(NOW + 5.0, SECOND_NONCE)), "10.0.0.7")
    assert [candidate.host for candidate in running.found] == ["10.0.0.7"]
    assert running.next_deadline() == NOW + 7.0
    assert running.next_scope(NOW + 7.0, THIRD_NONCE) is None
    assert (running.searching, running.found) == (False, [])


def test_a_search_that_nobody_answers_finds_nothing() -> None:
    running = search()
    running.start(NOW, NONCE)
    running.on_deadline(NOW + 2.0, SECOND_NONCE)
    running.on_deadline(NOW + 4.0, THIRD_NONCE)
    assert not running.searching
    assert running.found == []


def test_every_scope_is_asked_when_so_wanted_and_a_server_is_found_once() -> None:
    running = search(every_scope=True)
    heard(running, answered(running.start(NOW, NONCE)))
    datagram = running.on_deadline(NOW + 2.0, SECOND_NONCE)
    heard(running, answered(datagram))
    heard(running, answered(datagram, name="ls2"), "10.0.0.2")
    assert [(one.name, one.found) for one in running.found] == [
        ("ls1", "workgroup"),
        ("ls2", "site"),
    ]


def test_a_deadline_that_has_not_come_changes_nothing() -> None:
    running = search()
    running.start(NOW, NONCE)
    assert running.on_deadline(NOW + 1.0, SECOND_NONCE) is None
    assert running.searching
    assert running.next_deadline() == NOW + 2.0


def test_an_answer_to_another_nonce_is_ignored() -> None:
    running = search()
    late = answered(running.start(NOW, NONCE))
    running.on_deadline(NOW + 2.0, SECOND_NONCE)
    heard(running, late)
    assert running.found == []


def test_an_answer_of_another_farm_is_ignored() -> None:
    running = search()
    running.start(NOW, NONCE)
    heard(
        running,
        msgspec.msgpack.encode(Answer(farm="farm2", name="ls1", port=5604, nonce=NONCE)),
    )
    assert running.found == []


def test_an_answer_after_the_end_is_ignored() -> None:
    running = search()
    datagram = running.start(NOW, NONCE)
    heard(running, answered(datagram))
    running.on_deadline(NOW + 2.0, SECOND_NONCE)
    heard(running, answered(datagram, name="ls2"), "10.0.0.2", NOW + 3.0)
    assert [candidate.name for candidate in running.found] == ["ls1"]


def test_a_new_search_begins_anew() -> None:
    running = search()
    heard(running, answered(running.start(NOW, NONCE)))
    running.start(NOW + 10.0, SECOND_NONCE)
    assert running.found == []
    assert running.next_deadline() == NOW + 12.0


def test_no_more_answers_are_kept_than_the_limit() -> None:
    running = search()
    datagram = running.start(NOW, NONCE)
    for number in range(limits.DISCOVERY_ANSWERS_MAX + 1):
        heard(running, answered(datagram), f"10.0.1.{number}")
    assert len(running.found) == limits.DISCOVERY_ANSWERS_MAX
    assert running.found[0].host == "10.0.1.0"


def test_two_answers_of_one_address_are_kept() -> None:
    running = search()
    datagram = running.start(NOW, NONCE)
    for number in range(3):
        heard(running, answered(datagram, name=f"ls{number}", port=5601 + number))
    heard(running, answered(datagram, name="ls9"), "10.0.0.2")
    assert [candidate.name for candidate in running.found] == ["ls0", "ls1", "ls9"]


def test_a_forged_name_at_the_same_port_does_not_hide_the_servers_own() -> None:
    running = search()
    datagram = running.start(NOW, NONCE)
    for name in ("forged", "ls1", "ls1"):
        heard(running, answered(datagram, name=name))
    assert [candidate.name for candidate in running.found] == ["forged", "ls1"]


def test_a_known_server_is_kept_beside_any_number_of_forged_answers() -> None:
    running = search(is_known=lambda candidate: candidate.name == "known")
    datagram = running.start(NOW, NONCE)
    for number in range(limits.DISCOVERY_ANSWERS_MAX):
        heard(running, answered(datagram), f"10.0.1.{number}")
    heard(running, answered(datagram, name="other"), "10.0.2.1")
    for name in ("known", "other"):
        heard(running, answered(datagram, name=name), "10.0.1.0")
    assert len(running.found) == limits.DISCOVERY_ANSWERS_MAX + 1
    assert running.found[-1] == Candidate("known", "10.0.1.0", 5604, "workgroup")


# --- rate -------------------------------------------------------------------------------------


def test_a_source_gets_ten_answers_in_a_second() -> None:
    limit = AnswerLimit()
    assert [limit.take("10.0.0.1", NOW) for _ in range(11)] == [True] * 10 + [False]
    assert not limit.take("10.0.0.1", NOW + 0.9)
    assert limit.take("10.0.0.2", NOW + 0.9)
    assert limit.take("10.0.0.1", NOW + 1.0)


def test_all_sources_together_get_fifty_answers_in_a_second() -> None:
    limit = AnswerLimit()
    taken = [limit.take(f"10.0.{source}.1", NOW) for source in range(60) for _ in range(2)]
    assert taken == [True] * 50 + [False] * 70
    assert limit.take("10.0.59.1", NOW + 1.0)


def test_a_clock_that_went_back_stops_no_answers() -> None:
    limit = AnswerLimit()
    assert limit.take("10.0.0.1", NOW)
    assert limit.take("10.0.0.1", NOW - 60.0)
