"""The UDP sockets of discovery.

Every daemon sends from a socket of its own, with a port that the system chose, and gets answers
there. A license server gets queries on a second socket, which it shares with the other license
servers of the machine; a query from outside the networks of its own address is ignored.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from daemons import events
from daemons.config import ConfigError
from daemons.effects import Broadcast, Performers, SendDatagram
from daemons.logs import log
from daemons.networks import OwnNetworks
from daemons.settings import Discovery
from tsproto import limits
from tsproto.addresses import is_loopback
from tsproto.error_text import words_of

Heard = Callable[[str, int, bytes], None]
ANY_ADDRESS = "0.0.0.0"


class Datagrams:
    """`heard` is called with the sender's host and port, and the datagram."""

    def __init__(self, settings: Discovery, heard: Heard) -> None:
        self._settings = settings
        self._heard = heard
        self._transports: list[asyncio.DatagramTransport] = []

    async def open(self, hears_queries: bool, listens_on: str = ANY_ADDRESS) -> None:
        """Send from the configured source, else from `listens_on`: the receiver of an answer dials
        the address it came from. Raises ConfigError when an address cannot be used."""
        settings = self._settings
        try:
            IPv4Address(settings.broadcast)
        except ValueError as error:
            raise ConfigError(f"discovery.broadcast: expected an IPv4 address: {error}") from None
        if settings.source:
            own = _bound("discovery.source", settings.source, 0)
        else:
            own = _bound("listen.host", ANY_ADDRESS if ":" in listens_on else listens_on, 0)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        await self._listen(own)
        if hears_queries:
            networks = _networks_of(own.getsockname()[0])
            queries = _bound("discovery.port", _query_address(settings.broadcast), settings.port)
            await self._listen(queries, networks)

    @property
    def performers(self) -> Performers:
        return {
            Broadcast: lambda effect: self.broadcast(effect.datagram),
            SendDatagram: lambda effect: self.send(effect.host, effect.port, effect.datagram),
        }

    def broadcast(self, datagram: bytes) -> None:
        self.send(self._settings.broadcast, self._settings.port, datagram)

    def send(self, host: str, port: int, datagram: bytes) -> None:
        """A datagram that cannot be sent is lost, as any datagram may be."""
        try:
            self._transports[0].sendto(datagram, (host, port))
        except OSError as error:
            log(events.DatagramUnsent(address=host, port=port, error=str(error)))

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    async def _listen(self, bound: socket.socket, networks: OwnNetworks | None = None) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(self._heard, networks), sock=bound
        )
        self._transports.append(transport)


class _Receiver(asyncio.DatagramProtocol):
    """Without `networks` it hears datagrams from everywhere."""

    def __init__(self, heard: Heard, networks: OwnNetworks | None) -> None:
        self._heard = heard
        self._networks = networks

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        is_near = self._networks is None or self._networks.hold(addr[0])
        if is_near and len(data) <= limits.DATAGRAM_BYTES:
            self._heard(addr[0], addr[1], data)

    def error_received(self, exc: Exception) -> None:
        log(events.DatagramUnsent(error=str(exc)))


def _bound(key: str, host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if port:  # the broadcast of one query reaches every socket that shares the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"{key}: expected an address of this machine and a free port, found {host} port {port}:"
            f" {words_of(error)}"
        ) from None
    return bound


def _networks_of(address: str) -> OwnNetworks:
    try:
        return OwnNetworks(address, time.monotonic)
    except OSError as error:
        detail = f"the networks of this machine cannot be read: {error.filename}: {words_of(error)}"
        raise ConfigError(f"discovery: {detail}") from None


def _query_address(broadcast: str) -> str:
    """Labs share a machine, so a loopback broadcast is heard on its own address; elsewhere the
    limited broadcast and the network's own both arrive at any address."""
    return broadcast if is_loopback(broadcast) else ANY_ADDRESS
