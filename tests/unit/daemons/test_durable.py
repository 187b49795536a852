from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from daemons.files import durable


def test_a_replaced_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    durable.replace(tmp_path / "name", b"old")
    durable.replace(tmp_path / "name", b"new")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "name").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["name"]


def test_a_crash_before_the_rename_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.replace(tmp_path / "name", b"old")
    monkeypatch.setattr(os, "replace", _power_cut)
    with pytest.raises(KeyboardInterrupt):
        durable.replace(tmp_path / "name", b"new")
    assert (tmp_path / "name").read_bytes() == b"old"


def test_what_a_crash_left_half_written_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / f".name.{os.getpid()}.new").write_bytes(b"half of a long conten")
    durable.replace(tmp_path / "name", b"new")
    assert (tmp_path / "name").read_bytes() == b"new"


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
    durable.replace(tmp_path / "name", b"new")
    assert done == ["fsync", "rename", "fsync"]


def test_a_full_disk_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.replace(tmp_path / "name", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        durable.replace(tmp_path / "name", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"name": b"old"}


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with durable.locked(tmp_path / "lock"):
        with open(tmp_path / "lock") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with open(tmp_path / "lock") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _power_cut(*arguments: object) -> None:
    raise KeyboardInterrupt
