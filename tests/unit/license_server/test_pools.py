"""Which pool a token comes from, and what a key pack adds."""

from __future__ import annotations

import pytest

from daemons.license_server import pools
from daemons.license_server.records import KeyPackRecord
from daemons.refusal import Refusal
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    TEMPORARY,
    Server,
    acquire,
    add_pack,
    claims,
    device,
    pack,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Pools, QueryPools


def test_the_same_version_is_issued_first_and_then_the_next_newer() -> None:
    server = Server("a", pack(1, version=3), pack(1, version=2), pack(1, version=1))
    versions = [claims(server.full(device(n))).product_version for n in range(3)]
    assert versions == [1, 2, 3]


def test_an_older_token_never_serves_a_newer_terminal_server() -> None:
    server = Server("a", pack(2, version=1))
    server.logs_on()
    assert server.issued(acquire(version=2)).kind is TEMPORARY
    full = server.issued(acquire(version=1))
    assert (full.kind, server.pool(1).issued) == (FULL, 1)
    assert server.issued(acquire(version=2)).kind is TEMPORARY


def test_a_newer_terminal_server_takes_over_the_one_temporary_token() -> None:
    server = Server("a")
    first = server.issued(acquire(version=1))
    server.now += DAY
    raised = server.issued(acquire(version=2))
    assert (raised.license_id, raised.expires_at) == (first.license_id, first.expires_at)
    assert claims(raised).product_version == 2
    assert server.issued(acquire(version=1)) == raised
    assert server.pool(2).temporary == 1


def test_a_pool_without_packs_and_tokens_is_neither_shown_nor_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "POOLS_MAX", 2)
    server = Server("a")
    for version in (1, 2, 3):
        assert claims(server.issued(acquire(version=version))).product_version == version
    shown = server.asked(QueryPools(), server.administrator)
    assert isinstance(shown, Pools)
    assert [(row.product_version, row.temporary) for row in shown.pools] == [(3, 1)]


def test_a_key_pack_counts_once_and_another_with_its_id_is_refused() -> None:
    server = Server("a")
    assert server.asked(add_pack(5), server.administrator) == Done()
    assert server.asked(add_pack(5), server.administrator) == Done()
    assert server.refused(add_pack(6), server.administrator).code is ErrorCode.KEY_PACK_CONFLICT
    assert server.pool().total == 5


def test_the_configurations_packs_are_kept_once_and_for_ever() -> None:
    server = Server("a", pack(5))
    assert [record.tokens for record in server.table(KeyPackRecord)] == [5]
    server.restart()
    assert server.journal() == ["pack.added"]
    server.key_packs = ()
    server.restart()
    assert server.pool().total == 5


def test_a_configuration_that_contradicts_the_ledger_stops_the_start() -> None:
    server = Server("a", pack(5))
    server.key_packs = (pack(6),)
    with pytest.raises(Refusal, match="^key pack pack-1 has 5 tokens") as refused:
        server.restart()
    assert "5 tokens of terminal-server 1 in the ledger and 6 tokens" in refused.value.detail
    assert "1 in the configuration: a pack never changes" in refused.value.detail
    assert refused.value.code is ErrorCode.KEY_PACK_CONFLICT


def test_a_configuration_with_two_packs_of_one_id_stops_the_start() -> None:
    with pytest.raises(Refusal, match="in an earlier entry and 6 tokens of .* the configuration"):
        Server("a", pack(5), pack(6))


def test_a_configuration_with_too_many_packs_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "KEY_PACKS_MAX", 1)
    with pytest.raises(Refusal, match="at most 1 key packs") as refused:
        Server("a", pack(5), pack(5, key_pack="pack-2"))
    assert refused.value.code is ErrorCode.LEDGER_FULL


def test_packs_and_pools_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "KEY_PACKS_MAX", 2)
    monkeypatch.setattr(pools, "POOLS_MAX", 1)
    server = Server("a")
    assert server.asked(add_pack(5, "one"), server.administrator) == Done()
    assert server.asked(add_pack(5, "two"), server.administrator) == Done()
    assert server.refused(add_pack(5, "three"), server.administrator).code is ErrorCode.LEDGER_FULL
    assert server.refused(acquire(version=2)).code is ErrorCode.LEDGER_FULL
    assert server.licenses() == []
