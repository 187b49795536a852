"""tmux with a server of its own: how a user of OpenSSH leaves a session and comes back."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import packages

STOP_SECONDS = 10.0


class Tmux(msgspec.Struct, frozen=True):
    """`pid` is the server's."""

    program: str
    socket: str
    pid: int

    def start(self, name: str, *command: str) -> None:
        """Start a detached session that runs this."""
        _run(self.program, self.socket, "new-session", "-d", "-s", name, *command)

    def attach(self, name: str) -> str:
        """The shell command that attaches a session."""
        return shlex.join([self.program, "-S", self.socket, "attach", "-t", name])


def is_there() -> bool:
    return packages.find("tmux") is not None


@contextlib.contextmanager
def tmux(folder: Path) -> Iterator[Tmux]:
    """A server inside the block, without a user's configuration."""
    program = packages.find("tmux")
    if program is None:
        raise OSError("tmux is missing")
    folder.mkdir(parents=True, exist_ok=True)
    socket = str(folder / "socket")
    # A server without a session ends.
    _run(program, socket, "-f", os.devnull, "new-session", "-d", "-s", "idle", "cat")
    pid = int(_run(program, socket, "display-message", "-p", "#{pid}"))
    try:
        yield Tmux(program, socket, pid)
    finally:
        _end(pid)


def _run(program: str, socket: str, *words: str) -> str:
    done = subprocess.run(
        [program, "-S", socket, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(f"tmux: {done.stderr.strip()}")
    return done.stdout


def _end(pid: int) -> None:
    """End the server; it is not a child process, for its starter has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not select.select([descriptor], [], [], STOP_SECONDS)[0]:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
