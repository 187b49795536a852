"""Files that root believes: nobody else can change them or put others in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemons.files.trusted import NotTrusted, check_root_owns

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of root's")
STRANGER = 12345


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    return folder / "file"


def test_roots_own_file_is_believed(file: Path) -> None:
    check_root_owns(file)


def test_a_sticky_folder_of_all_is_no_danger(file: Path) -> None:
    file.parent.chmod(0o1777)
    check_root_owns(file)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(NotTrusted, match=f"others may write {file} .*chmod go-w {file}"):
        check_root_owns(file)


@pytest.mark.parametrize("mode", [0o770, 0o757])
def test_a_file_in_a_folder_that_others_can_write_is_not(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    with pytest.raises(NotTrusted, match=f"others may write {file.parent} "):
        check_root_owns(file)


def test_a_file_or_folder_that_others_own_is_not(file: Path) -> None:
    os.chown(file.parent, STRANGER, -1)
    with pytest.raises(NotTrusted, match=f"user {STRANGER} owns {file.parent}"):
        check_root_owns(file)
    os.chown(file.parent, 0, -1)
    os.chown(file, STRANGER, -1)
    with pytest.raises(NotTrusted, match=f"user {STRANGER} owns {file}"):
        check_root_owns(file)


def test_a_link_is_believed_as_far_as_it_and_its_target_are(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    check_root_owns(link)
    os.chown(link, STRANGER, -1, follow_symlinks=False)
    with pytest.raises(NotTrusted, match=f"user {STRANGER} owns {link}"):
        check_root_owns(link)
    os.chown(link, 0, -1, follow_symlinks=False)
    file.parent.chmod(0o777)
    with pytest.raises(NotTrusted, match=f"others may write {file.parent} "):
        check_root_owns(link)


def test_a_file_that_is_not_there_is_its_readers_to_tell(file: Path) -> None:
    check_root_owns(file.with_name("none"))
    file.parent.chmod(0o777)
    with pytest.raises(NotTrusted, match=f"others may write {file.parent} "):
        check_root_owns(file.with_name("none"))
