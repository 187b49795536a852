"""A whole farm on one machine: real processes on addresses 127.0.x.y, in one folder.

Every daemon has its own address, certificate, configuration, log and state below the folder, and
can be started, stopped and killed alone. The lab imports no daemon: it starts processes, as an
operator would. Its clock can be set forward, so that ninety days pass in seconds.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemons.files import durable
from daemons.lab.plan import (
    Daemon,
    Lab,
    LabError,
    LicenseServerPlan,
    Plan,
    check_private,
    load,
    load_user,
)
from daemons.lab.processes import kill, pid_in, pid_of, signal_and_wait, start, stop
from daemons.lab.user import become_owner, make_folder

__all__ = [
    "Daemon",
    "Lab",
    "LabError",
    "LicenseServerPlan",
    "Plan",
    "advance_clock",
    "become_owner",
    "clock_offset",
    "connect_hint",
    "down",
    "kill",
    "load",
    "load_user",
    "make_folder",
    "pid_of",
    "start",
    "status",
    "stop",
    "up",
]


def up(folder: Path, plan: Plan | None = None, say: Callable[[str], None] = print) -> Lab:
    """Make the lab in `folder` unless there is one, and start the daemons that do not run.

    Raises LabError when the existing lab uses TLS and the plan does not, or has fewer synthetic
    users than the plan.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_private(folder)
    with durable.locked(folder / "lock"):  # two that make one lab at once would mix two farms
        return _up(folder, plan or Plan(), say)


def _up(folder: Path, plan: Plan, say: Callable[[str], None]) -> Lab:
    lab = load(folder) if (folder / "lab.json").exists() else _made(folder, plan)
    if lab.tls and not plan.tls:
        raise LabError(f"the lab in {folder} was made with TLS: make a plain one in another folder")
    if lab.load_users < plan.load_users:
        raise LabError(
            f"the lab in {folder} was made with {lab.load_users} synthetic users: make one with"
            f" {plan.load_users} in another folder"
        )
    for daemon in lab.daemons:
        if pid_of(folder, daemon.name) is None:
            start(folder, daemon.name)
            say(f"{daemon.name:<12} {daemon.role:<18} {daemon.host}:{daemon.port}")
    return lab


def _made(folder: Path, plan: Plan) -> Lab:
    from daemons.lab.making import make  # argon2 and certificates, which no other command needs

    return make(folder, plan)


def down(folder: Path) -> None:
    """Stop every daemon, and the keepers with all their sessions."""
    lab = load(folder)
    for daemon in reversed(lab.daemons):
        if pid_of(folder, daemon.name) is not None:
            stop(folder, daemon.name)
    for daemon in lab.daemons:
        keeper = pid_in(folder / daemon.name / "state" / "keeper.pid", "daemons.keeper")
        if keeper is not None:
            signal_and_wait(keeper, signal.SIGTERM, f"the keeper of {daemon.name}")


def clock_offset(folder: Path) -> float:
    """Seconds that the lab's daemons add to the time."""
    return float((folder / "clock").read_text())


def advance_clock(folder: Path, seconds: float) -> float:
    """Set the lab's clock forward; returns the new offset in seconds. A running daemon reads it on
    `WarpClock`. Raises LabError."""
    if seconds < 0:
        raise LabError("a lab's clock only goes forward: licenses would be issued in the future")
    offset = clock_offset(folder) + seconds
    durable.replace(folder / "clock", f"{offset}\n".encode())
    return offset


def status(folder: Path) -> dict[str, Any]:
    """The lab as `tsfarm lab status --json` prints it."""
    lab = load(folder)
    return {
        "farm": lab.farm,
        "folder": str(folder),
        "clock_offset_seconds": clock_offset(folder),
        "daemons": [
            {
                "name": daemon.name,
                "role": daemon.role,
                "address": f"{daemon.host}:{daemon.port}",
                "pid": pid_of(folder, daemon.name),
            }
            for daemon in lab.daemons
        ],
    }


def connect_hint(folder: Path, lab: Lab) -> str:
    """The command that connects to this lab."""
    hosts = ",".join(f"{d.host}:{d.port}" for d in lab.daemons if d.role == "terminal_server")
    user = lab.users[0]
    trust = f"--ca {shlex.quote(str(folder / 'pki' / 'authority.crt'))}" if lab.tls else "--plain"
    return (
        f"tsfarm connect {hosts} --user {user} {trust}"
        f" --password-file {shlex.quote(str(folder / 'users' / user))}"
    )
