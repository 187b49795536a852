"""tmux with a server of its own: how a user of OpenSSH leaves a session and comes back."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import packages
from daemons.lab.processes import signal_and_wait


class Tmux(msgspec.Struct, frozen=True):
    """`pid` is the server's."""

    program: str
    socket: str
    pid: int

    def session(self, *command: str) -> str:
        """Start a detached session that runs this; returns the shell command that attaches it."""
        name = secrets.token_hex(4)
        _run(self.program, self.socket, "new-session", "-d", "-s", name, *command)
        return shlex.join([self.program, "-S", self.socket, "attach", "-t", name])


@contextlib.contextmanager
def tmux(folder: Path) -> Iterator[Tmux | None]:
    """A server inside the block, without a user's configuration; None without the program."""
    program = packages.find("tmux")
    if program is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    socket = str(folder / "socket")
    # A server without a session ends.
    _run(program, socket, "-f", os.devnull, "new-session", "-d", "-s", "idle", "cat")
    pid = int(_run(program, socket, "display-message", "-p", "#{pid}"))
    try:
        yield Tmux(program, socket, pid)
    finally:
        signal_and_wait(pid, signal.SIGTERM, "tmux")


def _run(program: str, socket: str, *words: str) -> str:
    done = subprocess.run(
        [program, "-S", socket, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(f"tmux: {done.stderr.strip()}")
    return done.stdout
