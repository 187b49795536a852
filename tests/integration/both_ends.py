"""Both ends of links over real sockets, for tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.listener import listen
from tsproto import limits
from tsproto.codec import FrameReader, decode_message, encode
from tsproto.errors import ErrorCode
from tsproto.messages import AnnounceInventory, Goodbye, Hello, InventoryRow, Message, Role
from tsproto.transport import Listener, dial
from tsproto.transport.link import Link

HOST = "127.0.0.1"
TS, LS, ADMIN, CLIENT = (
    Role.TERMINAL_SERVER,
    Role.LICENSE_SERVER,
    Role.ADMINISTRATOR,
    Role.CLIENT,
)
# About 48 bytes a row: 256 rows make a message of 12 kB.
INVENTORY = AnnounceInventory(
    inventory=[InventoryRow(product="p" * 40, product_version=1, available=1)] * 256
)


@asynccontextmanager
async def listening(owner: Any, tls: ssl.SSLContext | None, **more: Any) -> AsyncIterator[Listener]:
    options: dict[str, Any] = {"role": LS, "name": "ls1", "farm": "lab"} | more
    listener = await listen(HOST, 0, owner, tls=tls, **options)
    try:
        yield listener
    finally:
        await listener.close()


@asynccontextmanager
async def dialled(
    port: int, owner: Any, tls: ssl.SSLContext | None, **more: Any
) -> AsyncIterator[Link]:
    options: dict[str, Any] = {"role": ADMIN, "name": "admin"} | more
    link = await dial(HOST, port, owner, tls=tls, **options)
    try:
        yield link
    finally:
        link.close(ErrorCode.NORMAL)
        await link.wait_closed()


async def last_words(reader: asyncio.StreamReader) -> list[Message]:
    """Every message that comes until the other end hangs up."""
    frames = FrameReader(limits.FRAME_BYTES)
    messages = []
    while data := await reader.read(1 << 16):
        messages += [decode_message(body) for _, body in frames.feed(data)]
    return messages


def hello(role: Role, name: str) -> bytes:
    return encode(
        Hello(
            version_min=limits.PROTOCOL_VERSION_MIN,
            version_max=limits.PROTOCOL_VERSION_MAX,
            role=role,
            name=name,
        )
    )


def code_of(messages: list[Message]) -> ErrorCode:
    last = messages[-1]
    assert isinstance(last, Goodbye)
    return last.code
