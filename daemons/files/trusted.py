"""Whether a file is root's own: nobody else can change it, or put another in its place."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from tsproto.error_text import words_of
from tsproto.errors import TsfarmError


class NotTrusted(TsfarmError):
    """Somebody other than root can change the file; the text says how, and the next step."""


def check_root_owns(path: Path) -> None:
    """The file, every folder above it, and every symbolic link on the way. Raises NotTrusted; not
    for a file that is missing, which its reader tells.

    A folder with the sticky bit, as /tmp, may be written by all: they cannot replace root's files.
    """
    path = path.absolute()
    real = path.resolve()
    try:
        for part in dict.fromkeys([path, *path.parents, real, *real.parents]):
            with contextlib.suppress(FileNotFoundError):
                _check(path, part, os.lstat(part))
    except OSError as error:
        raise NotTrusted(f"{path}: {words_of(error)}") from None


def _check(path: Path, part: Path, found: os.stat_result) -> None:
    if found.st_uid != 0:
        raise NotTrusted(
            f"{path}: the keeper runs as root and believes only root's files, but user"
            f" {found.st_uid} owns {part}: chown root {part}"
        )
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & 0o022 and not is_sticky and not stat.S_ISLNK(found.st_mode):
        raise NotTrusted(
            f"{path}: the keeper runs as root and believes only root's files, but others may write"
            f" {part} (mode {stat.S_IMODE(found.st_mode):04o}): chmod go-w {part}"
        )
