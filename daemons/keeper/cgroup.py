"""A control group of its own for each session, where cgroup v2 may be written: a session that meets
its limits ends alone.

The keeper moves itself into a group beside them, because a group with processes has no limited
groups in it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from daemons.keeper.own_log import tell

MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
OWN = Path("/proc/self/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")
OOM_SCORE = "-900"  # of -1000 to 1000
MIB = 1024 * 1024


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """0 means no limit. `cpu_weight` is the session's share among those that want the CPU."""

    memory_mib: int
    processes: int
    cpu_weight: int


class SessionGroup:
    """The group of one session."""

    def __init__(self, folder: Path, session_limits: SessionLimits) -> None:
        """Raises OSError."""
        self.folder = folder
        self._limits = session_limits
        folder.mkdir(exist_ok=True)
        try:
            self._limit()
        except OSError:
            self.remove()
            raise

    def _limit(self) -> None:
        given = self._limits
        if given.memory_mib:
            self._write("memory.max", given.memory_mib * MIB)
            self._write("memory.oom.group", 1)  # half of a session is of no use
            with contextlib.suppress(OSError):  # a kernel without swap
                self._write("memory.swap.max", 0)
        if given.processes:
            self._write("pids.max", given.processes)
        if given.cpu_weight:
            self._write("cpu.weight", given.cpu_weight)

    def _write(self, name: str, value: int) -> None:
        (self.folder / name).write_text(str(value))

    def met(self) -> str:
        """The limit that the session has met, for its user; empty for none."""
        if _count(self.folder / "memory.events", "oom_kill"):
            return f"the session used more than its {self._limits.memory_mib} MiB of memory"
        if _count(self.folder / "pids.events", "max"):
            return f"the session wanted more than its {self._limits.processes} processes"
        return ""

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # a process is left: the next keeper removes it
            self.folder.rmdir()


class SessionGroups:
    """The groups of this keeper's sessions. `root` is the keeper's own group when it started."""

    def __init__(self, root: Path) -> None:
        """Raises OSError where groups cannot be made."""
        self._root = root
        keepers = root / "keeper"
        keepers.mkdir(exist_ok=True)
        for pid in [str(os.getpid()), *_others(root)]:
            with contextlib.suppress(ProcessLookupError):
                (keepers / "cgroup.procs").write_text(pid)
        wanted = " ".join(f"+{name}" for name in CONTROLLERS)
        (root / "cgroup.subtree_control").write_text(wanted)
        for left in root.glob("session-*"):
            with contextlib.suppress(OSError):  # sessions of an earlier keeper run in it
                left.rmdir()

    def group(self, session_id: int, session_limits: SessionLimits) -> SessionGroup:
        """Raises OSError."""
        return SessionGroup(self._root / f"session-{session_id}", session_limits)


def groups_of(wanted: SessionLimits) -> SessionGroups | None:
    """This keeper's, which is to be the last that the kernel ends when it looks for memory. Where
    none can be made, and limits are wanted, the log says so."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    reason = "no cgroup v2 with the controllers memory, pids and cpu"
    try:
        if (root := own_group()) is not None:
            return SessionGroups(root)
    except OSError as error:
        reason = str(error)
    if wanted != SessionLimits(memory_mib=0, processes=0, cpu_weight=0):
        tell(f"sessions run without limits: {reason}")
    return None


def _others(root: Path) -> list[str]:
    """The processes beside the keeper in a systemd service, which are tsfarm's own. Elsewhere they
    may be anybody's, and stay: then groups cannot be made."""
    return (root / "cgroup.procs").read_text().split() if root.suffix == ".service" else []


def own_group(own: Path = OWN, mounts: tuple[Path, ...] = MOUNTS) -> Path | None:
    """This process's group of cgroup v2, where that has the controllers that are needed."""
    for line in own.read_text().splitlines():
        if not line.startswith("0::/"):
            continue
        for mount in mounts:
            folder = mount / line.removeprefix("0::/")
            with contextlib.suppress(OSError):
                offered = (folder / "cgroup.controllers").read_text().split()
                if set(CONTROLLERS) <= set(offered):
                    return folder.parent if folder.name == "keeper" else folder
    return None


def _count(events: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in events.read_text().splitlines():
            word, _, number = line.partition(" ")
            if word == name:
                return int(number)
    return 0
