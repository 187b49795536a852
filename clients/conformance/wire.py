"""Frames as any implementation might write and read them: a header by hand, a body by msgpack.

Nothing of `tsproto.codec` is used, so that a fault there is seen here.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any

import msgpack
import msgspec

from tsproto.messages import TABLE, AnyMessage, Message

HEADER = struct.Struct(">BIb")
EXT32 = 0xC9
MESSAGE_KIND = 0
SESSION_KIND = 1
SHOWN_CHARACTERS = 144  # of a value: 32 bytes fit; a longer text loses its middle

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(AnyMessage)


# The exceptions of msgspec for bytes that it cannot decode.
NO_MESSAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Unreadable(Exception):
    """The bytes are no frame, or no message of the table; the text says why."""


def frame(body: bytes, kind: int = MESSAGE_KIND) -> bytes:
    return HEADER.pack(EXT32, len(body), kind) + body


def values_of(message: Message) -> list[Any]:
    """The message as the array on the wire: number, request id, fields."""
    values: list[Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return values


def framed(values: object) -> bytes:
    """One frame around these values."""
    return frame(packed(values))


def packed(value: object) -> bytes:
    """The value in its shortest form. Surrogates in a text become the bytes that they stand for."""
    data: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return data


def message_bytes(message: Message, request_id: int = 0) -> bytes:
    number, _, *fields = values_of(message)
    return framed([number, request_id, *fields])


class Splitter:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now, as (kind, body). Raises Unreadable."""
        self._pending += data
        frames = []
        while len(self._pending) >= HEADER.size:
            first, length, kind = HEADER.unpack_from(self._pending)
            if first != EXT32 or kind not in (MESSAGE_KIND, SESSION_KIND):
                raise Unreadable(f"no frame begins with {self._pending[: HEADER.size].hex(' ')}")
            end = HEADER.size + length
            if len(self._pending) < end:
                break
            frames.append((kind, self._pending[HEADER.size : end]))
            self._pending = self._pending[end:]
        return frames


def read_message(body: bytes) -> Message:
    """Raises Unreadable when the body is no message of the table."""
    try:
        return _decoder.decode(body)
    except NO_MESSAGE as error:
        raise Unreadable(f"no message of the table: {error}") from None


def describe(data: bytes, characters: int = SHOWN_CHARACTERS) -> str:
    """These bytes for a person: the messages in them, with this many characters of each value."""
    try:
        frames = Splitter().feed(data)
        names = [_name(kind, body, characters) for kind, body in frames]
    except Unreadable:
        names = []
    whole = sum(HEADER.size + len(body) for _, body in frames) if names else 0
    rest = f"{len(data) - whole} bytes of no whole frame" if whole < len(data) else ""
    return ", ".join([*names, *([rest] if rest else [])])


def shown(value: object, characters: int = SHOWN_CHARACTERS) -> str:
    """The value as Python writes it; a longer text loses its middle, because values differ at their
    ends."""
    written = str(value) if isinstance(value, Enum) else repr(value)
    left_out = len(written) - characters
    if left_out <= 0:
        return written
    half = characters // 2
    return f"{written[:half]}… {left_out} more …{written[-half:]}"


def _name(kind: int, body: bytes, characters: int) -> str:
    if kind == SESSION_KIND:
        return f"{len(body)} session bytes"
    try:
        return _fields_of(read_message(body), characters)
    except Unreadable:
        number = _number(body)
        return f"a message that begins like {TABLE[number].__name__}" if number else "no message"


def _number(body: bytes) -> int | None:
    """The message number, read although a later field may be undecodable; None when it is not in
    the table."""
    try:
        first = msgspec.msgpack.decode(body, type=list[msgspec.Raw])[0]
        number = msgspec.msgpack.decode(first, type=int)
    except (*NO_MESSAGE, IndexError):
        return None
    return number if number in TABLE else None


def _fields_of(message: Message, characters: int) -> str:
    fields = [
        f"{name}={shown(getattr(message, name), characters)}"
        for name in message.__struct_fields__
        if name != "request_id" or message.request_id
    ]
    return f"{type(message).__name__}({', '.join(fields)})"
