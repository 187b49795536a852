"""The user that a lab runs as: one without privilege also where root makes it."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from daemons.lab.plan import LabError, check_private

USERS = ("tsfarm", "nobody")  # the first that the machine has, unless sudo names one


def make_folder(folder: Path, *, as_root: bool) -> None:
    """For root: make the folder of a new lab for a user without privilege, unless `as_root`. A
    folder with other things in it is not given away. Raises LabError."""
    if os.geteuid() != 0:
        return
    is_lab = (folder / "lab.json").exists()
    if is_lab and folder.stat().st_uid == 0 and not as_root:
        raise LabError(
            f"the lab in {folder} runs as root: say so with --as-root, or make another one with"
            " --dir DIR"
        )
    if is_lab or as_root:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_private(folder)
        if any(folder.iterdir()):
            raise LabError(f"{folder} is not empty and no lab: choose another with --dir DIR")
        user = _without_privilege()
        os.chown(folder, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise LabError(f"{folder}: cannot be made: {error.strerror}") from None


def become_owner(folder: Path) -> None:
    """Root becomes the owner of the lab's folder, for good: what others may have written there
    is no danger to root. Raises LabError when that user cannot run the lab."""
    if os.geteuid() != 0 or not folder.exists() or folder.stat().st_uid == 0:
        return
    folder = folder.resolve()
    try:
        user = pwd.getpwuid(folder.stat().st_uid)
    except KeyError:
        detail = f"{folder} belongs to user {folder.stat().st_uid}, who has no name"
        raise LabError(detail) from None
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.environ["HOME"] = user.pw_dir
    for path in (folder, Path(sys.executable).resolve(), Path(__file__).parent):
        if not os.access(path, os.R_OK | os.X_OK):
            raise LabError(
                f"the lab runs as user {user.pw_name}, who cannot reach {path}: choose another"
                " place, or run it as root with --as-root"
            )


def _without_privilege() -> pwd.struct_passwd:
    """The user who called sudo; else the product's own, else nobody."""
    caller = os.environ.get("SUDO_UID", "0")
    if caller.isdigit() and int(caller) != 0:
        try:
            return pwd.getpwuid(int(caller))
        except KeyError:
            pass
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LabError(f"this machine has none of the users {', '.join(USERS)}: say --as-root")
