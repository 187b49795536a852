"""Frames and values, beyond the cases generated for every field."""

from __future__ import annotations

from typing import Any

import msgpack

from clients.conformance import wire
from clients.conformance.acting import CaseContext
from clients.conformance.case import CLIENT, DAEMONS, EVERYBODY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.linking import hello
from clients.conformance.peer import Peer
from clients.conformance.reach import Spot, open_spots, reach
from clients.conformance.samples import sample_values
from clients.conformance.target import Unmet
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    Goodbye,
    Heartbeat,
    Hello,
    LinkState,
    PlaceSession,
    Role,
    UpdateSession,
    Welcome,
)

chapter = Chapter()

NO_FRAMES = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "a shorter ext": msgpack.packb(msgpack.ExtType(0, msgpack.packb([3, 0]))),
    "an ext of fixed length": b"\xd4\x00\x00",
    "a bare array": msgpack.packb([3, 0]),
    "nil": b"\xc0",
    "an unused byte": b"\xc1",
}
NO_MESSAGES: dict[str, bytes] = {
    "an empty body": b"",
    "an empty array": b"\x90",
    "a number": b"\x03",
    "a map": msgpack.packb({3: 0}),
    "a text first": msgpack.packb(["3", 0]),
    "two arrays": msgpack.packb([3, 0]) * 2,
    "half an array": msgpack.packb([3, 0])[:-1],
    "a byte too many": msgpack.packb([3, 0]) + b"\x00",
    "deep nesting": b"\x91" * 4_000,
}
UNPRINTABLE = {
    "an escape": "\x1b",
    "delete": "\x7f",
    "a C1 control": "\x9b",
    "a line separator": "\u2028",
    "a right-to-left override": "\u202e",
    "an isolate": "\u2066",
    "a zero-width joiner": "\u200d",
}
GREAT = limits.FRAME_BYTES
BEFORE_SESSION = (LinkState.LICENSING, LinkState.LOGON)


def first_words(context: CaseContext) -> Hello | Welcome:
    """The first message on a link to this target: Hello, or Welcome to a client."""
    if context.target.role is CLIENT:
        return context.welcome(TERMINAL_SERVER)
    role = Role.CLIENT if context.target.role is TERMINAL_SERVER else Role.ADMINISTRATOR
    name = "device" if role is Role.CLIENT else "admin"
    return hello(role, name)


def padded(values: list[Any], size: int) -> bytes:
    """A frame whose body has exactly `size` bytes: a further field at its end fills it."""
    fill = size - len(wire.packed([*values, b""]))
    while len(wire.packed([*values, bytes(fill)])) > size:
        fill -= 1
    frame = wire.framed([*values, bytes(fill)])
    assert len(frame) == wire.HEADER.size + size
    return frame


def header(length: int, kind: int = 0) -> bytes:
    return wire.HEADER.pack(wire.EXT32, length, kind)


@chapter.case("FRAME-01", *EVERYBODY)
def what_is_said_comes_in_frames(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)


@chapter.case("FRAME-02", *EVERYBODY)
def no_frame_at_first(context: CaseContext) -> None:
    for data in NO_FRAMES.values():
        peer = context.dial_any()
        peer.say_bytes(data)
        peer.expect_goodbye(ErrorCode.MALFORMED_FRAME)
        context.begin_again()


@chapter.case("FRAME-02", *EVERYBODY)
def no_frame_later(context: CaseContext) -> None:
    for data in NO_FRAMES.values():
        peer = context.open_any()
        peer.say_bytes(wire.message_bytes(Heartbeat()) + data)
        peer.expect_goodbye(ErrorCode.MALFORMED_FRAME)
        context.begin_again()


@chapter.case("FRAME-03", *EVERYBODY)
def unknown_kinds(context: CaseContext) -> None:
    for kind in (2, 127, -1, -128):
        peer = context.open_any()
        peer.say_bytes(wire.frame(b"\x00", kind))
        peer.expect_goodbye(ErrorCode.UNKNOWN_FRAME_KIND)
        context.begin_again()


@chapter.case("FRAME-04", *EVERYBODY)
def longest_frame_while_opening(context: CaseContext) -> None:
    peer = context.dial_any()
    peer.say_bytes(padded(wire.values_of(first_words(context)), limits.FRAME_BYTES_OPENING))
    message = peer.expect_no_fault(0.5)
    context.check(message is not None or context.target.role is CLIENT, "Welcome")


@chapter.case("FRAME-04", *EVERYBODY)
def one_byte_more_while_opening(context: CaseContext) -> None:
    peer = context.dial_any()
    peer.say_bytes(header(limits.FRAME_BYTES_OPENING + 1))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("FRAME-04", TERMINAL_SERVER, CLIENT)
def longest_frames_before_a_session(context: CaseContext) -> None:
    for spot in _spots(context, *BEFORE_SESSION):
        _accepts(reach(context, spot)[0], _bound(context, spot.state))
        context.begin_again()


@chapter.case("FRAME-04", TERMINAL_SERVER, CLIENT)
def one_byte_more_before_a_session(context: CaseContext) -> None:
    for spot in _spots(context, *BEFORE_SESSION):
        _refuses(reach(context, spot)[0], _bound(context, spot.state))
        context.begin_again()


