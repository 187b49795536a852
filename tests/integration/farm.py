"""A farm's certificates in a folder, and an owner of links that remembers what it was told."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tsproto import certificates
from tsproto.connection import Closed, Event, Opened, Received
from tsproto.messages import DAEMONS, AdministratorRole, Pools, QueryPools, Role
from tsproto.transport.link import Link
from tsproto.transport.tls import FarmContext, client_tls, daemon_tls, server_tls

NOW = 1_700_000_000.0
DAYS = 20 * 365
ADDRESSES = ("127.0.0.1", "::1", "localhost")


class Farm:
    """An authority, and the certificates of the daemons that were asked for."""

    def __init__(
        self, folder: Path, name: str = "lab", addresses: tuple[str, ...] = ADDRESSES
    ) -> None:
        self._addresses = addresses
        self.folder = folder
        self.name = name
        self.authority, self._key = certificates.create_authority(name, NOW)
        (folder / f"{name}.crt").write_bytes(self.authority)

    def files(self, role: Role, name: str) -> tuple[Path, Path, Path]:
        """Certificate, key and authority."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not certificate.exists():
            at = self._addresses if role in DAEMONS else ()
            pem, key_pem = certificates.issue_certificate(
                self.authority,
                self._key,
                role,
                name,
                NOW,
                days=DAYS,
                addresses=at,
                administrator_role=AdministratorRole.ADMIN,
            )
            certificate.write_bytes(pem)
            key.touch(mode=0o600)
            key.write_bytes(key_pem)
            key.chmod(0o600)
        return certificate, key, self.folder / f"{self.name}.crt"

    def server(self, role: Role, name: str) -> FarmContext:
        return server_tls(*self.files(role, name))

    def daemon(self, role: Role, name: str) -> FarmContext:
        return daemon_tls(*self.files(role, name))

    def client(self) -> FarmContext:
        return client_tls([self.authority])


class Recorder:
    """An owner that keeps every event with its link, and answers QueryPools at once."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Link, Event]] = asyncio.Queue()
        self.writable = asyncio.Event()

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            self.told.put_nowait((link, event))
            if isinstance(event, Received) and isinstance(event.message, QueryPools):
                link.send(Pools(pools=[]), event.message.request_id)

    def on_writable(self, link: Link) -> None:
        self.writable.set()

    async def next(self, kind: type[Event]) -> tuple[Link, Event]:
        """The next event of this kind and its link; those before it are dropped."""
        while True:
            link, event = await self.told.get()
            if isinstance(event, kind):
                return link, event

    async def opened(self) -> Link:
        return (await self.next(Opened))[0]

    async def closed(self) -> Closed:
        event = (await self.next(Closed))[1]
        assert isinstance(event, Closed)
        return event
