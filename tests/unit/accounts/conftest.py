from __future__ import annotations

from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret_raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """New passwords are hashed at a cost that takes no time, and say the usual one."""

    def cheap(password: bytes, salt: bytes, *usual: object, version: int) -> bytes:
        return hash_secret_raw(password, salt, 1, 8, 1, 32, Type.ID, version)

    monkeypatch.setattr("daemons.accounts.keys.hash_secret_raw", cheap)
