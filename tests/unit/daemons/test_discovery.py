"""Broadcasting queries and dialling who answered, as both kinds of daemons do it."""

from __future__ import annotations

import itertools
import random

from daemons.discovery import Finder, endpoint_of
from daemons.effects import Broadcast, Dial, Endpoint
from daemons.settings import ServerAddress
from tsproto.discovery import Scope, Search, decode_query, scopes_of
from tsproto.messages import Role

SERVER = Endpoint(Role.LICENSE_SERVER, "127.0.0.1", 7002, "license-a")


def finder() -> Finder:
    question_ids = itertools.count(1)
    return Finder(lambda: next(question_ids), random.Random(1))


def test_each_query_has_a_nonce_of_its_own() -> None:
    found = finder()
    search = Search("farm", scopes_of("lab", "", "north"), window_seconds=2.0)
    first, second = found.ask(search.start, 0.0), found.ask(search.next_scope, 1.0)
    asked = [decode_query(one.datagram) for one in first + second if isinstance(one, Broadcast)]
    assert [query.scope for query in asked if query] == [Scope.WORKGROUP, Scope.SITE]
    assert len({query.nonce for query in asked if query}) == 2


def test_without_a_scope_to_ask_nothing_is_sent() -> None:
    search = Search("farm", (), window_seconds=2.0)
    assert finder().ask(search.start, 0.0) == []


def test_an_endpoint_is_dialled_once_at_a_time() -> None:
    found = finder()
    assert found.dial(SERVER) == [Dial(SERVER, 1)]
    assert found.dial(SERVER) == []
    assert found.is_dialling(SERVER)
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
