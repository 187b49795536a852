"""The keeper's record of the sessions that it started, for the keeper after it.

A terminal server asks the next keeper to adopt its sessions. Only this record says which program
belongs to which session, and the kernel must agree with it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from daemons.keeper.own_log import tell

_BORN = 19  # index of the start time among the fields of /proc/PID/stat after the name


class Started(msgspec.Struct, array_like=True, frozen=True):
    """A session's program and terminal. `born` is the program's start in clock ticks since the
    machine's: with it the process id is unique until the next `boot`. `terminal` is the file
    system and the inode of the PTY's slave."""

    session_id: int
    pid: int
    born: int
    terminal: tuple[int, int]
    boot: str

    @classmethod
    def now(cls, session_id: int, pid: int, slave: int) -> Started:
        """Raises OSError when the program has ended."""
        return cls(session_id, pid, born(pid), identity_of(slave), boot())

    def is_running(self) -> bool:
        try:
            return self.boot == boot() and self.born == born(self.pid)
        except OSError:
            return False


class Record:
    """One small file a session, in a folder that only the keeper's user can enter. It must outlive
    the keeper, not the machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._left: dict[int, Started] = {}  # by earlier keepers
        for path in folder.iterdir():
            started = _read(path)
            if started is not None and started.is_running():
                self._left[started.session_id] = started
            else:
                path.unlink(missing_ok=True)

    def add(self, started: Started) -> None:
        """A record that cannot be written costs no session unless the keeper dies."""
        self._left.pop(started.session_id, None)
        try:
            path = self._folder / str(started.session_id)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(started))
        except OSError as error:
            tell(f"session {started.session_id}: {error}")

    def remove(self, session_id: int) -> None:
        self._left.pop(session_id, None)
        with contextlib.suppress(OSError):
            (self._folder / str(session_id)).unlink()

    def left(self, session_id: int) -> Started | None:
        """A session that an earlier keeper started, and whose program still runs."""
        started = self._left.get(session_id)
        return started if started is not None and started.is_running() else None


def _read(path: Path) -> Started | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Started)
    except (OSError, msgspec.DecodeError):
        return None  # the keeper was killed while it wrote


def born(pid: int) -> int:
    """Raises OSError when there is no such process."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name may hold any character, but ends at the last parenthesis.
        return int(file.read().rpartition(b")")[2].split()[_BORN])


def identity_of(terminal: int) -> tuple[int, int]:
    found = os.fstat(terminal)
    return found.st_dev, found.st_ino


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
