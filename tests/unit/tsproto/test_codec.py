"""Frames and messages; plain `msgpack` is the other implementation that they are held against."""

from __future__ import annotations

import tracemalloc

import msgpack
import pytest

from tests.unit.tsproto.ends import frame, pieces
from tsproto import limits
from tsproto.codec import (
    MESSAGE_KIND,
    SESSION_KIND,
    FrameReader,
    decode_message,
    encode,
    session_header,
)
from tsproto.errors import ErrorCode, ProtocolError
from tsproto.messages import (
    Goodbye,
    Heartbeat,
    Hello,
    InventoryRow,
    LicenseServerRow,
    LicenseServers,
    Message,
    ResizeSession,
    Role,
)

LIMIT = limits.FRAME_BYTES_LOGON
HELLO = Hello(version_min=1, version_max=1, role=Role.CLIENT, name="laptop1")
SERVERS = LicenseServers(
    servers=[
        LicenseServerRow(
            name="ls1",
            address="127.0.0.1",
            port=5600,
            found="site",
            verified_at=5,
            inventory=[InventoryRow(product="p", product_version=1, available=2)],
        )
    ]
)


def read(data: bytes, size: int, limit: int = LIMIT) -> tuple[list[tuple[int, bytes]], object]:
    """The frames read from pieces of this size, and the code of the error that ended them."""
    reader = FrameReader(limit)
    found: list[tuple[int, bytes]] = []
    try:
        for piece in pieces(data, size):
            found.extend(reader.feed(piece))
    except ProtocolError as error:
        return found, error.code
    return found, None


def refusal(body: bytes) -> ErrorCode:
    with pytest.raises(ProtocolError) as caught:
        decode_message(body)
    return caught.value.code


def test_a_message_is_one_ext32_object_that_plain_msgpack_reads() -> None:
    ext = msgpack.unpackb(encode(HELLO, 7))
    assert ext.code == MESSAGE_KIND
    assert msgpack.unpackb(ext.data) == [1, 7, 1, 1, 1, "laptop1", 0, 0]


@pytest.mark.parametrize("message", [HELLO, Heartbeat(), SERVERS], ids=lambda m: type(m).__name__)
def test_what_was_encoded_is_decoded_again(message: Message) -> None:
    data = encode(message, 9)
    assert decode_message(data[6:]) == message
    assert message.request_id == 9


def test_what_plain_msgpack_wrote_is_a_message() -> None:
    assert decode_message(msgpack.packb([19, 0, 80, 24])) == ResizeSession(columns=80, rows=24)


def test_session_bytes_follow_their_header() -> None:
    assert read(session_header(3) + b"abc", 4) == ([(SESSION_KIND, b"abc")], None)


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_frames_are_the_same_in_whatever_pieces_they_come(size: int) -> None:
    data = frame(b"") + frame(b"a" * 300) + frame(b"\xc1", 1) + frame(b"\xc9" * 7)
    expected = [(0, b""), (0, b"a" * 300), (1, b"\xc1"), (0, b"\xc9" * 7)]
    assert read(data, size) == (expected, None)


BAD_STREAMS = {
    "nil": (b"\xc0", ErrorCode.MALFORMED_FRAME),
    "integer": (b"\x05", ErrorCode.MALFORMED_FRAME),
    "float": (b"\xcb" + bytes(8), ErrorCode.MALFORMED_FRAME),
    "text": (b"\xa3abc", ErrorCode.MALFORMED_FRAME),
    "bytes": (b"\xc4\x03abc", ErrorCode.MALFORMED_FRAME),
    "array": (b"\x93\x01\x02\x03", ErrorCode.MALFORMED_FRAME),
    "map": (b"\x81\xa1a\x01", ErrorCode.MALFORMED_FRAME),
    "array of 4 G": (b"\xdd\xff\xff\xff\xff", ErrorCode.MALFORMED_FRAME),
    "text of 4 GB": (b"\xdb\xff\xff\xff\xff", ErrorCode.MALFORMED_FRAME),
    "never used byte": (b"\xc1", ErrorCode.MALFORMED_FRAME),
    "fixext": (b"\xd4\x00a", ErrorCode.MALFORMED_FRAME),
    "ext8": (b"\xc7\x03\x00abc", ErrorCode.MALFORMED_FRAME),
    "ext16": (b"\xc8\x00\x03\x00abc", ErrorCode.MALFORMED_FRAME),
    "timestamp32": (b"\xd6\xffabcd", ErrorCode.MALFORMED_FRAME),
    "timestamp in ext32": (frame(b"abcd", -1), ErrorCode.UNKNOWN_FRAME_KIND),
    "bad timestamp in ext32": (frame(b"\xff" * 8, -1), ErrorCode.UNKNOWN_FRAME_KIND),
    "kind 2": (frame(b"abc", 2), ErrorCode.UNKNOWN_FRAME_KIND),
    "kind -128": (frame(b"", -128), ErrorCode.UNKNOWN_FRAME_KIND),
    "header of kind 2": (frame(b"abc", 2)[:6], ErrorCode.UNKNOWN_FRAME_KIND),
    "a byte too long": (frame(bytes(LIMIT + 1)), ErrorCode.FRAME_TOO_LONG),
    "header, a byte too long": (frame(bytes(LIMIT + 1))[:6], ErrorCode.FRAME_TOO_LONG),
    "4 GB announced": (b"\xc9\xff\xff\xff\xff\x00", ErrorCode.FRAME_TOO_LONG),
    "4 GB of an unknown kind": (b"\xc9\xff\xff\xff\xff\x07", ErrorCode.FRAME_TOO_LONG),
    "more than any frame": (frame(bytes(limits.FRAME_BYTES + 1)), ErrorCode.FRAME_TOO_LONG),
}


