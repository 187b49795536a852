"""Files that hold a secret key, which only their owner may read, and folders that only their owner
may change. Root may do both everywhere."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from pathlib import Path


def exposure(key: Path, owner: str) -> str:
    """Says that others could read this key, which is to prove its `owner`, and the next step;
    empty if they could not. Raises OSError."""
    status = key.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        return (
            f"{key} is open to others (mode {mode:04o}), who could pass for this {owner}: run"
            f" `chmod 600 {shlex.quote(str(key))}`"
        )
    if others := _other_owner(status):
        return f"{key} belongs to {others}, who could pass for this {owner}: {_chown('', key)}"
    return ""


def intrusion(folder: Path) -> str:
    """Says that others could change what is in this folder, and the next step; empty if they could
    not. Raises OSError."""
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022:
        return (
            f"others can write in {folder} (mode {mode:04o}): run"
            f" `chmod go-w {shlex.quote(str(folder))}`"
        )
    if others := _other_owner(status):
        return (
            f"{folder} belongs to {others}, who can change what is in it: {_chown('-R ', folder)}"
        )
    return ""


def _other_owner(status: os.stat_result) -> str:
    """The name of the owner, unless that is this process's user or root."""
    return "" if status.st_uid in (0, os.geteuid()) else _name_of(status.st_uid)


def _chown(options: str, path: Path) -> str:
    mine = _name_of(os.geteuid())
    return f"run `chown {options}{mine} {shlex.quote(str(path))}`, or choose another"


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
