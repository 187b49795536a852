"""No bytes surprise a connection: whatever comes, nothing is raised, and it ends with a code or
goes on in silence. Every input is given to a fresh connection; a seed makes each one again.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import pytest

from tests.unit.tsproto.ends import (
    NAMES,
    dialler,
    listener,
    logged_on,
    logon_start,
    message_frame,
    opened,
    pieces,
)
from tsproto import limits
from tsproto.codec import encode, session_header
from tsproto.connection import Closed, Connection, Event
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, LinkState, QueryPools, Role

INPUTS = 10_000  # for each way of making them; two seconds in all

# What a peer's bytes may make of a connection; every other code would be a decision of its own.
CODES = {
    ErrorCode.MALFORMED_FRAME,
    ErrorCode.FRAME_TOO_LONG,
    ErrorCode.UNKNOWN_FRAME_KIND,
    ErrorCode.MALFORMED_MESSAGE,
    ErrorCode.UNKNOWN_MESSAGE,
    ErrorCode.OUT_OF_ORDER,
    ErrorCode.WRONG_ROLE,
    ErrorCode.VERSION_UNSUPPORTED,
    ErrorCode.TOO_MANY_REQUESTS,
}


Make: TypeAlias = Callable[[random.Random], bytes]


def random_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 200))


def random_frame(rng: random.Random) -> bytes:
    """A lawful header, or nearly so, and anything behind it."""
    body = random_bytes(rng)
    length = rng.choice([len(body), len(body) - 1, len(body) + 1, 2**32 - 1, limits.FRAME_BYTES])
    return struct.pack(">BIb", 0xC9, length, rng.choice([0, 0, 0, 1, 2, -1])) + body


def random_fields(rng: random.Random) -> bytes:
    """A message of the table with fields of any type."""
    fields = [random_value(rng, 2) for _ in range(rng.randrange(0, 8))]
    number = rng.choice([*TABLE, rng.randrange(0, 200)])
    return message_frame(number, rng.choice([0, 0, 1, 2**32]), *fields)


def random_value(rng: random.Random, depth: int) -> object:
    if depth and rng.random() < 0.2:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(0, 4))]
    return rng.choice(
        [
            None,
            True,
            rng.randrange(-5, 10),
            2 ** rng.randrange(0, 64),
            float("nan"),
            "",
            "x" * rng.randrange(0, 300),
            "\x00\u202e",
            rng.randbytes(16),
            rng.randbytes(32),
            {"a": 1},
        ]
    )


def damaged(rng: random.Random) -> bytes:
    """A lawful conversation of a client or an administrator with some of its bytes changed."""
    data = bytearray(rng.choice(CONVERSATIONS))
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(0, len(data))
        match rng.randrange(0, 4):
            case 0:
                data[place] ^= 1 << rng.randrange(0, 8)
            case 1:
                del data[place : place + rng.randrange(1, 9)]
            case 2:
                data[place:place] = rng.randbytes(rng.randrange(1, 9))
            case _:
                data[place:place] = data[: rng.randrange(0, len(data) + 1)]
        data = data or bytearray(b"\0")
    return bytes(data)


def hello(role: Role) -> bytes:
    return message_frame(1, 0, 1, 1, int(role), NAMES[role])


CONVERSATIONS = [
    hello(Role.CLIENT) + message_frame(7, 1) + encode(logon_start()),
    hello(Role.ADMINISTRATOR)
    + encode(QueryPools(), 1)
    + message_frame(60, 2)
    + message_frame(3, 0),
    message_frame(2, 0, 1, 2, "ts1") + message_frame(4, 0, 603),
    session_header(5) + b"abcde" + message_frame(19, 0, 80, 24) + message_frame(20, 0),
]


def ends() -> list[Connection]:
    """A connection in each state that a stranger's, or a known peer's, bytes may find."""
    client, session = logged_on()
    service = opened(Role.ADMINISTRATOR, Role.LICENSE_SERVER)[1]
    asking = opened(Role.ADMINISTRATOR, Role.LICENSE_SERVER)[0]
    asking.request(QueryPools())
    licensing = opened(Role.CLIENT, Role.TERMINAL_SERVER)[1]
    stranger = listener(Role.TERMINAL_SERVER, trusted=False)
    waiting = dialler(Role.TERMINAL_SERVER, expect_role=Role.LICENSE_SERVER)
    return [client, session, service, asking, licensing, stranger, waiting]


def feed(end: Connection, data: bytes, rng: random.Random) -> list[Event]:
    size = rng.choice([1, 3, 50, len(data)])
    return [event for piece in pieces(data, size) for event in end.receive_data(piece, 1.0)]


@pytest.mark.parametrize("make", [random_bytes, random_frame, random_fields, damaged])
def test_whatever_comes_ends_with_a_code_or_is_awaited(
    make: Callable[[random.Random], bytes],
) -> None:
    rng = random.Random(make.__name__)
    codes = set()
    for number in range(INPUTS // 7):
        for end in ends():
            data = make(rng)
            events = feed(end, data, rng)
            closed = [event for event in events if isinstance(event, Closed)]
            told = f"input {number} of {make.__name__}: {data.hex()} in {end.state}"
            assert (end.state is LinkState.CLOSED) == bool(closed), told
            assert closed == events[-1:] if closed else True, told
            for event in closed:
                assert event.by_peer or event.code in CODES, told
                codes.add(event.code)
                assert event.by_peer or end.data_to_send(), told  # the Goodbye
    assert len(codes) >= (1 if make is random_bytes else 3)


def test_a_flood_of_heartbeats_leaves_nothing_behind() -> None:
    end = opened(Role.ADMINISTRATOR, Role.LICENSE_SERVER)[1]
    events = end.receive_data(message_frame(3, 0) * 50_000, 1.0)
    assert events == []
    assert end.state is LinkState.SERVICE


def test_deep_nesting_in_every_message_is_refused() -> None:
    deep = msgspec.Raw(b"\x91" * 2_000 + b"\xc0")
    for number in TABLE:
        end = listener(Role.TERMINAL_SERVER)
        (closed,) = end.receive_data(message_frame(number, 0, *[deep] * 2), 1.0)
        assert isinstance(closed, Closed)
        assert closed.code in (ErrorCode.MALFORMED_MESSAGE, ErrorCode.OUT_OF_ORDER)
