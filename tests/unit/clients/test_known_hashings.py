from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from clients.files import DeviceStoreError
from clients.known_hashings import USERS_MAX, KnownHashings
from clients.logon.steps import Hashing
from tsproto.user_proof import Cost

HASHING = Hashing(b"s" * 16, Cost())
OTHER = Hashing(b"t" * 16, Cost(memory_kib=32_768))


def test_each_farm_and_user_has_its_own(tmp_path: Path) -> None:
    known = KnownHashings(tmp_path)
    assert known.find("lab", "user1") is None
    known.keep("lab", "user1", HASHING)
    known.keep("lab", "user2", OTHER)
    known.keep("barn", "user1", OTHER)
    again = KnownHashings(tmp_path)
    assert again.find("lab", "user1") == HASHING
    assert again.find("lab", "user2") == again.find("barn", "user1") == OTHER
    assert again.find("barn", "user2") is None


def test_the_last_one_counts(tmp_path: Path) -> None:
    known = KnownHashings(tmp_path)
    known.keep("lab", "user1", HASHING)
    known.keep("lab", "user1", OTHER)
    assert known.find("lab", "user1") == OTHER


def test_of_too_many_users_the_one_that_logged_on_first_is_forgotten(tmp_path: Path) -> None:
    known = KnownHashings(tmp_path)
    content = dict.fromkeys((f"user{number}" for number in range(USERS_MAX)), HASHING)
    (tmp_path / "known_hashings").write_bytes(msgspec.json.encode({"lab": content}))
    known.keep("lab", "user0", OTHER)
    known.keep("lab", "one more", HASHING)
    assert known.find("lab", "user1") is None
    assert known.find("lab", "user0") == OTHER
    assert known.find("lab", "user2") == known.find("lab", "one more") == HASHING


@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"lab": {"user1": {"salt": 1}}}', b"\xff"])
def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "known_hashings").write_bytes(content)
    with pytest.raises(DeviceStoreError, match="known_hashings is damaged: delete it"):
        KnownHashings(tmp_path).find("lab", "user1")
