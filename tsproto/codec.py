"""Frames and messages <-> bytes.

A frame is one msgpack ext32 object, `0xc9 | u32 length | i8 kind | body`, so the stream is plain
msgpack and its header a fixed six bytes. Kind 0 is a message, kind 1 bytes of the attached session.
This module reads the header itself. `msgspec` decodes and validates bodies: a decoded message is
valid, and nobody checks its shape again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import msgspec

from tsproto.errors import (
    FrameTooLong,
    MalformedFrame,
    MalformedMessage,
    UnknownFrameKind,
    UnknownMessage,
)
from tsproto.messages import TABLE, Message

MESSAGE_KIND = 0
SESSION_KIND = 1
HEADER = struct.Struct(">BIb")
EXT32 = 0xC9
# More pieces of a frame are joined into one: each takes some 40 bytes besides its own.
PIECES_MAX = 64

# By number, each made when its first message comes: to make all takes longer than a client's logon.
_decoders: dict[int, Callable[[bytes], Message]] = {}
_encoder = msgspec.msgpack.Encoder()
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(message: Message, request_id: int = 0) -> bytes:
    """One frame that holds the message; stamps the message with `request_id`."""
    message.request_id = request_id
    body = _encoder.encode(message)
    return HEADER.pack(EXT32, len(body), MESSAGE_KIND) + body


def session_header(length: int) -> bytes:
    """The header of a frame of session bytes; the bytes themselves follow, uncopied."""
    return HEADER.pack(EXT32, length, SESSION_KIND)


def decode_message(body: bytes) -> Message:
    """The message in a frame of kind 0; raises UnknownMessage or MalformedMessage."""
    try:
        # The number follows the array's first byte, but in an array of more than 15 fields.
        return _decoders[body[1]](body)
    except (LookupError, *_UNREADABLE):
        return _decode_any(body)


def _decode_any(body: bytes) -> Message:
    try:
        first = msgspec.msgpack.decode(body, type=list[msgspec.Raw])[0]
        number = msgspec.msgpack.decode(first, type=int)
    except (IndexError, *_UNREADABLE):
        detail = "the body is no msgpack array that begins with a message number"
        raise MalformedMessage(detail) from None
    if number not in TABLE:
        raise UnknownMessage(f"no message has the number {number}")
    if number not in _decoders:
        _decoders[number] = msgspec.msgpack.Decoder(TABLE[number]).decode
    try:
        return _decoders[number](body)
    except _UNREADABLE as error:
        raise MalformedMessage(f"{TABLE[number].__name__}: {error}") from None


class FrameReader:
    """Splits a stream into frames. `frame_bytes` bounds a body, and may be raised later.

    An incomplete frame takes the memory of the bytes that have come, however they were divided.

    After an error the rest of the stream cannot be split: the connection must end.
    """

    def __init__(self, frame_bytes: int) -> None:
        self.frame_bytes = frame_bytes
        self._head = b""  # of a frame, shorter than a header
        self._kind = MESSAGE_KIND  # of the frame whose body is still to come
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that `data` completes, as (kind, body), one by one.

        Raises MalformedFrame, UnknownFrameKind or FrameTooLong as soon as a header shows the fault,
        however the bytes are divided.
        """
        start = 0
        if self._missing:
            start = min(self._missing, len(data))
            self._parts.append(data[:start])
            self._missing -= start
            if self._missing:
                if len(self._parts) > PIECES_MAX:
                    self._parts = [b"".join(self._parts)]
                return
            body = b"".join(self._parts)
            self._parts.clear()
            yield self._kind, body
        elif self._head:
            data = self._head + data
            self._head = b""
        end = len(data)
        while end - start >= HEADER.size:
            kind, length = self._header(data, start)
            start += HEADER.size
            if end - start < length:
                self._kind, self._parts, self._missing = kind, [data[start:]], length - end + start
                return
            yield kind, data[start : start + length]
            start += length
        if start < end:
            self._keep_head(data[start:])

    def _header(self, data: bytes, start: int) -> tuple[int, int]:
        marker, length, kind = HEADER.unpack_from(data, start)
        if marker != EXT32:
            raise _no_frame(marker)
        if length > self.frame_bytes:
            raise self._too_long(length)
        if kind != MESSAGE_KIND and kind != SESSION_KIND:
            raise UnknownFrameKind(f"no frame has the kind {kind}")
        return kind, length

    def _keep_head(self, head: bytes) -> None:
        """Keep the beginning of a header; refuse a wrong first byte or a too great length now."""
        if head[0] != EXT32:
            raise _no_frame(head[0])
        if len(head) == HEADER.size - 1:
            length = int.from_bytes(head[1:], "big")
            if length > self.frame_bytes:
                raise self._too_long(length)
        self._head = head

    def _too_long(self, length: int) -> FrameTooLong:
        return FrameTooLong(f"a frame of {length} bytes, {self.frame_bytes} allowed now")


def _no_frame(first: int) -> MalformedFrame:
    return MalformedFrame(f"a frame begins with 0xc9, not 0x{first:02x}")
