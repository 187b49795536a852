"""The keeper's record of its sessions: only what the kernel still agrees with is left of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from daemons.keeper.record import Record, Started


@pytest.fixture
def started() -> Started:
    """This process, as if it were the program of session 7."""
    return Started.now(7, os.getpid(), 0)


def folder_with(tmp_path: Path, *started: Started) -> Path:
    """The folder of a keeper that was killed."""
    record = Record(tmp_path / "record")
    for each in started:
        record.add(each)
    return tmp_path / "record"


def test_the_next_keeper_finds_what_the_last_one_started(tmp_path: Path, started: Started) -> None:
    folder = folder_with(tmp_path, started)
    assert Record(folder).left(7) == started
    assert Record(folder).left(8) is None


def test_only_the_keepers_user_can_enter(tmp_path: Path, started: Started) -> None:
    folder = folder_with(tmp_path, started)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "7").stat().st_mode & 0o777 == 0o600


def test_a_keepers_own_sessions_are_not_left(tmp_path: Path, started: Started) -> None:
    record = Record(tmp_path / "record")
    record.add(started)
    assert record.left(7) is None


def test_what_was_adopted_is_not_left_but_for_the_next_keeper(
    tmp_path: Path, started: Started
) -> None:
    folder = folder_with(tmp_path, started)
    record = Record(folder)
    record.add(started)
    assert record.left(7) is None
    assert Record(folder).left(7) == started


def test_what_was_removed_is_gone(tmp_path: Path, started: Started) -> None:
    folder = folder_with(tmp_path, started)
    record = Record(folder)
    record.remove(7)
    record.remove(8)
    assert record.left(7) is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("changed", [{"born": 1}, {"pid": 2**22 + 1}, {"boot": "earlier"}], ids=str)
def test_a_program_that_has_ended_is_not_left(
    tmp_path: Path, started: Started, changed: dict[str, object]
) -> None:
    folder = folder_with(tmp_path, replace(started, **changed))
    assert Record(folder).left(7) is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[7,", b"[7, 1]", b"\xff"])
def test_a_record_that_was_half_written_is_none(
    tmp_path: Path, started: Started, content: bytes
) -> None:
    folder = folder_with(tmp_path, started)
    (folder / "7").write_bytes(content)
    assert Record(folder).left(7) is None


def test_a_record_that_cannot_be_written_is_told(
    tmp_path: Path, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(tmp_path / "record")
    (tmp_path / "record").rmdir()
    record.add(started)
    assert "session 7: [Errno 2] No such file" in capsys.readouterr().err


def test_the_record_is_a_line_to_read(tmp_path: Path, started: Started) -> None:
    folder = folder_with(tmp_path, started)
    found = msgspec.json.decode((folder / "7").read_bytes())
    assert found == [7, os.getpid(), started.born, list(started.terminal), started.boot]
