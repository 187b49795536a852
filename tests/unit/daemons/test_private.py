"""Keys that others could read, and folders that they could change."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from daemons.files import private

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my folder"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def key(folder: Path) -> Path:
    (folder / "key").touch(mode=0o600)
    return folder / "key"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_for_its_owner_alone_is_not_exposed(key: Path, mode: int) -> None:
    key.chmod(mode)
    assert private.exposure(key, "daemon") == ""


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o644])
def test_a_key_that_others_may_use_is_exposed(key: Path, mode: int) -> None:
    key.chmod(mode)
    assert private.exposure(key, "daemon") == (
        f"{key} is open to others (mode {mode:04o}), who could pass for this daemon: run"
        f" `chmod 600 '{key}'`"
    )


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o500])
def test_a_folder_that_only_its_owner_changes_is_private(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert private.intrusion(folder) == ""


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777, 0o775])
def test_a_folder_that_others_may_write_is_not(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert private.intrusion(folder) == (
        f"others can write in {folder} (mode {mode:04o}): run `chmod go-w '{folder}'`"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_others_is_theirs_to_change(folder: Path, key: Path) -> None:
    for path in (folder, key):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert private.intrusion(folder) == (
        f"{folder} belongs to nobody, who can change what is in it: run"
        f" `chown -R root '{folder}'`, or choose another"
    )
    assert private.exposure(key, "daemon") == (
        f"{key} belongs to nobody, who could pass for this daemon: run"
        f" `chown root '{key}'`, or choose another"
    )
    os.chown(folder, 123_456, 0)
    assert "belongs to 123456," in private.intrusion(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes root's files")
def test_what_belongs_to_root_is_private_to_everybody(
    monkeypatch: pytest.MonkeyPatch, folder: Path, key: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: NOBODY.pw_uid)
    assert (private.intrusion(folder), private.exposure(key, "daemon")) == ("", "")
