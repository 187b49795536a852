"""Frames and messages <-> bytes.

A frame is one msgpack ext32 object, `0xc9 | u32 length | i8 kind | body`, so the stream is plain
msgpack and its header a fixed six bytes. Kind 0 is a message, kind 1 bytes of the attached session.
`msgpack` splits the stream and bounds it, `msgspec` gives the bodies their types: a value that got
past here is valid, and nobody checks its shape again.

An Unpacker that raised goes on reading in the middle of the bad object: after any error of this
module the connection must end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgpack
import msgspec

from tsproto import limits
from tsproto.errors import (
    FrameTooLong,
    MalformedFrame,
    MalformedMessage,
    UnknownFrameKind,
    UnknownMessage,
)
from tsproto.messages import TABLE, AnyMessage, Message

MESSAGE_KIND = 0
SESSION_KIND = 1
HEADER = struct.Struct(">BIb")
EXT32 = 0xC9

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(AnyMessage)
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message, request_id: int = 0) -> bytes:
    """One frame that holds the message; stamps the message with `request_id`."""
    message.request_id = request_id
    frame = bytearray(HEADER.size)
    _encoder.encode_into(message, frame, HEADER.size)
    HEADER.pack_into(frame, 0, EXT32, len(frame) - HEADER.size, MESSAGE_KIND)
    return bytes(frame)


def session_header(length: int) -> bytes:
    """The header of a frame of session bytes; the bytes themselves follow, uncopied."""
    return HEADER.pack(EXT32, length, SESSION_KIND)


def decode_message(body: bytes) -> Message:
    """The message in a frame of kind 0; raises UnknownMessage or MalformedMessage."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(body, error) from None


def _refusal(body: bytes, error: Exception) -> MalformedMessage | UnknownMessage:
    try:
        number = msgspec.msgpack.decode(body, type=list[msgspec.Raw])[0]
        known = msgspec.msgpack.decode(number, type=int)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return MalformedMessage("the body is no msgpack array that begins with a message number")
    if known not in TABLE:
        return UnknownMessage(f"no message has the number {known}")
    return MalformedMessage(f"{TABLE[known].__name__}: {error}")


class FrameReader:
    """Splits a stream into frames. `frame_bytes` bounds a body, and may be raised on the way."""

    def __init__(self, frame_bytes: int) -> None:
        self.frame_bytes = frame_bytes
        # Nothing but an ext has a length here: any other object ends the connection at its header.
        self._unpacker = msgpack.Unpacker(
            ext_hook=_Frame,
            max_buffer_size=limits.FRAME_BYTES + limits.FRAME_BYTES,
            max_ext_len=limits.FRAME_BYTES,
            max_array_len=0,
            max_map_len=0,
            max_str_len=0,
            max_bin_len=0,
        )
        self._fed = 0
        self._taken = 0
        self._head = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that `data` completes, as (kind, body), one by one.

        Raises MalformedFrame, UnknownFrameKind or FrameTooLong, as soon as a header shows it and
        whatever the pieces in which the bytes come.
        """
        for start in range(0, len(data), limits.FRAME_BYTES):
            yield from self._feed(data[start : start + limits.FRAME_BYTES])

    def _feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        unpacker = self._unpacker
        self._fed += len(data)
        try:
            unpacker.feed(data)
            for frame in unpacker:
                if type(frame) is not _Frame:
                    break
                before, self._taken = self._taken, unpacker.tell()
                yield self._checked(frame, self._taken - before)
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            self._check_head(data)
            raise MalformedFrame(f"not a frame: {error}") from None
        self._check_head(data)

    def _checked(self, frame: _Frame, taken: int) -> tuple[int, bytes]:
        body = frame.body
        if taken != HEADER.size + len(body):
            raise MalformedFrame("a frame is an ext32 object, whatever its length")
        self._check_length(len(body))
        _check_kind(frame.kind)
        return frame.kind, body

    def _check_head(self, data: bytes) -> None:
        """Refuse what is no frame, or will be none, by its header: before its body is held."""
        pending = self._fed - self._taken
        if not pending:
            self._head = b""
            return
        fresh = data[len(data) - pending :] if pending <= len(data) else self._head + data
        self._head = bytes(fresh[: HEADER.size])
        if self._head[0] != EXT32:
            raise MalformedFrame(f"a frame begins with 0xc9, not 0x{self._head[0]:02x}")
        if len(self._head) >= HEADER.size - 1:  # msgpack, too, refuses a length before its kind
            self._check_length(int.from_bytes(self._head[1:5], "big"))
        if len(self._head) == HEADER.size:
            _check_kind(HEADER.unpack(self._head)[2])

    def _check_length(self, length: int) -> None:
        if length > self.frame_bytes:
            raise FrameTooLong(f"a frame of {length} bytes, {self.frame_bytes} allowed now")


def _check_kind(kind: int) -> None:
    if kind not in (MESSAGE_KIND, SESSION_KIND):
        raise UnknownFrameKind(f"no frame has the kind {kind}")


class _Frame:
    __slots__ = ("body", "kind")

    def __init__(self, kind: int, body: bytes) -> None:
        self.kind = kind
        self.body = body
