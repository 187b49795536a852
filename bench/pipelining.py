"""The client of request/answer benches, the same for every server.

Raw asyncio protocols on uvloop. Each connection keeps `depth` requests unanswered: it sends one
more for each answer, in one write a wake-up. Requests are prepared bytes, and answers are only
counted, so that the server and not the client is busy.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import msgspec

from bench.context import Figures
from bench.processes import cpu_seconds
from tsproto import limits
from tsproto.codec import HEADER, encode
from tsproto.messages import Hello, Role

SETTLE_SECONDS = 0.2
PATIENCE_SECONDS = 60.0
HEARTBEAT_BYTES = 3

# Is given the bytes received on one connection, returns how many answers they complete, and keeps
# the rest: one object a connection.
Answers: TypeAlias = Callable[[bytes], int]


class Frames:
    """Counts frames without heartbeats, the only ones with a body of three bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> int:
        data = self._rest + data if self._rest else data
        start, count, size = 0, 0, len(data)
        while start + HEADER.size <= size:
            length = int.from_bytes(data[start + 1 : start + 5], "big")
            if start + HEADER.size + length > size:
                break
            start += HEADER.size + length
            count += length != HEARTBEAT_BYTES
        self._rest = data[start:]
        return count


class Equal:
    """Counts answers of equal size, in the unit of `size_of`: bytes, or lines as from Redis."""

    def __init__(self, size: int, size_of: Callable[[bytes], int]) -> None:
        self._size = size
        self._size_of = size_of
        self._rest = 0

    def __call__(self, data: bytes) -> int:
        count, self._rest = divmod(self._rest + self._size_of(data), self._size)
        return count


def lines(data: bytes) -> int:
    return data.count(b"\n")


class Load(msgspec.Struct, frozen=True):
    """The requests of one connection, sent in a cycle or `once`, and the counter of answers."""

    requests: Sequence[bytes]
    answers: Answers
    once: bool = False


class Pipeline(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self.answered = 0
        self._answers = answers
        self._requests: Iterator[bytes] = iter(())
        self._unanswered = 0
        self._is_running = False
        self._quiet: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()
        if self._quiet is not None and not self._quiet.done():
            self._quiet.set_exception(ConnectionError(f"the server hung up: {error or 'EOF'}"))

    def data_received(self, data: bytes) -> None:
        count = self._answers(data)
        self.answered += count
        self._unanswered -= count
        if self._is_running:
            self._send(count)
        elif self._quiet is not None and self._unanswered <= 0 and not self._quiet.done():
            self._quiet.set_result(None)

    async def say(self, data: bytes, answers: int) -> None:
        """Sends this outside of a load, and waits for this many answers."""
        self._unanswered += answers
        self._transport.write(data)
        await self._until_quiet()

    def start(self, load: Load, depth: int) -> None:
        self._requests = iter(load.requests) if load.once else itertools.cycle(load.requests)
        self._answers = load.answers
        self._is_running = True
        self._send(depth)

    async def stop(self) -> None:
        """Send no more, and wait for the open answers."""
        self._is_running = False
        await self._until_quiet()

    async def run_through(self, load: Load, depth: int) -> None:
        """Send all requests of a load with `once`, and wait for the last answer."""
        self.start(load, depth)
        await self._until_quiet()
        self._is_running = False

    async def close(self) -> None:
        self._transport.close()
        await self._gone.wait()

    async def _until_quiet(self) -> None:
        if self._unanswered <= 0:
            return
        self._quiet = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._quiet
        self._quiet = None

    def _send(self, count: int) -> None:
        todo = list(itertools.islice(self._requests, count))
        self._unanswered += len(todo)
        if todo:
            self._transport.write(b"".join(todo))
        elif not self._unanswered and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)


class Server(msgspec.Struct, frozen=True):
    """A server under test: its address and process."""

    host: str
    port: int
    pid: int
    tls: ssl.SSLContext | None = None


async def connect(server: Server, answers: Answers, tls: ssl.SSLContext | None = None) -> Pipeline:
    """A new connection. `tls` is its own context, for certificates that differ by connection."""
    context = tls or server.tls
    _, pipeline = await asyncio.get_running_loop().create_connection(
        lambda: Pipeline(answers),
        server.host,
        server.port,
        ssl=context,
        server_hostname="" if context else None,
    )
    return pipeline


async def welcomed(server: Server, name: str, tls: ssl.SSLContext | None = None) -> Pipeline:
    """A connection to a daemon of ours, as the terminal server `name`."""
    pipeline = await connect(server, Frames(), tls)
    hello = Hello(
        version_min=limits.PROTOCOL_VERSION_MIN,
        version_max=limits.PROTOCOL_VERSION_MAX,
        role=Role.TERMINAL_SERVER,
        name=name,
    )
    await pipeline.say(encode(hello), 1)
    return pipeline


async def measure(
    server: Server,
    loads: Sequence[tuple[Pipeline, Load]],
    depth: int,
    seconds: float,
    parts: int = 1,
) -> Figures:
    """The server's operations a second, and CPU for each (µs), within `seconds`. A request with one
    answer may stand for `parts` operations."""

    def answered() -> int:
        return sum(pipeline.answered for pipeline, _ in loads)

    for pipeline, load in loads:
        pipeline.start(load, depth)
    await asyncio.sleep(min(SETTLE_SECONDS, seconds))
    before, cpu, began = answered(), cpu_seconds(server.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    cpu, count = cpu_seconds(server.pid) - cpu, (answered() - before) * parts
    await asyncio.gather(*(pipeline.stop() for pipeline, _ in loads))
    if not count:
        raise ConnectionError(f"{server.host}:{server.port} answered nothing in {seconds:g} s")
    return {"rate": count / took, "cpu": cpu / count * 1e6}
