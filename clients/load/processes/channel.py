"""Messages over a pipe between the coordinator and a worker: MessagePack behind its length."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.msgpack import Decoder

from clients.load.processes.assignment import Assignment, Report, Start
from tsproto.errors import TsfarmError

T = TypeVar("T")

LENGTH = struct.Struct(">I")
# People of a large farm, with passwords, fit; a length beyond it is no length.
MESSAGE_BYTES_MAX = 256 * 1024 * 1024


class ChannelBroken(TsfarmError):
    """What came over the pipe is no message: something else was written to it."""


def packed(message: msgspec.Struct) -> bytes:
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def unpacked(body: bytes, decoder: Decoder[T]) -> T:
    """Raises ChannelBroken."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ChannelBroken(f"no message of a load run: {error}") from None


async def receive(reader: asyncio.StreamReader, decoder: Decoder[T]) -> T | None:
    """The next message, or None at the end of the pipe. Raises ChannelBroken."""
    try:
        length = _checked(LENGTH.unpack(await reader.readexactly(LENGTH.size))[0])
        return unpacked(await reader.readexactly(length), decoder)
    except asyncio.IncompleteReadError:
        return None


def receive_now(descriptor: int, decoder: Decoder[T]) -> T | None:
    """As `receive`, before there is a loop to wait on."""
    head = _read_exactly(descriptor, LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = _checked(LENGTH.unpack(head)[0])
    body = _read_exactly(descriptor, length)
    return unpacked(body, decoder) if len(body) == length else None


@contextlib.asynccontextmanager
async def reading(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """A reader of this pipe, which is closed at the end."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        yield reader
    finally:
        transport.close()


class Sender(asyncio.BaseProtocol):
    """Writes messages to a pipe and never waits for its reader."""

    _transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    async def open(self, descriptor: int) -> Sender:
        """Write to this pipe, which is closed with the sender."""
        self._transport, _ = await asyncio.get_running_loop().connect_write_pipe(
            lambda: self, os.fdopen(descriptor, "wb", buffering=0)
        )
        return self

    def send(self, message: msgspec.Struct) -> None:
        self._transport.write(packed(message))

    async def close(self) -> None:
        """Return when all has been written, or nobody reads it any more."""
        self._transport.close()
        await self._gone.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()


def _checked(length: int) -> int:
    if length > MESSAGE_BYTES_MAX:
        raise ChannelBroken(f"a message of {length} bytes: something else was written to the pipe")
    return length


def _read_exactly(descriptor: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        more = os.read(descriptor, length - len(parts))
        if not more:
            break
        parts += more
    return bytes(parts)


def _encoded(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _decoded(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise TypeError(f"{kind.__name__} cannot be received")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encoded)
ASSIGNMENTS: Decoder[Assignment] = Decoder(Assignment, dec_hook=_decoded)
STARTS: Decoder[Start] = Decoder(Start)
REPORTS: Decoder[Report] = Decoder(Report)
