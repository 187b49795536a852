from __future__ import annotations

from pathlib import Path

import pytest

from clients import files
from clients.files import DeviceStoreError


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert files.read(tmp_path / "name") is None


def test_a_file_that_is_too_large_is_not_read_in(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"x" * (files.FILE_BYTES_MAX + 1))
    with pytest.raises(DeviceStoreError, match="larger than 65536 bytes"):
        files.read(tmp_path / "name")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(DeviceStoreError, match=f"{tmp_path}/name: Is a directory"):
        files.read(tmp_path / "name")
