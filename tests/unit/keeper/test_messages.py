from __future__ import annotations

import msgspec
import pytest

from daemons.keeper import messages as km
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.user_proof import Asked


def started(command: str) -> km.StartProved:
    return km.StartProved(
        2**32, 2**31, 2**31, Asked("x" * 64, command), 1000, 1000, *["t" * 64] * 4
    )


@pytest.mark.parametrize(
    "request_",
    [
        km.ListSessions(1, -1),
        started("ls"),
        km.Challenge(4, "zoë", bytes(32), bytes(32), (bytes(32),)),
        km.Prove(5, bytes(32), 1, "ed25519", bytes(64), Asked("", "ls", 7, 2)),
        km.PamAnswer(6, bytes(32), 1, (b"123456",)),
        km.FetchSession(3, 1),
        km.HangUp(1),
        km.Forget(1),
        km.Adopt(7, 1),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: km.Request) -> None:
    assert km.decode_request(km.encode(request_)) == request_


@pytest.mark.parametrize(
    "reply",
    [
        km.SessionList(1, (km.KeptSession(1, 100, None), km.KeptSession(2, 101, 137)), True),
        km.Descriptors(2, 100),
        km.CannotStart(3, ErrorCode.ACCOUNT_UNUSABLE, "why"),
        km.Ended(1, 255),
        km.Challenged(2, bytes(32), 1_800_000_000, 3, bytes(16), 65_536, 3, 1, b"", 0),
        km.Prompted(3, 1, (("Code: ", False),), ("Welcome",)),
        km.Proved(4, 1, 2**53, "ada", ()),
        km.NotProved(5, ErrorCode.LOGON_FAILED, "why", 3),
        km.Adopted(6),
    ],
)
def test_a_reply_arrives_as_it_was_sent(reply: km.Reply) -> None:
    assert km.decode_reply(km.encode(reply)) == reply


def test_the_longest_command_fits_into_a_packet() -> None:
    assert len(km.encode(started("😀" * limits.COMMAND_CHARACTERS))) <= km.PACKET_BYTES


def test_a_full_page_of_sessions_fits_into_a_packet() -> None:
    row = km.KeptSession(2**31, 2**22, 255)
    page = km.SessionList(2**32, (row,) * km.SESSIONS_PER_PACKET, True)
    assert len(km.encode(page)) <= km.PACKET_BYTES


def test_a_reply_is_no_request() -> None:
    with pytest.raises(msgspec.ValidationError):
        km.decode_request(km.encode(km.Ended(1, 0)))
