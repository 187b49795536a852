"""Starts, stops and kills the lab's daemons, each by its own process id."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from daemons.lab.plan import Daemon, LabError, load

READY_SECONDS = 20.0  # Python, its imports and a ledger's first fsync, on a loaded machine
STOP_SECONDS = 10.0

# The daemons that this process started; other processes find them by their pid files.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start(folder: Path, name: str) -> int:
    """Start one daemon and wait until it accepts connections; returns its process id."""
    folder = folder.resolve()  # the daemon runs in a folder of its own
    daemon = load(folder).daemon(name)
    if pid_of(folder, name) is not None:
        raise LabError(f"{name} runs already")
    home = folder / name
    with open(home / "log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"daemons.{daemon.role}", "--config", str(home / "config.toml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            start_new_session=True,
        )
    _children[process.pid] = process
    (home / "pid").write_text(f"{process.pid}\n")
    _wait_until_ready(daemon, process, home / "log")
    return process.pid


def stop(folder: Path, name: str) -> None:
    """Stop one daemon with SIGTERM. A terminal server's sessions go on in its keeper."""
    _end(folder, name, signal.SIGTERM)


def kill(folder: Path, name: str) -> None:
    """End one daemon with SIGKILL, as a crash would."""
    _end(folder, name, signal.SIGKILL)


def pid_of(folder: Path, name: str) -> int | None:
    """The process id of a daemon of this lab, or None while it does not run."""
    return pid_in(folder / name / "pid", str(folder.resolve() / name / "config.toml"))


def pid_in(file: Path, mark: str) -> int | None:
    """The id in a pid file, if `mark` is in that process's command line."""
    try:
        pid = int(file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return None
    is_zombie = stat.rpartition(")")[2].split()[0] == "Z"
    return pid if not is_zombie and any(mark.encode() in word for word in command) else None


def _end(folder: Path, name: str, how: signal.Signals) -> None:
    load(folder).daemon(name)
    pid = pid_of(folder, name)
    if pid is None:
        raise LabError(f"{name} does not run")
    signal_and_wait(pid, how, name)
    (folder / name / "pid").unlink(missing_ok=True)


def signal_and_wait(pid: int, how: signal.Signals, what: str) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, how)
        if not _ended_within(descriptor, STOP_SECONDS):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _ended_within(descriptor, STOP_SECONDS)
            raise LabError(f"{what} did not end within {STOP_SECONDS:.0f} s and was killed")
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
        if child := _children.pop(pid, None):
            child.wait()


def _ended_within(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _wait_until_ready(daemon: Daemon, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((daemon.host, daemon.port), timeout=1.0).close()
            return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        tail = log.read_text(errors="replace").splitlines()[-5:]
        raise LabError(
            f"{daemon.name} ended with status {process.returncode} at its start; {log} says:\n"
            + "\n".join(tail)
        )
    raise LabError(f"{daemon.name} did not listen within {READY_SECONDS:.0f} s; see {log}")
