"""A flood of connections from several networks of loopback, to be run as a process of its own:
`python -m tests.integration.flooding HOST PORT NETWORKS CONNECTIONS`.

Each network holds as many connections as it gets, of three kinds: TCP without a word, TLS without a
word, and a Hello without a license. A connection that is cut is made anew at once. Says "ready"
when each connection was made once or was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys

import uvloop

from tests.integration.both_ends import CLIENT, hello

KINDS = ("tcp", "tls", "hello")
FIRST_NETWORK = 101  # 127.101.0.0/24
PAUSE_SECONDS = 0.01  # after a connection that was refused: a real flooder has a round trip, too


async def flood(host: str, port: int, networks: int, connections: int) -> None:
    started = asyncio.Semaphore(0)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with asyncio.TaskGroup() as flooders:
        for network in range(FIRST_NETWORK, FIRST_NETWORK + networks):
            for number in range(connections):
                source, kind = f"127.{network}.0.{number % 250 + 1}", KINDS[number % len(KINDS)]
                context = None if kind == "tcp" else tls
                flooders.create_task(hold(host, port, source, context, kind == "hello", started))
        for _ in range(networks * connections):
            await started.acquire()
        print("ready", flush=True)


async def hold(
    host: str,
    port: int,
    source: str,
    tls: ssl.SSLContext | None,
    says_hello: bool,
    started: asyncio.Semaphore,
) -> None:
    """Hold one connection for ever."""
    tries = 0
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, local_addr=(source, 0)
            )
            if says_hello:
                writer.write(hello(CLIENT, "flood"))
            if not tries:
                started.release()
            tries += 1
            while await reader.read(1 << 16):
                pass
            writer.close()
        if not tries:
            started.release()
        tries += 1
        await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    os.nice(19)  # flooders have machines of their own: these do not take the daemon's CPU
    to, at, *sizes = sys.argv[1:]
    uvloop.run(flood(to, int(at), *map(int, sizes)))
