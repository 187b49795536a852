"""Starts a keeper as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import daemons
from daemons.config import ConfigError
from tsproto.errors import TsfarmError

START_SECONDS = 10.0  # until a new keeper listens
EXIT_USAGE = 2  # of argparse, for files too
SOCKET, PID_FILE = "keeper.sock", "keeper.pid"


class KeeperError(TsfarmError):
    """The keeper cannot be started, or does not answer."""


class KeeperMisconfigured(KeeperError, ConfigError):
    """A file that the keeper decides by cannot be used."""


def start_keeper(
    config: Path, folder: Path, *, idle_seconds: float | None = None, user_name: str = ""
) -> None:
    """Block until a keeper with its files in `folder` listens, a new one or one that runs already;
    as root it serves the terminal server of the user `user_name`. Raises KeeperError.

    It gets a kernel session of its own, so that it gets no signal to this process's group, and goes
    on when this process ends.
    """
    command = [sys.executable, "-m", "daemons.keeper", "--detach"]
    command += ["--config", str(config.absolute())]
    command += ["--socket", str(folder / SOCKET), "--pid-file", str(folder / PID_FILE)]
    if idle_seconds is not None:
        command += ["--idle-seconds", str(idle_seconds)]
    if user_name:
        command += ["--allow-user", user_name]
    try:
        subprocess.run(
            command,
            check=True,
            cwd=Path(daemons.__file__).parent.parent,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=START_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if error.returncode == EXIT_USAGE:
            raise KeeperMisconfigured(last.removeprefix("keeper: error: ")) from None
        raise KeeperError(f"the keeper cannot start: {last}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeeperError(f"the keeper cannot start: {error}") from None
