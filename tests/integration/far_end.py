"""The other end of a link, for tests that speak with a daemon."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Role
from tsproto.transport import Link, dial

HOST = "127.0.0.1"

E = TypeVar("E", bound=Event)


class FarEnd:
    """The owner of one link; what happens on it waits in `events`."""

    link: Link

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    def on_events(self, link: Link, events: list[Event]) -> None:
        for event in events:
            self.events.put_nowait(event)

    def on_writable(self, link: Link) -> None: ...

    def request(self, message: Message) -> None:
        self.link.request(message)
        self.link.flush()

    async def next(self, kind: type[E]) -> E:
        event = await self.events.get()
        assert isinstance(event, kind), event
        return event

    async def answer(self) -> Message:
        return (await self.next(Answered)).message

    async def closed(self) -> Closed:
        return await self.next(Closed)


@asynccontextmanager
async def dialled(
    port: int, role: Role = Role.ADMINISTRATOR, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FarEnd]:
    """An open link to the daemon that listens on this port of the loopback address."""
    end = FarEnd()
    end.link = await dial(HOST, port, end, role=role, name="root", tls=tls)
    await end.next(Opened)
    try:
        yield end
    finally:
        end.link.close(ErrorCode.NORMAL)
        await end.link.wait_closed()
