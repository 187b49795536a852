"""The hands of one daemon's switchboard that hold sockets: links that others dialled, and dials."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

import msgspec

from daemons.config import ConfigError
from daemons.effects import Endpoint, Failed
from daemons.switchboard import Switchboard
from tsproto import limits
from tsproto.connection import Closed, Event, SessionBytes
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState, Role
from tsproto.transport import DialFailed, Link, Listener, dial, listen
from tsproto.transport.error_text import words_of


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """Who this daemon is to its peers. `listen_tls` and `dial_tls` None mean plain TCP."""

    role: Role
    name: str
    farm: str
    listen_tls: ssl.SSLContext | None = None
    dial_tls: ssl.SSLContext | None = None
    plain_anywhere: bool = False
    connections_max: int = limits.CONNECTIONS_MAX


class SessionTraffic(Protocol):
    """Whoever pumps the bytes of sessions, which no core sees."""

    def on_session_bytes(self, link: Link, data: bytes) -> None: ...
    def on_writable(self, link: Link) -> None: ...


class NoSessions:
    """For a daemon without sessions: nobody may send it session bytes."""

    def on_session_bytes(self, link: Link, data: bytes) -> None:
        raise AssertionError("session bytes on a link without a session")

    def on_writable(self, link: Link) -> None: ...


class Links:
    """`turn` is called after everything that happened at once."""

    switchboard: Switchboard

    def __init__(self, station: Station, turn: Callable[[], None]) -> None:
        self.traffic: SessionTraffic = NoSessions()
        self._station = station
        self._turn = turn
        self._listener: Listener | None = None
        self._dials: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """The port that was got; raises ConfigError when the address cannot be had."""
        station = self._station
        try:
            self._listener = await listen(
                host,
                port,
                self,
                role=station.role,
                name=station.name,
                farm=station.farm,
                tls=station.listen_tls,
                plain_anywhere=station.plain_anywhere,
                connections_max=station.connections_max,
                connections_per_address_max=min(
                    limits.CONNECTIONS_PER_ADDRESS_MAX, station.connections_max // 2
                ),
            )
        except OSError as error:
            detail = words_of(error)
            raise ConfigError(f"listen: {host} port {port} cannot be had: {detail}") from None
        return self._listener.port

    async def close(self) -> None:
        """Say Goodbye to every peer and wait until all are gone; nothing is reported any more."""
        for task in self._dials:
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        lines = self.switchboard.lines_dialled() if hasattr(self, "switchboard") else []
        dialled = [line for line in lines if isinstance(line, Link)]
        for link in dialled:
            link.close(ErrorCode.SHUTTING_DOWN)
        if self._listener is not None:
            await self._listener.close(ErrorCode.SHUTTING_DOWN)
        await asyncio.gather(*(link.wait_closed() for link in dialled))

    def dial(self, endpoint: Endpoint) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(endpoint))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, endpoint: Endpoint) -> None:
        station = self._station
        try:
            link = await dial(
                endpoint.host,
                endpoint.port,
                self,
                role=station.role,
                name=station.name,
                farm=station.farm,
                tls=station.dial_tls,
                expect_role=endpoint.role,
                expect_name=endpoint.name,
                plain_anywhere=station.plain_anywhere,
            )
        except DialFailed as error:
            self.switchboard.dial_failed(endpoint, Failed(error.code, error.detail))
            self._turn()
        else:
            self.switchboard.dialled(endpoint, link)

    # --- LinkOwner --------------------------------------------------------------------------------

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if type(event) is SessionBytes:
                self._turn()  # a new size, say, came before these bytes
                self.traffic.on_session_bytes(link, event.data)
            else:
                self.switchboard.happened(link, event)
        self._notice_end(link)
        self._turn()

    def on_writable(self, link: Link) -> None:
        self.traffic.on_writable(link)
        self._notice_end(link)
        self._turn()

    def _notice_end(self, link: Link) -> None:
        """Whoever was given the bytes of a session may have closed its link."""
        if link.connection.state is LinkState.CLOSED and self.switchboard.peer_of(link):
            self.switchboard.happened(link, Closed(ErrorCode.NORMAL, by_peer=False))
