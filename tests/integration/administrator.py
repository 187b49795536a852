"""An administrator's end of a link, for tests that ask a daemon something."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Role
from tsproto.transport import Link, dial

HOST = "127.0.0.1"


class Administrator:
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

    async def answer(self) -> Message:
        event = await self.events.get()
        assert isinstance(event, Answered), event
        return event.message

    async def closed(self) -> Closed:
        event = await self.events.get()
        assert isinstance(event, Closed), event
        return event


@asynccontextmanager
async def administrator(
    port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Administrator]:
    """An open link to the daemon that listens on this port of the loopback address."""
    who = Administrator()
    who.link = await dial(HOST, port, who, role=Role.ADMINISTRATOR, name="root", tls=tls)
    assert isinstance(await who.events.get(), Opened)
    try:
        yield who
    finally:
        who.link.close(ErrorCode.NORMAL)
        await who.link.wait_closed()
