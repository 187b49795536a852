"""Terminals that this host knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.keeper import terminfo


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "terminfo"
    monkeypatch.setattr(terminfo, "FOLDERS", (str(tmp_path / "none"), str(folder)))
    add(folder / "x" / "xterm-kitty")
    add(folder / "78" / "xterm-hex")  # as macOS and some others write it
    return folder


def add(entry: Path) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.write_bytes(b"\x1a\x01")


@pytest.mark.parametrize("terminal", ["xterm-kitty", "xterm-hex"])
def test_a_terminal_of_the_database_is_known(tmp_path: Path, terminal: str) -> None:
    assert terminfo.is_known(terminal, str(tmp_path / "home"))


@pytest.mark.parametrize("terminal", ["", "xterm-none", "x", ".", ".."])
def test_others_are_not(tmp_path: Path, terminal: str) -> None:
    assert not terminfo.is_known(terminal, str(tmp_path / "home"))


def test_a_user_has_a_database_of_their_own(tmp_path: Path) -> None:
    add(tmp_path / "home" / ".terminfo" / "m" / "mine")
    assert terminfo.is_known("mine", str(tmp_path / "home"))
    assert not terminfo.is_known("mine", str(tmp_path / "another"))
