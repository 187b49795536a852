"""Frames and values, beyond the cases generated for every field."""

from __future__ import annotations

from typing import Any

import msgpack

from clients.conformance import wire
from clients.conformance.acting import Stage
from clients.conformance.case import CLIENT, DAEMONS, EVERYBODY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.peer import Peer
from clients.conformance.reach import Spot, open_spots, reach
from clients.conformance.samples import sample_values
from clients.conformance.stage import Unmet
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
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
    "deep nesting": b"\x91" * 60_000,
}
SMALL = limits.FRAME_BYTES_BEFORE_LOGON
GREAT = limits.FRAME_BYTES
SMALL_STATES = (LinkState.LICENSING, LinkState.LOGON)


def first_words(stage: Stage) -> Hello | Welcome:
    """The first message on a link to this target: Hello, or Welcome to a client."""
    if stage.target.role is CLIENT:
        return stage.welcome(TERMINAL_SERVER)
    role = Role.CLIENT if stage.target.role is TERMINAL_SERVER else Role.ADMINISTRATOR
    name = "device" if role is Role.CLIENT else "admin"
    return Hello(version_min=1, version_max=1, role=role, name=name)


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
def what_is_said_comes_in_frames(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)


@chapter.case("FRAME-02", *EVERYBODY)
def no_frame_at_first(stage: Stage) -> None:
    for data in NO_FRAMES.values():
        peer = stage.dial_any()
        peer.say_bytes(data)
        peer.expect_goodbye(ErrorCode.MALFORMED_FRAME)
        stage.begin_again()


@chapter.case("FRAME-02", *EVERYBODY)
def no_frame_later(stage: Stage) -> None:
    for data in NO_FRAMES.values():
        peer = stage.open_any()
        peer.say_bytes(wire.message_bytes(Heartbeat()) + data)
        peer.expect_goodbye(ErrorCode.MALFORMED_FRAME)
        stage.begin_again()


@chapter.case("FRAME-03", *EVERYBODY)
def unknown_kinds(stage: Stage) -> None:
    for kind in (2, 127, -1, -128):
        peer = stage.open_any()
        peer.say_bytes(wire.frame(b"\x00", kind))
        peer.expect_goodbye(ErrorCode.UNKNOWN_FRAME_KIND)
        stage.begin_again()


@chapter.case("FRAME-04", *EVERYBODY)
def longest_frame_while_opening(stage: Stage) -> None:
    peer = stage.dial_any()
    peer.say_bytes(padded(wire.values_of(first_words(stage)), SMALL))
    message = peer.expect_no_fault(0.5)
    stage.check(message is not None or stage.target.role is CLIENT, "Welcome")


@chapter.case("FRAME-04", *EVERYBODY)
def one_byte_more_while_opening(stage: Stage) -> None:
    peer = stage.dial_any()
    peer.say_bytes(header(SMALL + 1))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("FRAME-04", TERMINAL_SERVER, CLIENT)
def longest_frames_before_a_session(stage: Stage) -> None:
    for spot in _spots(stage, *SMALL_STATES):
        _accepts(reach(stage, spot)[0], SMALL)
        stage.begin_again()


@chapter.case("FRAME-04", TERMINAL_SERVER, CLIENT)
def one_byte_more_before_a_session(stage: Stage) -> None:
    for spot in _spots(stage, *SMALL_STATES):
        _refuses(reach(stage, spot)[0], SMALL)
        stage.begin_again()


@chapter.case("FRAME-04", TERMINAL_SERVER)
def one_byte_more_after_a_redirect(stage: Stage) -> None:
    client = stage.redirected()
    _accepts(client, SMALL)
    _refuses(client, SMALL)


@chapter.case("FRAME-05", CLIENT)
def longest_frame_after_a_session(stage: Stage) -> None:
    server = stage.client_session()
    stage.target.disconnect()
    server.hear_past(DisconnectSession)
    _accepts(server, GREAT)


@chapter.case("FRAME-05", *EVERYBODY)
def longest_frames_in_service_and_session(stage: Stage) -> None:
    for spot in _spots(stage, LinkState.SERVICE, LinkState.SESSION):
        _accepts(reach(stage, spot)[0], GREAT)
        stage.begin_again()


@chapter.case("FRAME-05", *EVERYBODY)
def one_byte_more_in_service_and_session(stage: Stage) -> None:
    for spot in _spots(stage, LinkState.SERVICE, LinkState.SESSION):
        _refuses(reach(stage, spot)[0], GREAT)
        stage.begin_again()


def _spots(stage: Stage, *states: LinkState) -> list[Spot]:
    return [spot for spot in open_spots(stage.target.role) if spot.state in states]


def _accepts(peer: Peer, size: int) -> None:
    peer.say_bytes(padded([3, 0], size))
    peer.expect_no_fault(0.25)
    if peer.ended:
        raise Unmet(f"expected a body of {size} bytes to be accepted, the link has ended")


def _refuses(peer: Peer, size: int) -> None:
    peer.say_bytes(header(size + 1))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("FRAME-06", *EVERYBODY)
def a_header_is_enough(stage: Stage) -> None:
    for length in (2**31 - 1, 2**32 - 1):
        peer = stage.open_any()
        peer.say_bytes(header(length))
        peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)
        stage.begin_again()


@chapter.case("FRAME-06", *EVERYBODY)
def a_kind_needs_no_body(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(header(100, kind=9))
    peer.expect_goodbye(ErrorCode.UNKNOWN_FRAME_KIND)


@chapter.case("FRAME-07", *EVERYBODY)
def several_frames_at_once(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(wire.message_bytes(Heartbeat()) * 50 + wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)


@chapter.case("FRAME-08", *EVERYBODY)
def the_first_fault_decides(stage: Stage) -> None:
    unknown, no_array = wire.framed([0, 0]), wire.frame(b"\x80")
    for data, code in (
        (unknown + no_array, ErrorCode.UNKNOWN_MESSAGE),
        (no_array + unknown, ErrorCode.MALFORMED_MESSAGE),
    ):
        peer = stage.open_any()
        peer.say_bytes(data)
        peer.expect_goodbye(code)
        stage.begin_again()


@chapter.case("FRAME-09", *DAEMONS)
def no_tls_below_1_3(stage: Stage) -> None:
    if stage.target.accepts_tls_1_2():
        raise Unmet("expected the handshake to fail, TLS 1.2 was accepted")


@chapter.case("FRAME-10", *EVERYBODY)
def too_long_and_of_no_kind(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(header(2**31, kind=9))
    peer.expect_goodbye(ErrorCode.FRAME_TOO_LONG)


@chapter.case("VALUE-08", *EVERYBODY)
def bodies_that_are_no_message(stage: Stage) -> None:
    for body in NO_MESSAGES.values():
        peer = stage.open_any()
        peer.say_bytes(wire.frame(body))
        peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)
        stage.begin_again()


@chapter.case("VALUE-12", *EVERYBODY)
def values_are_written_short(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(wire.framed([0, 0]))
    peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)
    for body in peer.bodies:
        short = wire.packed(msgpack.unpackb(body))
        peer.expect_same(short.hex(" "), body.hex(" "))


@chapter.case("VALUE-13", *EVERYBODY)
def the_first_check_that_fails(stage: Stage) -> None:
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
        peer = stage.open_any()
        peer.say_bytes(wire.framed(values))
        peer.expect_goodbye(code)
        stage.begin_again()


def cases() -> list[Case]:
    return chapter.cases
