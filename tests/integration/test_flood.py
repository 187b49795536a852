"""A flood from eight networks, and clients from a ninth that want to log on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.both_ends import CLIENT, HOST, TS, dialled, listening
from tests.integration.farm import Farm, Recorder
from tests.rules import ROOT
from tsproto import limits

NETWORKS = 8
CONNECTIONS = 60  # of each network; a third never begins its handshake
CLIENTS = 30
SLACK_SECONDS = 0.2  # for a busy machine, and HANDSHAKE_SPARED_SECONDS


@contextlib.asynccontextmanager
async def flooded(port: int) -> AsyncIterator[None]:
    words = ("-m", "tests.integration.flooding", HOST, port, NETWORKS, CONNECTIONS)
    flood = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, words), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert flood.stdout is not None
    try:
        assert await flood.stdout.readline() == b"ready\n"
        yield
    finally:
        flood.kill()
        await flood.wait()


async def slow_ones(farm: Farm, port: int) -> float:
    """The seconds from the dial to Welcome that nine in ten clients took at most."""
    took = []
    tls = farm.client()
    for _ in range(CLIENTS):
        here, began = Recorder(), time.perf_counter()
        async with dialled(port, here, tls, role=CLIENT, name="laptop"):
            await here.opened()
            took.append(time.perf_counter() - began)
    return sorted(took)[CLIENTS * 9 // 10]


async def test_clients_of_another_network_hardly_notice_a_flood(tmp_path: Path) -> None:
    assert NETWORKS * CONNECTIONS // 3 > limits.HANDSHAKES_MAX
    farm = Farm(tmp_path)
    async with listening(Recorder(), farm.server(TS, "ts1"), role=TS, name="ts1") as listener:
        quiet = await slow_ones(farm, listener.port)
        async with flooded(listener.port):
            assert await slow_ones(farm, listener.port) <= 2 * quiet + SLACK_SECONDS
