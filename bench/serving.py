"""Small servers for benches, each a process: `python -m bench.serving KIND [PKI]`.

`ours` answers every PlaceSession with a constant, through the whole connection layer; `bare` is a
uvloop protocol that sends bytes back; `http` serves wrk one page; `trivial` is the load generator's
license server.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import uvloop

from bench.pipelining import Server
from bench.trivial import Trivial
from tsproto.connection import Event, Received
from tsproto.messages import PlaceSession, Role, SessionPlaced
from tsproto.transport import Link, Listener, LocalIdentity, bind, server_tls

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = "127.0.0.1"


@contextlib.contextmanager
def serving(kind: str, *words: str, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """The server runs inside the block, on a free loopback port, which it prints."""
    command = [sys.executable, "-m", "bench.serving", kind, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                raise OSError(f"{' '.join(command)} ended with status {process.wait()}")
            yield Server(HOST, int(said), process.pid, tls)
        finally:
            process.terminate()


class Placer:
    """Answers every request with the same placement."""

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and isinstance(event.message, PlaceSession):
                placed = SessionPlaced(placement=1, host="ts1", address=HOST, port=1, session_id=1)
                link.send(placed, event.message.request_id)

    def on_writable(self, link: Link) -> None: ...


class Replying(asyncio.Protocol):
    def __init__(self, reply: Callable[[bytes], bytes]) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._reply(data))


# Requests of HTTP have no body.
PROTOCOLS: dict[str, Callable[[], asyncio.Protocol]] = {
    "bare": lambda: Replying(lambda data: data),
    "http": lambda: Replying(lambda data: PAGE * data.count(b"\r\n\r\n")),
    "trivial": lambda: Trivial(Role.LICENSE_SERVER),
}


async def serve(kind: str, pki: Path | None) -> None:
    """Serve until the process is killed."""
    tls = server_tls(pki / "sd.crt", pki / "sd.key", pki / "authority.crt") if pki else None
    if kind == "ours":
        local = LocalIdentity(role=Role.SESSION_DIRECTORY, name="sd", farm="bench", listen_tls=tls)
        listener = Listener(bind(HOST, 0, local), Placer(), local)
        port = listener.port
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(PROTOCOLS[kind], HOST, 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None))
