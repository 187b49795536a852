"""Loopback ports for peers' servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path

READY_SECONDS = 10.0


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_listens(
    name: str, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Raises OSError, with the end of the log, when the process ends first."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise OSError(f"{name} ended: {log.read_text()[-400:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise OSError(f"{name} did not listen within {READY_SECONDS:g} s")
