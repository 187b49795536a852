from __future__ import annotations

from pathlib import Path

import pytest

from daemons.accounts import keys
from tsproto.user_proof import Cost

QUICK = Cost(memory_kib=8, passes=1, lanes=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """New passwords are hashed at a cost that takes no time; the file demands the usual bounds."""
    real = keys.hash_secret_raw

    def cheap(password: bytes, salt: bytes, *cost: int, **options: int) -> bytes:
        return real(
            password, salt, QUICK.passes, QUICK.memory_kib, QUICK.lanes, *cost[3:], **options
        )

    monkeypatch.setattr(keys, "hash_secret_raw", cheap)
