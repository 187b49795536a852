"""Asks a daemon questions over one link, one after the other.

async with asking(host, role=Role.ADMINISTRATOR, name="admin", tls=tls) as ask:
    pools = await ask(QueryPools(), Pools)
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from clients.logon.steps import Host
from tsproto import limits, transport
from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode, PeerError
from tsproto.messages import Message, Refused, Role

M = TypeVar("M", bound=Message)
Dial = Callable[[transport.LinkOwner], Awaitable[transport.Link]]


class AskFailed(PeerError):
    """The daemon cannot be reached, is not the expected one, did not answer in time, or refused."""


def asking(
    host: Host,
    *,
    role: Role,
    name: str,
    tls: ssl.SSLContext | None,
    expect_role: Role | None = None,
) -> AbstractAsyncContextManager[Asker]:
    """An open link to `host`, as `role` and `name`. With TLS the daemon's certificate must carry
    `expect_role`, if given, and `host.name`, unless it is empty. Raises AskFailed."""

    async def dial(owner: transport.LinkOwner) -> transport.Link:
        return await transport.dial(
            host.address,
            host.port,
            owner,
            role=role,
            name=name,
            tls=tls,
            expect_role=expect_role,
            expect_name=host.name,
        )

    return asking_through(dial, host)


@asynccontextmanager
async def asking_through(dial: Dial, host: Host) -> AsyncIterator[Asker]:
    """As `asking`, over a link to `host` that `dial` opens."""
    asker = Asker(host)
    try:
        asker.link = await dial(asker)
    except transport.DialFailed as failed:
        raise AskFailed(failed.code, failed.detail) from None
    try:
        await asker.opened()
        yield asker
    finally:
        asker.link.close(ErrorCode.NORMAL)
        await asker.link.wait_closed()


class Asker:
    """The owner of one link for questions.

    A message that is no answer is ignored: a terminal server sends LicenseRequest to every client.
    """

    link: transport.Link

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lost: AskFailed | None = None
        self._waiting: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()

    async def __call__(
        self, request: Message, wanted: type[M], seconds: float = limits.REQUEST_SECONDS
    ) -> M:
        """The answer, of the type `wanted`. Raises AskFailed."""
        if self._lost is not None:
            raise self._lost
        self._waiting = asyncio.get_running_loop().create_future()
        self.link.request(request)
        self.link.flush()
        answer = await self._within(seconds)
        if isinstance(answer, Refused):
            raise AskFailed(answer.code, f"{self._host}: {answer.detail or answer.code.meaning}")
        # The connection accepts only the answers that the protocol has for this request.
        assert isinstance(answer, wanted), answer
        return answer

    async def opened(self) -> None:
        await self._within(limits.OPENING_SECONDS)

    async def _within(self, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._waiting
        except TimeoutError:
            self.link.abort()
            raise AskFailed(
                ErrorCode.UNANSWERED, f"{self._host} did not answer within {seconds:g} s"
            ) from None

    # --- for the link -----------------------------------------------------------------------------

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            match event:
                case Opened():
                    self._resolve(None)
                case Answered(message):
                    self._resolve(message)
                case Closed(code, detail):
                    self._lost = AskFailed(code, f"{self._host}: {detail or code.meaning}")
                    if not self._waiting.done():
                        self._waiting.set_exception(self._lost)
                case _:
                    pass

    def on_writable(self, link: transport.Link) -> None:
        """No session bytes are sent."""

    def _resolve(self, message: Message | None) -> None:
        if not self._waiting.done():
            self._waiting.set_result(message)
