from __future__ import annotations

import msgspec
import pytest

from daemons.keeper import messages as km
from tsproto.errors import ErrorCode

PROGRAM = km.Program(session_id=1, system_user="ada", allow_root=False, command="x" * 32_768)


@pytest.mark.parametrize(
    "request_",
    [
        km.ListSessions(1, -1),
        km.StartSession(2, PROGRAM, 80, 24, 4096),
        km.FetchSession(3, 1),
        km.HangUp(1),
        km.Forget(1),
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
    ],
)
def test_a_reply_arrives_as_it_was_sent(reply: km.Reply) -> None:
    assert km.decode_reply(km.encode(reply)) == reply


def test_the_longest_command_fits_into_a_packet() -> None:
    longest = msgspec.structs.replace(PROGRAM, command="😀" * 32_768)
    assert len(km.encode(km.StartSession(2**32, longest, 1000, 1000, 2**26))) <= km.PACKET_BYTES


def test_a_full_page_of_sessions_fits_into_a_packet() -> None:
    row = km.KeptSession(2**31, 2**22, 255)
    page = km.SessionList(2**32, (row,) * km.SESSIONS_PER_PACKET, True)
    assert len(km.encode(page)) <= km.PACKET_BYTES


def test_a_reply_is_no_request() -> None:
    with pytest.raises(msgspec.ValidationError):
        km.decode_request(km.encode(km.Ended(1, 0)))
