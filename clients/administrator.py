"""An administrator's questions to daemons: with a certificate of that role, or over plain TCP."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from clients.ask import Asker, asking
from clients.logon.steps import Host
from daemons.files import private
from tsproto import certificates, transport
from tsproto.errors import TsfarmError
from tsproto.messages import (
    HeldDenyLists,
    LicenseRow,
    Licenses,
    LicenseServers,
    PoolRow,
    Pools,
    QueryDenyLists,
    QueryLicenses,
    QueryLicenseServers,
    QueryPools,
    QueryServers,
    QuerySessions,
    Role,
    ServerRow,
    Servers,
    SessionRow,
    Sessions,
)


class Daemon(msgspec.Struct, frozen=True):
    """A daemon to query. Its certificate must carry `role`, and `host.name`, unless None and
    empty."""

    role: Role | None
    host: Host


class Administrator:
    """An administrator called `name`; without `tls` its links are plain TCP, to loopback
    addresses."""

    def __init__(self, name: str, tls: ssl.SSLContext | None) -> None:
        self._name = name
        self._tls = tls

    @classmethod
    def certified(cls, certificate: Path, key: Path, authority: Path) -> Administrator:
        """Reads three PEM files. Raises TsfarmError when one is missing or unusable."""
        try:
            own = certificates.identity_of(certificates.certificate_der(certificate.read_bytes()))
            tls = transport.daemon_tls(certificate, key, authority)
        except (OSError, ssl.SSLError) as error:
            files = f"{certificate}, {key} and {authority}"
            raise TsfarmError(f"cannot use {files}: {error.strerror or error}") from None
        if exposed := private.exposure(key, "administrator"):
            raise TsfarmError(exposed)
        if own.role is not Role.ADMINISTRATOR:
            raise TsfarmError(
                f"{certificate} is no administrator's certificate: make one with"
                " `tsfarm pki issue administrator NAME --role ROLE`"
            )
        return cls(own.name, tls)

    def asking(self, daemon: Daemon) -> AbstractAsyncContextManager[Asker]:
        """An open link for questions to this daemon. Raises AskFailed."""
        return asking(
            daemon.host,
            role=Role.ADMINISTRATOR,
            name=self._name,
            tls=self._tls,
            expect_role=daemon.role,
        )

    async def sessions(self, daemon: Daemon, user_name: str = "") -> list[SessionRow]:
        """Every session that a directory or terminal server knows, read page by page."""
        found: list[SessionRow] = []
        async with self.asking(daemon) as ask:
            host, session_id, more = "", 0, True
            while more:
                query = QuerySessions(user_name=user_name, after_host=host, after_id=session_id)
                page = await ask(query, Sessions)
                found += page.sessions
                more = page.more and bool(page.sessions)
                if more:
                    host, session_id = found[-1].host, found[-1].session_id
        return found

    async def licenses(self, daemon: Daemon) -> list[LicenseRow]:
        """Every license that a license server has issued, read page by page."""
        found: list[LicenseRow] = []
        async with self.asking(daemon) as ask:
            after, more = b"", True
            while more:
                page = await ask(QueryLicenses(after=after), Licenses)
                found += page.licenses
                more = page.more and bool(page.licenses)
                after = found[-1].license_id if found else b""
        return found

    async def servers(self, daemon: Daemon) -> list[ServerRow]:
        async with self.asking(daemon) as ask:
            return (await ask(QueryServers(), Servers)).servers

    async def pools(self, daemon: Daemon) -> list[PoolRow]:
        async with self.asking(daemon) as ask:
            return (await ask(QueryPools(), Pools)).pools

    async def deny_lists(self, daemon: Daemon) -> HeldDenyLists:
        async with self.asking(daemon) as ask:
            return await ask(QueryDenyLists(), HeldDenyLists)

    async def license_servers(self, daemon: Daemon) -> LicenseServers:
        """The license servers that a terminal server or license server knows."""
        async with self.asking(daemon) as ask:
            return await ask(QueryLicenseServers(), LicenseServers)
