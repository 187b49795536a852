"""Receives messages between coordinator and worker: pickled objects over a socket pair
(`multiprocessing.Pipe`). Both are processes of the same run, so unpickling is safe."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import TypeVar

S = TypeVar("S")
R = TypeVar("R")


async def receive(connection: Connection[S, R]) -> R | None:
    """The next message; None once the other process has closed its end or has died.

    Reading blocks the loop, for microseconds: messages are sent whole.
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
