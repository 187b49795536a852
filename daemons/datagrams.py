"""The UDP sockets of discovery.

Every daemon speaks and listens on a socket of its own, with a port that the system chose: answers
come back to where a query came from. A license server hears queries on a second one, which it
shares with the other license servers of the machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import structlog

from daemons.config import ConfigError, is_loopback
from daemons.settings import Discovery
from tsproto import limits

Heard = Callable[[str, int, bytes], None]
ANY_ADDRESS = "0.0.0.0"

_log = structlog.get_logger()


class Datagrams:
    """`heard` is called with host, port and datagram, for answers and for queries alike."""

    def __init__(self, settings: Discovery, heard: Heard) -> None:
        self._settings = settings
        self._heard = heard
        self._transports: list[asyncio.DatagramTransport] = []

    async def open(self, hears_queries: bool, listens_on: str = ANY_ADDRESS) -> None:
        """Speak from the configured source, or else from `listens_on`: whoever hears an answer
        dials where it came from. Raises ConfigError when an address cannot be had."""
        settings = self._settings
        if settings.source:
            own = _bound("discovery", settings.source, 0)
        else:
            own = _bound("listen", ANY_ADDRESS if ":" in listens_on else listens_on, 0)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        await self._listen(own)
        if hears_queries:
            await self._listen(
                _bound("discovery", _query_address(settings.broadcast), settings.port)
            )

    def broadcast(self, datagram: bytes) -> None:
        self.send(self._settings.broadcast, self._settings.port, datagram)

    def send(self, host: str, port: int, datagram: bytes) -> None:
        """A datagram that cannot leave is lost, as it may be on its way."""
        try:
            self._transports[0].sendto(datagram, (host, port))
        except OSError as error:
            _log.debug("datagram.unsent", host=host, port=port, error=str(error))

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    async def _listen(self, bound: socket.socket) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Ear(self._heard), sock=bound
        )
        self._transports.append(transport)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if len(data) <= limits.DATAGRAM_BYTES:
            self._heard(addr[0], addr[1], data)

    def error_received(self, exc: Exception) -> None:
        _log.debug("datagram.unsent", error=str(exc))


def _bound(section: str, host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if port:  # the broadcast of one query reaches every socket that shares the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"{section}: {host} port {port} cannot be had: {error}") from None
    return bound


def _query_address(broadcast: str) -> str:
    """Labs share a machine, so a loopback broadcast is heard on its own address; elsewhere the
    limited broadcast and the network's own both arrive at any address."""
    return broadcast if is_loopback(broadcast) else ANY_ADDRESS
