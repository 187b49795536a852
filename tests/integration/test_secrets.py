"""What of a password is left in the memory of a client that has logged on with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from tests.integration.scripted_server import ScriptedServer
from tests.integration.test_connect import Screen, Starter, farm, on_screen, screen, server, starter

__all__ = ["farm", "screen", "server", "starter"]  # fixtures

pytestmark = [
    pytest.mark.asyncio(loop_factories=["asyncio"]),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the memory of a client"),
]
PASSWORD = b"correct-horse-battery-staple"


def memory_of(pid: int) -> Iterator[bytes]:
    """Each writable mapping of a process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, mode, *_ = line.split()
            if mode.startswith("rw"):
                start, end = (int(each, 16) for each in span.split("-"))
                try:
                    yield os.pread(memory.fileno(), end - start, start)
                except OSError:
                    continue


def copies(pid: int, secret: bytes) -> int:
    return sum(mapping.count(secret) for mapping in memory_of(pid))


async def test_no_copy_of_a_password_is_left_after_the_logon(
    screen: Screen, server: ScriptedServer, starter: Starter
) -> None:
    process = await on_screen(screen, server, starter)
    await screen.until("user1's password at 127.0.0.1:[0-9]+: ")
    assert copies(process.pid, b"user1") > 0  # memory is read
    screen.type(PASSWORD + b"\n")
    await server.resized.wait()
    found = await asyncio.to_thread(copies, process.pid, PASSWORD)
    tail = await asyncio.to_thread(copies, process.pid, PASSWORD[8:])
    wide = await asyncio.to_thread(copies, process.pid, PASSWORD.decode().encode("utf-32-le"))
    assert (found, tail, wide) == (0, 0, 0)
