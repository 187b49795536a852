"""What a bench lays over the configurations of a farm."""

from __future__ import annotations

from typing import Any

from bench.farm import laid_over

TABLES: dict[str, Any] = {
    "farm": "lab",
    "listen": {"host": "127.0.0.1", "port": 5600, "tls": True},
    "key_packs": [{"key_pack": 'a "pack"', "tokens": 5}],
    "seconds": 0.5,
    "sessions": {"applications": {"idle": {"command": ["/bin/cat", "-"]}}},
}


def test_a_table_is_changed_key_by_key() -> None:
    changed = laid_over(TABLES, {"listen": {"tls": False}, "sessions": {"screen": False}})
    assert changed["listen"] == {"host": "127.0.0.1", "port": 5600, "tls": False}
    assert changed["sessions"]["applications"] == TABLES["sessions"]["applications"]
    assert changed["sessions"]["screen"] is False
    assert "screen" not in TABLES["sessions"]


def test_a_value_takes_the_place_of_a_table_and_of_a_list() -> None:
    changed = laid_over(TABLES, {"key_packs": [], "listen": 1, "new": {"a": None}})
    assert changed["key_packs"] == []
    assert changed["listen"] == 1
    assert changed["new"] == {"a": None}


def test_none_takes_a_key_away_and_one_that_is_not_there_does_no_harm() -> None:
    changed = laid_over(TABLES, {"listen": {"tls": None}, "seconds": None, "unknown": None})
    assert changed["listen"] == {"host": "127.0.0.1", "port": 5600}
    assert "seconds" not in changed and "unknown" not in changed
