"""python-zeroconf on loopback: a service that another process registers, and its lookup."""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf

ADDRESS = "127.0.0.1"
PORT = 5601  # the service's claim; no program listens there
SERVICE = "_license._tcp.local."
NAME = f"license.{SERVICE}"
READY = b"registered\n"
LOOKUP_SECONDS = 10.0


def is_there() -> bool:
    return importlib.util.find_spec("zeroconf") is not None


@contextlib.contextmanager
def zeroconf(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose service is registered inside the block; it ends with its input."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.zeroconf"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline() != READY:
            raise OSError(f"python-zeroconf did not start: {(folder / 'log').read_text()[-400:]}")
        yield process
    finally:
        process.stdin.close()
        process.wait(LOOKUP_SECONDS)
        process.stdout.close()


def look_up() -> float:
    """Seconds from a new instance's browser to address and port. Raises OSError for none."""
    from zeroconf import ServiceBrowser, Zeroconf

    found: queue.SimpleQueue[float] = queue.SimpleQueue()

    def on_change(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if zeroconf.get_service_info(service_type, name) is not None:
            found.put(time.perf_counter())

    with contextlib.closing(Zeroconf(interfaces=[ADDRESS])) as instance:
        began = time.perf_counter()
        ServiceBrowser(instance, SERVICE, handlers=[on_change])
        try:
            return found.get(timeout=LOOKUP_SECONDS) - began
        except queue.Empty:
            raise OSError("python-zeroconf finds no service") from None


def serve() -> None:
    """Register the service, say so, and wait for the end of the input."""
    from zeroconf import ServiceInfo, Zeroconf

    service = ServiceInfo(
        SERVICE, NAME, addresses=[socket.inet_aton(ADDRESS)], port=PORT, server="license.local."
    )
    with contextlib.closing(Zeroconf(interfaces=[ADDRESS])) as instance:
        instance.register_service(service)
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    serve()
