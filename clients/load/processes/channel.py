"""Receives what coordinator and worker send each other: any picklable object, over a socket pair
(`multiprocessing.Pipe`). Both are processes of one run, so what is unpickled is our own.
"""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import TypeVar

S = TypeVar("S")
R = TypeVar("R")


async def receive(connection: Connection[S, R]) -> R | None:
    """The next message; None once the other process has closed its end or has died.

    The loop stands still while a message is read: microseconds, for it was sent as a whole.
    """
    loop, is_readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection.fileno(), is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(connection.fileno())
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None