@pytest.mark.parametrize("size", [1, 3, 1 << 22])
@pytest.mark.parametrize("name", BAD_STREAMS)
def test_what_is_no_frame_has_its_code_in_whatever_pieces_it_comes(name: str, size: int) -> None:
    data, code = BAD_STREAMS[name]
    assert read(frame(b"good") + data, size) == ([(0, b"good")], code)


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_a_frame_as_long_as_allowed_is_read(size: int) -> None:
    assert read(frame(bytes(999), 1), size, limit=999) == ([(1, bytes(999))], None)


def test_the_limit_may_be_raised_between_two_frames_of_one_piece() -> None:
    reader = FrameReader(10)
    lengths = []
    for _, body in reader.feed(frame(b"a") + frame(bytes(limits.FRAME_BYTES))):
        lengths.append(len(body))
        reader.frame_bytes = limits.FRAME_BYTES
    assert lengths == [1, limits.FRAME_BYTES]


def test_many_frames_may_come_in_one_piece() -> None:
    found, code = read(frame(bytes(60_000)) * 60, 1 << 22)
    assert (len(found), code) == (60, None)


def test_a_frame_takes_no_more_memory_for_coming_in_small_pieces() -> None:
    reader = FrameReader(LIMIT)
    data = frame(bytes(LIMIT))[:-1]
    feed = reader.feed
    tracemalloc.start()
    try:
        for piece in pieces(data, 2):
            assert not list(feed(piece))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert LIMIT < held < LIMIT + 8 * 1024


def test_an_incomplete_frame_is_awaited_in_silence() -> None:
    for length in range(6 + 99):
        assert read(frame(bytes(100))[:length], 1 << 20) == ([], None)


BAD_BODIES = {
    "empty": (b"", ErrorCode.MALFORMED_MESSAGE),
    "not an array": (msgpack.packb(3), ErrorCode.MALFORMED_MESSAGE),
    "empty array": (msgpack.packb([]), ErrorCode.MALFORMED_MESSAGE),
    "number as text": (msgpack.packb(["3", 0]), ErrorCode.MALFORMED_MESSAGE),
    "unknown number": (msgpack.packb([9_999, 0]), ErrorCode.UNKNOWN_MESSAGE),
    "negative number": (msgpack.packb([-1, 0]), ErrorCode.UNKNOWN_MESSAGE),
    "huge number": (msgpack.packb([2**64 - 1, 0]), ErrorCode.UNKNOWN_MESSAGE),
    "missing field": (msgpack.packb([19, 0, 80]), ErrorCode.MALFORMED_MESSAGE),
    "text for a number": (msgpack.packb([19, 0, "80", 24]), ErrorCode.MALFORMED_MESSAGE),
    "float for a number": (msgpack.packb([19, 0, 80.0, 24]), ErrorCode.MALFORMED_MESSAGE),
    "boolean for a number": (msgpack.packb([19, 0, True, 24]), ErrorCode.MALFORMED_MESSAGE),
    "below its bound": (msgpack.packb([19, 0, 0, 24]), ErrorCode.MALFORMED_MESSAGE),
    "above its bound": (msgpack.packb([19, 0, 1_001, 24]), ErrorCode.MALFORMED_MESSAGE),
    "not a number": (msgpack.packb([19, 0, float("nan"), 24]), ErrorCode.MALFORMED_MESSAGE),
    "request id too big": (msgpack.packb([3, 2**32]), ErrorCode.MALFORMED_MESSAGE),
    "no such role": (msgpack.packb([1, 0, 1, 1, 9, "x"]), ErrorCode.MALFORMED_MESSAGE),
    "no such code": (msgpack.packb([4, 0, 77]), ErrorCode.MALFORMED_MESSAGE),
    "half a message": (msgpack.packb([19, 0, 80, 24])[:3], ErrorCode.MALFORMED_MESSAGE),
    "text that is not UTF-8": (
        b"\x96\x01\x00\x01\x01\x01\xa2\xff\xfe",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    "bytes after it": (msgpack.packb([3, 0]) + b"\xc0", ErrorCode.MALFORMED_MESSAGE),
    "nested 100,000 deep": (b"\x92\x03" + b"\x91" * 100_000, ErrorCode.MALFORMED_MESSAGE),
    "array of 4 G": (b"\xdd\xff\xff\xff\xff\x03", ErrorCode.MALFORMED_MESSAGE),
    "a map": (msgpack.packb({"type": 3}), ErrorCode.MALFORMED_MESSAGE),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_what_is_no_message_has_its_code(name: str) -> None:
    body, code = BAD_BODIES[name]
    assert refusal(body) is code


def test_fields_that_a_newer_peer_added_are_ignored() -> None:
    assert decode_message(msgpack.packb([19, 0, 80, 24, "new"])) == ResizeSession(
        columns=80, rows=24
    )


def test_a_malformed_message_says_which_field_and_why() -> None:
    with pytest.raises(ProtocolError, match=r"ResizeSession: Expected `int` <= 1000"):
        decode_message(msgpack.packb([19, 0, 80, 9_999]))


def test_a_goodbye_may_carry_the_longest_detail() -> None:
    goodbye = Goodbye(code=ErrorCode.NORMAL, detail="ä" * 1024)
    assert decode_message(encode(goodbye)[6:]) == goodbye
