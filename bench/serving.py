"""Small servers for benches, each a process: `python -m bench.serving KIND …`.

Ours answers every PlaceSession with a constant, through the whole connection layer; the bare one is
a uvloop protocol that sends bytes back; the one for wrk serves one page.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from bench.pipelining import Server
from tsproto.connection import Event, Received
from tsproto.messages import PlaceSession, Role, SessionPlaced
from tsproto.transport import Link, Listener, LocalIdentity, bind, server_tls

HTTP = "http"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serving(
    kind: str, *words: str, tls: ssl.SSLContext | None = None
) -> contextlib.AbstractContextManager[Server]:
    """Runs `bench.serving KIND` in a process of its own."""
    return _running("bench.serving", kind, *words, tls=tls)


def trivial(peer: str) -> contextlib.AbstractContextManager[Server]:
    """Runs `bench.trivial`, the load generator's server."""
    return _running("bench.trivial", peer, "0")


@contextlib.contextmanager
def _running(module: str, *words: str, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """The server runs inside the block, on a free loopback port, which it prints."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                raise OSError(f"{' '.join(command)} ended with status {process.wait()}")
            yield Server("127.0.0.1", int(said), process.pid, tls)
        finally:
            process.terminate()


class Placer:
    """Owner of our server's links."""

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and isinstance(event.message, PlaceSession):
                placed = SessionPlaced(
                    placement=1, host="ts1", address="127.0.0.1", port=1, session_id=1
                )
                link.send(placed, event.message.request_id)

    def on_writable(self, link: Link) -> None: ...


class Page(asyncio.Protocol):
    """One answer for each request; requests have no body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(PAGE * data.count(b"\r\n\r\n"))


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve(kind: str, pki: Path | None) -> None:
    """Serve until the process is killed."""
    tls = server_tls(pki / "sd.crt", pki / "sd.key", pki / "authority.crt") if pki else None
    if kind == "ours":
        local = LocalIdentity(role=Role.SESSION_DIRECTORY, name="sd", farm="bench", listen_tls=tls)
        listener = Listener(bind("127.0.0.1", 0, local), Placer(), local)
        port = listener.port
    else:
        loop = asyncio.get_running_loop()
        protocol = Page if kind == HTTP else Echo
        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None))
