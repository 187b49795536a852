from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemons.files.reread import Reread
from tsproto.errors import TsfarmError


class File:
    """A file with a number, read again when it has changed; its faults are noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("1")
        self.faults: list[str] = []
        self.readings = 0
        self.number = Reread(path, self._read, self.faults.append)

    def _read(self, path: Path) -> int:
        self.readings += 1
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            raise TsfarmError("no number") from None

    def replace(self, content: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(content)
        os.replace(new, self.path)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "number")


def test_what_has_not_changed_is_not_read_again(file: File) -> None:
    assert [file.number.content() for _ in range(3)] == [1, 1, 1]
    assert file.readings == 1


def test_a_changed_file_is_read_once(file: File) -> None:
    file.replace("2")
    assert [file.number.content() for _ in range(3)] == [2, 2, 2]
    assert file.readings == 2


def test_a_change_of_the_same_length_in_the_same_instant_counts(file: File) -> None:
    before = file.path.stat()
    file.replace("2")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.number.content() == 2


@pytest.mark.parametrize("content", ["two", None])
def test_a_fault_is_told_once_and_the_content_before_stays_valid(
    file: File, content: str | None
) -> None:
    if content is None:
        file.path.unlink()
    else:
        file.replace(content)
    assert [file.number.content() for _ in range(3)] == [1, 1, 1]
    assert file.faults == ["no number"]
    file.replace("3")
    assert file.number.content() == 3
    assert len(file.faults) == 1


def test_a_fault_at_the_start_is_the_callers(tmp_path: Path) -> None:
    def read(path: Path) -> int:
        raise TsfarmError("no number")

    with pytest.raises(TsfarmError, match="no number"):
        Reread(tmp_path / "none", read, lambda fault: None)
