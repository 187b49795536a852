"""Broadcasting queries and dialling who answered, as both kinds of daemons do it."""

from __future__ import annotations

import itertools
import random

from daemons.discovery import Finder, endpoint_of
from daemons.effects import Broadcast, Dial, Endpoint
from daemons.settings import Discovery, ServerAddress
from tsproto.discovery import Scope, decode_query
from tsproto.messages import Role

SERVER = Endpoint(Role.LICENSE_SERVER, "127.0.0.1", 7002, "license-a")


def finder(**scopes: str) -> Finder:
    question_ids = itertools.count(1)
    settings = Discovery(window_seconds=2.0, **scopes)  # type: ignore[arg-type]
    return Finder(
        "farm", settings, next_question_id=lambda: next(question_ids), rng=random.Random(1)
    )


def scope_asked(effects: list[object]) -> Scope:
    [broadcast] = effects
    assert isinstance(broadcast, Broadcast)
    query = decode_query(broadcast.datagram)
    assert query is not None
    return query.scope


def test_scopes_are_asked_in_their_order() -> None:
    found = finder(workgroup="lab", site="north")
    assert scope_asked([*found.begin(0.0)]) is Scope.WORKGROUP
    assert found.on_deadline(1.9) == []
    assert scope_asked([*found.on_deadline(2.0)]) is Scope.SITE
    assert found.on_deadline(4.0) == []
    assert not found.search.searching


def test_a_scope_whose_servers_are_of_no_use_is_followed_by_the_next() -> None:
    found = finder(workgroup="lab", site="north")
    found.begin(0.0)
    assert scope_asked([*found.next_scope(1.0)]) is Scope.SITE
    assert found.next_scope(1.0) == []


def test_without_scopes_nobody_is_asked() -> None:
    assert finder().begin(0.0) == []


def test_an_endpoint_is_dialled_once_at_a_time() -> None:
    found = finder()
    assert found.dial(SERVER) == [Dial(SERVER, 1)]
    assert found.dial(SERVER) == []
    assert found.is_dialling(SERVER)
    assert found.is_dial(1)
    assert found.failed(1) == SERVER
    assert found.dial(SERVER) == [Dial(SERVER, 2)]


def test_the_failure_of_a_forgotten_dial_is_nobodys() -> None:
    found = finder()
    found.dial(SERVER)
    found.forget(SERVER)
    assert not found.is_dialling(SERVER)
    assert found.failed(1) is None


def test_an_address_of_the_configuration_is_a_license_servers() -> None:
    assert endpoint_of(ServerAddress(host="127.0.0.1", port=7002, name="license-a")) == SERVER
