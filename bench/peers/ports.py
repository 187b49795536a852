"""Loopback ports for peers' servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

READY_SECONDS = 10.0
STOP_SECONDS = 10.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def listening(words: Sequence[str], port: int, log: Path) -> Iterator[int]:
    """The process id of a server that runs inside the block, once it listens. Raises OSError, with
    the end of the log, when it ends first."""
    with open(log, "wb") as written:
        process = subprocess.Popen(words, stdout=written, stderr=written, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(words[0], port, process, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _wait_until_it_listens(
    name: str, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise OSError(f"{name} ended: {log.read_text()[-400:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise OSError(f"{name} did not listen within {READY_SECONDS:g} s")
