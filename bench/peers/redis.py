"""Redis on loopback, plain or TLS, without durability: a directory keeps nothing on disk either."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench import packages
from bench.peers.ports import READY_SECONDS, free_port, wait_until_it_listens
from bench.pipelining import Server
from tsproto.transport.tls import FarmContext


@contextlib.contextmanager
def redis(folder: Path, pki: Path | None, tls: FarmContext | None) -> Iterator[Server]:
    """A server inside the block. With `pki`, which has `redis.crt`, `redis.key` and
    `authority.crt`, it speaks TLS and demands a certificate, as our daemons do."""
    program = packages.find("redis-server")
    if program is None:
        raise OSError("redis-server is missing")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = [program, "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly"]
    words += [
        "no",
        "--port",
        "0" if pki else str(port),
        "--daemonize",
        "no",
        "--loglevel",
        "warning",
    ]
    if pki is not None:
        words += ["--tls-port", str(port), "--tls-cert-file", str(pki / "redis.crt")]
        words += ["--tls-key-file", str(pki / "redis.key"), "--tls-protocols", "TLSv1.3"]
        words += ["--tls-ca-cert-file", str(pki / "authority.crt"), "--tls-auth-clients", "yes"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until_it_listens("redis-server", port, process, folder / "log")
        yield Server("127.0.0.1", port, process.pid, tls)
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def command(*words: str | bytes) -> bytes:
    """A command in Redis' format (RESP)."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
