"""The sockets of one daemon: links that others dial, and those that its switchboard dials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from daemons.descriptors import WAITING_SHARE
from daemons.effects import Endpoint, Failed
from daemons.switchboard import Switchboard
from tsproto import limits
from tsproto.connection import Closed, Event, SessionBytes
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState
from tsproto.transport import DialFailed, Link, Listener, LocalIdentity, dial


class SessionTraffic(Protocol):
    """Pumps the bytes of sessions, which no core sees. Only a terminal server has sessions."""

    def on_session_bytes(self, link: Link, data: bytes) -> None: ...
    def on_writable(self, link: Link) -> None: ...


class Links:
    """Tells the switchboard what happens on links; `wake` is called after all that happened at
    once."""

    def __init__(
        self,
        identity: LocalIdentity,
        switchboard: Switchboard[Link],
        traffic: SessionTraffic | None,
        wake: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._switchboard = switchboard
        self._traffic = traffic
        self._wake = wake
        self._listener: Listener | None = None
        self._dials: set[asyncio.Task[None]] = set()

    def accept(self, listening: socket.socket, connections_max: int) -> None:
        per_address = min(limits.CONNECTIONS_PER_ADDRESS_MAX, connections_max // 2)
        self._listener = Listener(
            listening,
            self,
            self._identity,
            connections_max=connections_max,
            connections_per_address_max=per_address,
            unauthenticated_max=min(limits.UNAUTHENTICATED_MAX, connections_max // 4),
            waiting_max=min(limits.HANDSHAKES_WAITING_MAX, connections_max // WAITING_SHARE),
        )

    def take(self, identity: LocalIdentity) -> None:
        """Show this identity on links that are made from now on."""
        self._identity = identity
        if self._listener is not None:
            self._listener.local = identity

    async def close(self) -> None:
        """Say Goodbye to every peer and wait until all are gone; nothing more is reported."""
        for task in self._dials:
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        dialled = list(self._switchboard.dialled_lines())
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
        identity = self._identity
        try:
            link = await dial(
                endpoint.host,
                endpoint.port,
                self,
                role=identity.role,
                name=identity.name,
                farm=identity.farm,
                tls=identity.dial_tls,
                expect_role=endpoint.role,
                expect_name=endpoint.name,
                plain_anywhere=identity.plain_anywhere,
                deny_lists=identity.deny_lists,
            )
        except DialFailed as error:
            self._switchboard.dial_failed(endpoint, Failed(error.code, error.detail))
            self._wake()
        else:
            self._switchboard.dialled(endpoint, link)

    # --- LinkOwner --------------------------------------------------------------------------------

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if type(event) is SessionBytes:
                self._wake()  # a new size, say, came before these bytes
                assert self._traffic is not None
                self._traffic.on_session_bytes(link, event.data)
            else:
                self._switchboard.happened(link, event)
        self._notice_end(link)
        self._wake()

    def on_writable(self, link: Link) -> None:
        if self._traffic is not None:
            self._traffic.on_writable(link)
            self._notice_end(link)
            self._wake()

    def _notice_end(self, link: Link) -> None:
        """The traffic of a session may have closed its link."""
        if link.connection.state is LinkState.CLOSED:
            self._switchboard.happened(link, Closed(ErrorCode.NORMAL, by_peer=False))
