"""What an administrator asks the daemons, with a certificate of that role or over plain TCP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from clients.steps import Host
from tsproto import identity, limits, transport
from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import (
    LicenseRow,
    Licenses,
    LicenseServers,
    Message,
    PoolRow,
    Pools,
    QueryLicenses,
    QueryLicenseServers,
    QueryPools,
    QueryServers,
    QuerySessions,
    Refused,
    Role,
    ServerRow,
    Servers,
    SessionRow,
    Sessions,
)

_M = TypeVar("_M", bound=Message)


class QueryFailed(TsfarmError):
    """A daemon did not answer, or refused to."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Daemon(msgspec.Struct, frozen=True):
    """A daemon to be asked; `role` and, unless empty, `host.name` are demanded of its
    certificate."""

    role: Role
    host: Host


class Administrator:
    """Asks under this name; with `tls` None over plain TCP, at loopback addresses."""

    def __init__(self, name: str, tls: ssl.SSLContext | None) -> None:
        self._name = name
        self._tls = tls

    @classmethod
    def certified(cls, certificate: Path, key: Path, authority: Path) -> Administrator:
        """By three PEM files. Raises TsfarmError when they are unusable."""
        try:
            own = identity.identity_of(identity.certificate_der(certificate.read_bytes()))
            tls = transport.daemon_tls(certificate, key, authority)
        except (OSError, ssl.SSLError) as error:
            files = f"{certificate}, {key} and {authority}"
            raise TsfarmError(f"cannot use {files}: {error.strerror or error}") from None
        if own.role is not Role.ADMINISTRATOR:
            raise TsfarmError(
                f"{certificate} is no administrator's certificate: make one with"
                " `tsfarm pki issue administrator NAME`"
            )
        return cls(own.name, tls)

    async def ask(self, daemon: Daemon, requests: Sequence[Message]) -> list[Message]:
        """The answers to these requests, in their order; raises QueryFailed."""
        async with Conversation(self._tls, self._name, daemon) as conversation:
            return [await conversation.ask(request) for request in requests]

    async def sessions(self, daemon: Daemon, user_name: str = "") -> list[SessionRow]:
        """Every session that a directory or terminal server knows, a page at a time."""
        found: list[SessionRow] = []
        async with Conversation(self._tls, self._name, daemon) as conversation:
            host, session_id, more = "", 0, True
            while more:
                query = QuerySessions(user_name=user_name, after_host=host, after_id=session_id)
                page = expect(await conversation.ask(query), Sessions)
                found += page.sessions
                more = page.more and bool(page.sessions)
                if more:
                    host, session_id = found[-1].host, found[-1].session_id
        return found

    async def licenses(self, daemon: Daemon) -> list[LicenseRow]:
        """The issue log of a license server, a page at a time."""
        found: list[LicenseRow] = []
        async with Conversation(self._tls, self._name, daemon) as conversation:
            after, more = b"", True
            while more:
                page = expect(await conversation.ask(QueryLicenses(after=after)), Licenses)
                found += page.licenses
                more = page.more and bool(page.licenses)
                after = found[-1].license_id if found else b""
        return found

    async def servers(self, daemon: Daemon) -> list[ServerRow]:
        [answer] = await self.ask(daemon, [QueryServers()])
        return expect(answer, Servers).servers

    async def pools(self, daemon: Daemon) -> list[PoolRow]:
        [answer] = await self.ask(daemon, [QueryPools()])
        return expect(answer, Pools).pools

    async def license_servers(self, daemon: Daemon) -> LicenseServers:
        """The license servers that a terminal server or license server knows."""
        [answer] = await self.ask(daemon, [QueryLicenseServers()])
        return expect(answer, LicenseServers)


class Conversation:
    """One link of an administrator, for requests one after the other."""

    def __init__(self, tls: ssl.SSLContext | None, name: str, daemon: Daemon) -> None:
        self._tls = tls
        self._name = name
        self._daemon = daemon
        self._lost: QueryFailed | None = None
        self._waiting: asyncio.Future[Message | None]

    async def __aenter__(self) -> Conversation:
        host = self._daemon.host
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            self._link = await transport.dial(
                host.address,
                host.port,
                self,
                role=Role.ADMINISTRATOR,
                name=self._name,
                tls=self._tls,
                expect_role=self._daemon.role,
                expect_name=host.name,
            )
        except transport.DialFailed as failed:
            raise QueryFailed(failed.code, failed.detail) from None
        await self._answer(limits.OPENING_SECONDS)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._link.close(ErrorCode.NORMAL)
        await self._link.wait_closed()

    async def ask(self, request: Message) -> Message:
        """The answer; raises QueryFailed for a refusal, silence or a lost link."""
        if self._lost is not None:
            raise self._lost
        self._waiting = asyncio.get_running_loop().create_future()
        self._link.request(request)
        self._link.flush()
        answer = await self._answer(limits.REQUEST_SECONDS)
        assert answer is not None
        if isinstance(answer, Refused):
            raise QueryFailed(
                answer.code, f"{self._daemon.host}: {answer.detail or answer.code.meaning}"
            )
        return answer

    async def _answer(self, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._waiting
        except TimeoutError:
            self._link.abort()
            detail = f"{self._daemon.host} did not answer within {seconds:g} s"
            raise QueryFailed(ErrorCode.UNANSWERED, detail) from None

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            match event:
                case Opened() if not self._waiting.done():
                    self._waiting.set_result(None)
                case Answered(message) if not self._waiting.done():
                    self._waiting.set_result(message)
                case Closed(code, detail):
                    why = f"{self._daemon.host}: {detail or code.meaning}"
                    self._lost = QueryFailed(code, why)
                    if not self._waiting.done():
                        self._waiting.set_exception(self._lost)
                case _:
                    pass

    def on_writable(self, link: transport.Link) -> None:
        """An administrator's link carries no session bytes."""


def expect(message: Message, wanted: type[_M]) -> _M:
    """The connection has checked that the answer is one to the request."""
    assert isinstance(message, wanted), message
    return message
