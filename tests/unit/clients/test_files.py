from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients import files
from clients.files import DeviceStoreError


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert files.read(tmp_path / "name") is None


def test_a_replaced_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    files.replace(tmp_path / "name", b"old")
    files.replace(tmp_path / "name", b"new")
    assert files.read(tmp_path / "name") == b"new"
    assert (tmp_path / "name").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["name"]


def test_a_crash_before_the_rename_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.replace(tmp_path / "name", b"old")
    monkeypatch.setattr(os, "replace", _power_cut)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "name", b"new")
    assert files.read(tmp_path / "name") == b"old"


def test_what_a_crash_left_half_written_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".name.new").write_bytes(b"half of a long conten")
    files.replace(tmp_path / "name", b"new")
    assert files.read(tmp_path / "name") == b"new"


def test_content_is_on_the_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("fsync")
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_rename)
    files.replace(tmp_path / "name", b"new")
    assert done == ["fsync", "rename", "fsync"]


def test_a_file_that_is_too_large_is_not_read_in(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"x" * (files.FILE_BYTES_MAX + 1))
    with pytest.raises(DeviceStoreError, match="larger than 65536 bytes"):
        files.read(tmp_path / "name")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(DeviceStoreError, match=f"{tmp_path}/name: Is a directory"):
        files.read(tmp_path / "name")


def _power_cut(*arguments: object) -> None:
    raise KeyboardInterrupt
