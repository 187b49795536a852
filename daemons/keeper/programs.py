"""Checks at the start of a terminal server that its shell and applications can be executed."""

from __future__ import annotations

import shutil
from pathlib import Path

from daemons.config import ConfigError
from daemons.keeper.launch import PATH, ROOT_PATH
from daemons.settings import Sessions


def check_programs(sessions: Sessions) -> None:
    """Raises ConfigError, which names the key."""
    search = ROOT_PATH if sessions.allow_root else PATH
    if sessions.shell:
        _check("sessions.shell", sessions.shell[0], "", search)
    for name, application in sessions.applications.items():
        key = f"sessions.applications.{name}.command"
        _check(key, application.command[0], application.folder, search)


def _check(key: str, program: str, folder: str, search: str) -> None:
    if "/" not in program:
        found, where = shutil.which(program, path=search), f"in {search}"
    elif folder or program.startswith("/"):
        found, where = shutil.which(Path(folder, program)), "there"
    else:
        return  # relative to the home of each user
    if found is None:
        raise ConfigError(f"{key}: expected an executable program, found {program!r}: none {where}")
