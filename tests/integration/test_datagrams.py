"""Discovery's sockets on the loopback broadcast address."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Network
from unittest.mock import ANY

import pytest

from daemons.config import ConfigError
from daemons.datagrams import Datagrams
from daemons.settings import Discovery
from tsproto import limits


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Ear:
    """One daemon's sockets, and what they heard."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.heard: asyncio.Queue[tuple[str, int, bytes]] = asyncio.Queue()
        settings = Discovery(broadcast="127.255.255.255", port=port, source=source)
        self.datagrams = Datagrams(settings, lambda *heard: self.heard.put_nowait(heard))


async def test_a_broadcast_reaches_every_license_server_and_answers_reach_who_asked() -> None:
    port = free_port()
    asker, servers = Ear(port, "127.0.7.1"), [Ear(port, "127.0.7.2"), Ear(port, "127.0.7.3")]
    await asker.datagrams.open(hears_queries=False)
    for server in servers:
        await server.datagrams.open(hears_queries=True)
    asker.datagrams.broadcast(b"who serves?")
    for server in servers:
        host, answer_port, query = await server.heard.get()
        assert (host, query) == ("127.0.7.1", b"who serves?")
        server.datagrams.send(host, answer_port, b"I do")
    answers = [await asker.heard.get() for _ in servers]
    assert sorted(host for host, _, _ in answers) == ["127.0.7.2", "127.0.7.3"]
    for ear in (asker, *servers):
        ear.datagrams.close()


async def test_a_datagram_longer_than_any_of_ours_is_not_heard() -> None:
    port = free_port()
    speaker, listener = Ear(port), Ear(port)
    await speaker.datagrams.open(hears_queries=False)
    await listener.datagrams.open(hears_queries=True)
    speaker.datagrams.broadcast(bytes(limits.DATAGRAM_BYTES + 1))
    speaker.datagrams.broadcast(b"short")
    assert (await listener.heard.get())[2] == b"short"
    speaker.datagrams.close()
    listener.datagrams.close()


async def test_a_datagram_that_cannot_leave_is_lost() -> None:
    port = free_port()
    speaker, listener = Ear(port), Ear(port)
    await speaker.datagrams.open(hears_queries=False)
    await listener.datagrams.open(hears_queries=True)
    speaker.datagrams.send("127.0.0.1", port, bytes(70_000))
    speaker.datagrams.broadcast(b"next")
    assert (await listener.heard.get())[2] == b"next"
    speaker.datagrams.close()
    listener.datagrams.close()


async def test_without_a_source_it_is_heard_from_the_address_listened_on() -> None:
    port = free_port()
    asker, server = Ear(port, ""), Ear(port, "127.0.7.2")
    await asker.datagrams.open(hears_queries=False, listens_on="127.0.7.9")
    await server.datagrams.open(hears_queries=True)
    asker.datagrams.broadcast(b"who serves?")
    host, _, _ = await server.heard.get()
    assert host == "127.0.7.9"
    for ear in (asker, server):
        ear.datagrams.close()


async def test_a_query_from_outside_the_networks_of_the_own_address_is_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    near, far = Ear(port, "127.0.7.1"), Ear(port, "127.0.8.1")
    server = Ear(port, "127.0.7.2")
    monkeypatch.setattr("daemons.networks.LOOPBACK", IPv4Network("127.0.7.0/24"))
    await server.datagrams.open(hears_queries=True)
    for asker, query in ((far, b"from afar"), (near, b"from near")):
        await asker.datagrams.open(hears_queries=False)
        asker.datagrams.broadcast(query)
    assert await server.heard.get() == ("127.0.7.1", ANY, b"from near")
    for ear in (near, far, server):
        ear.datagrams.close()


async def test_a_source_that_is_not_ours_is_told() -> None:
    ear = Ear(free_port(), source="192.0.2.1")
    with pytest.raises(ConfigError, match=r"^discovery.source: .* 192.0.2.1 port 0: [A-Z]"):
        await ear.datagrams.open(hears_queries=False)
