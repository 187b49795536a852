from __future__ import annotations

from pathlib import Path

import pytest

from daemons.files import private


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_for_its_owner_alone_is_not_exposed(tmp_path: Path, mode: int) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    assert private.exposure(tmp_path / "key", "daemon") == ""


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o644])
def test_a_key_that_others_may_use_is_exposed(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "key"
    key.touch()
    key.chmod(mode)
    assert private.exposure(key, "daemon") == (
        f"{key} is open to others (mode {mode:04o}), who could pass for this daemon: run"
        f" `chmod 600 {key}`"
    )
