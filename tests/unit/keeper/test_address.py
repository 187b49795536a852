from __future__ import annotations

import socket
from pathlib import Path

import pytest

from daemons.keeper.address import unix_address


def test_a_path_of_any_length_can_be_bound_and_dialled(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as dialled:
        with unix_address(folder / "keeper.sock") as address:
            listener.bind(address)
        listener.listen(1)
        with unix_address(folder / "keeper.sock") as address:
            dialled.connect(address)
    assert (folder / "keeper.sock").is_socket()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), unix_address(tmp_path / "none" / "keeper.sock"):
        raise AssertionError("there is no such folder")