def _bound(context: CaseContext, state: LinkState) -> int:
    is_short = state is LinkState.LICENSING and context.target.role is not CLIENT
    return limits.FRAME_BYTES_LICENSING if is_short else limits.FRAME_BYTES_LOGON


@chapter.case("FRAME-04", TERMINAL_SERVER)
def one_byte_more_after_a_redirect(context: CaseContext) -> None:
    client = context.redirected()
    _accepts(client, limits.FRAME_BYTES_LOGON)
    _refuses(client, limits.FRAME_BYTES_LOGON)


@chapter.case("FRAME-05", CLIENT)
def longest_frame_after_a_session(context: CaseContext) -> None:
    server = context.client_session()
    context.target.disconnect()
    server.hear_past(DisconnectSession)
    _accepts(server, GREAT)


@chapter.case("FRAME-05", *EVERYBODY)
def longest_frames_in_service_and_session(context: CaseContext) -> None:
    for spot in _spots(context, LinkState.SERVICE, LinkState.SESSION):
        _accepts(reach(context, spot)[0], GREAT)
        context.begin_again()


@chapter.case("FRAME-05", *EVERYBODY)
def one_byte_more_in_service_and_session(context: CaseContext) -> None:
    for spot in _spots(context, LinkState.SERVICE, LinkState.SESSION):
        _refuses(reach(context, spot)[0], GREAT)
        context.begin_again()


def _spots(context: CaseContext, *states: LinkState) -> list[Spot]:
    return [spot for spot in open_spots(context.target.role) if spot.state in states]


def _accepts(peer: Peer, size: int) -> None:
    peer.say_bytes(padded([3, 0], size))
    peer.expect_no_fault(0.25)
    if peer.ended:
        raise Unmet(f"expected a body of {size} bytes to be accepted, the link has ended")


def _refuses(peer: Peer, size: int) -> None:
    peer.say_bytes(header(size + 1))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("FRAME-06", *EVERYBODY)
def a_header_is_enough(context: CaseContext) -> None:
    for length in (2**31 - 1, 2**32 - 1):
        peer = context.open_any()
        peer.say_bytes(header(length))
        peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)
        context.begin_again()


@chapter.case("FRAME-06", *EVERYBODY)
def a_kind_needs_no_body(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(header(100, kind=9))
    peer.expect_goodbye(ErrorCode.UNKNOWN_FRAME_KIND)


@chapter.case("FRAME-07", *EVERYBODY)
def several_frames_at_once(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(wire.message_bytes(Heartbeat()) * 50 + wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)


@chapter.case("FRAME-08", *EVERYBODY)
def the_first_fault_decides(context: CaseContext) -> None:
    unknown, no_array = wire.framed([0, 0]), wire.frame(b"\x80")
    for data, code in (
        (unknown + no_array, ErrorCode.UNKNOWN_MESSAGE),
        (no_array + unknown, ErrorCode.MALFORMED_MESSAGE),
    ):
        peer = context.open_any()
        peer.say_bytes(data)
        peer.expect_goodbye(code)
        context.begin_again()


@chapter.case("FRAME-09", *DAEMONS)
def no_tls_below_1_3(context: CaseContext) -> None:
    if context.target.accepts_tls_1_2():
        raise Unmet("expected the handshake to fail, TLS 1.2 was accepted")


@chapter.case("FRAME-10", *EVERYBODY)
def too_long_and_of_no_kind(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(header(2**31, kind=9))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("VALUE-08", *EVERYBODY)
def bodies_that_are_no_message(context: CaseContext) -> None:
    for body in NO_MESSAGES.values():
        peer = context.open_any()
        peer.say_bytes(wire.frame(body))
        peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)
        context.begin_again()


@chapter.case("VALUE-14", *EVERYBODY)
def text_that_is_not_printable(context: CaseContext) -> None:
    for character in UNPRINTABLE.values():
        peer = context.open_any()
        peer.say(Goodbye(code=ErrorCode.NORMAL, detail=f"to{character}you"))
        peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)
        context.begin_again()


@chapter.case("VALUE-12", *EVERYBODY)
def values_are_written_short(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)
    for body in peer.bodies:
        short = wire.packed(msgpack.unpackb(body))
        peer.expect_same(short.hex(" "), body.hex(" "))


@chapter.case("VALUE-13", *EVERYBODY)
def the_first_check_that_fails(context: CaseContext) -> None:
    """The peers may send neither UpdateSession nor PlaceSession, and not in this state."""
    notification, request = sample_values(UpdateSession), sample_values(PlaceSession)
    number = notification[0]
    for values, code in (
        ([0, "no request id"], ErrorCode.UNKNOWN_MESSAGE),
        ([0, 0, b"\xff"], ErrorCode.UNKNOWN_MESSAGE),
        ([number, -1, *notification[2:]], ErrorCode.MALFORMED_MESSAGE),
        ([number, 0, None], ErrorCode.MALFORMED_MESSAGE),
        ([number, 1, *notification[2:]], ErrorCode.MALFORMED_MESSAGE),
        ([request[0], 0, *request[2:]], ErrorCode.MALFORMED_MESSAGE),
        (notification, ErrorCode.WRONG_ROLE),
    ):
        peer = context.open_any()
        peer.say_bytes(wire.framed(values))
        peer.expect_goodbye(code)
        context.begin_again()


def cases() -> list[Case]:
    return chapter.cases
