"""Redis on loopback, plain or TLS, without durability: a directory keeps nothing on disk either."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench import packages
from bench.peers.ports import free_port, listening
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
    words = [program, "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    words += ["--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
    words += ["--port", "0" if pki else str(port)]
    if pki is not None:
        words += ["--tls-port", str(port), "--tls-cert-file", str(pki / "redis.crt")]
        words += ["--tls-key-file", str(pki / "redis.key"), "--tls-protocols", "TLSv1.3"]
        words += ["--tls-ca-cert-file", str(pki / "authority.crt"), "--tls-auth-clients", "yes"]
    with listening(words, port, folder / "log") as pid:
        yield Server("127.0.0.1", port, pid, tls)


def command(*words: str | bytes) -> bytes:
    """A command in Redis' format (RESP)."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
