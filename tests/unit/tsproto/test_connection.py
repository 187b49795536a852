"""A connection after its opening: order, requests, session bytes, time, limits, the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.tsproto.ends import (
    code_of,
    dialler,
    frame,
    listener,
    logged_on,
    logon_accepted,
    logon_start,
    message_frame,
    opened,
    pieces,
    talk,
)
from tsproto import limits
from tsproto.codec import encode
from tsproto.connection import Answered, Closed, Connection, Received, SessionBytes
from tsproto.errors import ErrorCode, OutOfOrder, TooManyRequests, WrongRole
from tsproto.messages import (
    AnnounceInventory,
    Authority,
    DisconnectSession,
    Done,
    Goodbye,
    Heartbeat,
    LicenseAccepted,
    LicenseKind,
    LicenseRequest,
    LinkState,
    LogoffSession,
    Pools,
    QueryAuthority,
    QueryPools,
    QuerySessions,
    Refused,
    ResizeSession,
    Role,
    SessionEnded,
    WarpClock,
)

CLIENT, TERMINAL_SERVER = Role.CLIENT, Role.TERMINAL_SERVER
ADMINISTRATOR, LICENSE_SERVER = Role.ADMINISTRATOR, Role.LICENSE_SERVER


def administered() -> tuple[Connection, Connection]:
    return opened(ADMINISTRATOR, LICENSE_SERVER)


def licensed() -> tuple[Connection, Connection]:
    """A client and a terminal server in LOGON."""
    client, server = opened(CLIENT, TERMINAL_SERVER)
    server.send(LicenseAccepted(kind=LicenseKind.FULL))
    talk(server, client)
    return client, server


# --- order ----------------------------------------------------------------------------------------


def test_the_procedure_goes_from_licensing_to_logon_to_session() -> None:
    client, server = licensed()
    assert [client.state, server.state] == [LinkState.LOGON, LinkState.LOGON]
    client.send(logon_start())
    assert talk(client, server) == [Received(logon_start())]
    server.send(logon_accepted())
    assert talk(server, client) == [Received(logon_accepted())]
    assert [client.state, server.state] == [LinkState.SESSION, LinkState.SESSION]


def test_a_step_that_is_lawful_later_is_out_of_order() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    assert code_of(server.receive_data(encode(logon_start()), 0.0)) is ErrorCode.OUT_OF_ORDER


def test_a_step_that_is_never_the_peers_is_wrong_role() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    assert code_of(server.receive_data(encode(WarpClock(), 1), 0.0)) is ErrorCode.WRONG_ROLE


def test_a_notification_has_no_request_id() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    events = server.receive_data(encode(logon_start(), 3), 0.0)
    assert code_of(events) is ErrorCode.MALFORMED_MESSAGE


def test_a_request_has_a_request_id_whoever_makes_it_and_whenever() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    events = server.receive_data(encode(WarpClock(), 0), 0.0)
    assert code_of(events) is ErrorCode.MALFORMED_MESSAGE


def test_we_may_not_say_what_is_not_ours_to_say() -> None:
    client, server = opened(CLIENT, TERMINAL_SERVER)
    with pytest.raises(OutOfOrder):
        client.send(logon_start())
    with pytest.raises(WrongRole):
        client.send(LicenseAccepted(kind=LicenseKind.FULL))
    with pytest.raises(OutOfOrder):
        server.send(Goodbye(code=ErrorCode.NORMAL))


def test_we_may_say_nothing_before_the_connection_is_open() -> None:
    with pytest.raises(OutOfOrder):
        dialler(ADMINISTRATOR).request(QueryPools())


# --- requests -------------------------------------------------------------------------------------


def test_a_request_is_answered_under_its_id() -> None:
    administrator, server = administered()
    request_id = administrator.request(QueryPools())
    (event,) = talk(administrator, server)
    assert event == Received(QueryPools(request_id=request_id))
    server.send(Pools(pools=[]), request_id)
    assert talk(server, administrator) == [Answered(Pools(request_id=request_id, pools=[]))]


def test_an_answer_that_was_given_up_is_ignored() -> None:
    administrator, server = administered()
    request_id = administrator.request(QueryPools())
    talk(administrator, server)
    administrator.give_up(request_id)
    server.send(Refused(code=ErrorCode.BUSY), request_id)
    assert talk(server, administrator) == []
    assert administrator.state is LinkState.SERVICE


def test_an_answer_to_nothing_ends_the_connection() -> None:
    administrator, _ = administered()
    assert code_of(administrator.receive_data(encode(Done(), 1), 0.0)) is ErrorCode.OUT_OF_ORDER


def test_an_answer_to_another_question_ends_the_connection() -> None:
    administrator, _ = administered()
    answer = encode(Done(), administrator.request(QueryPools()))
    assert code_of(administrator.receive_data(answer, 0.0)) is ErrorCode.OUT_OF_ORDER


def test_too_many_requests_end_the_connection() -> None:
    _, server = administered()
    allowed = b"".join(encode(QueryPools(), n) for n in range(1, limits.REQUESTS_IN_FLIGHT + 1))
    assert code_of(server.receive_data(allowed, 0.0)) is None
    one_more = encode(QueryPools(), limits.REQUESTS_IN_FLIGHT + 1)
    assert code_of(server.receive_data(one_more, 0.0)) is ErrorCode.TOO_MANY_REQUESTS


def test_we_ask_no_more_than_the_peer_takes() -> None:
    administrator, _ = administered()
    for _ in range(limits.REQUESTS_IN_FLIGHT):
        administrator.request(QueryPools())
    with pytest.raises(TooManyRequests):
        administrator.request(QueryPools())


def test_a_request_is_not_sent_as_a_notification_nor_the_other_way_round() -> None:
    administrator, _ = administered()
    with pytest.raises(OutOfOrder):
        administrator.send(QueryPools(), 4)
    lender, _ = opened(LICENSE_SERVER, LICENSE_SERVER)
    with pytest.raises(OutOfOrder):
        lender.request(AnnounceInventory(inventory=[]))


# --- session bytes --------------------------------------------------------------------------------


def test_session_bytes_pass_in_both_directions() -> None:
    client, server = logged_on()
    client.send_session_bytes(b"ls\r")
    assert talk(client, server) == [SessionBytes(b"ls\r")]
    server.send_session_bytes(b"a b\r\n")
    assert talk(server, client) == [SessionBytes(b"a b\r\n")]


def test_many_session_bytes_leave_in_chunks() -> None:
    client, server = logged_on()
    server.send_session_bytes(bytes(limits.SESSION_CHUNK_BYTES + 1))
    lengths = [len(e.data) for e in talk(server, client) if isinstance(e, SessionBytes)]
    assert lengths == [limits.SESSION_CHUNK_BYTES, 1]


def test_session_bytes_before_the_session_are_out_of_order() -> None:
    client, server = licensed()
    assert code_of(server.receive_data(frame(b"x", 1), 0.0)) is ErrorCode.OUT_OF_ORDER
    with pytest.raises(OutOfOrder):
        client.send_session_bytes(b"x")


def test_bytes_and_steps_that_crossed_the_sessions_end_are_ignored() -> None:
    client, server = logged_on()
    client.send_session_bytes(b"x")
    client.send(ResizeSession(columns=80, rows=24))
    client.send(LogoffSession())
    server.send(SessionEnded(exit_status=0))
    assert talk(client, server) == []
    assert server.state is LinkState.LEAVING


def test_output_that_crossed_a_disconnect_is_ignored() -> None:
    client, server = logged_on()
    client.send(DisconnectSession())
    server.send_session_bytes(b"x")
    assert client.receive_data(server.data_to_send(), 0.0) == []


def test_what_the_peers_leaving_overtook_is_not_sent() -> None:
    client, server = logged_on()
    client.send(DisconnectSession())
    talk(client, server)
    server.send_session_bytes(b"x")
    server.send(SessionEnded(exit_status=0))
    assert server.data_to_send() == b""


def test_what_was_never_lawful_is_not_so_while_leaving() -> None:
    _, server = logged_on()
    server.send(SessionEnded(exit_status=0))
    with pytest.raises(OutOfOrder):
        server.send(LicenseRequest(nonce=bytes(32), product="p", product_version=1))
    assert code_of(server.receive_data(encode(logon_start()), 0.0)) is ErrorCode.OUT_OF_ORDER


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [dialler(CLIENT), listener(TERMINAL_SERVER)])
def test_a_silent_peer_ends_the_opening(end: Connection) -> None:
    assert end.next_deadline() == limits.OPENING_SECONDS
    assert end.on_deadline(limits.OPENING_SECONDS - 1) == []
    assert code_of(end.on_deadline(limits.OPENING_SECONDS)) is ErrorCode.TIMED_OUT


def test_the_licensing_phase_has_an_end_whatever_the_peer_says_meanwhile() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    for now in (10.0, 20.0, 29.0):
        assert server.receive_data(encode(Heartbeat()), now) == []
        assert server.on_deadline(now) == []
    assert code_of(server.on_deadline(limits.LICENSING_SECONDS)) is ErrorCode.TIMED_OUT


def test_a_phase_that_our_own_message_begins_lasts_from_then() -> None:
    _, server = opened(CLIENT, TERMINAL_SERVER)
    accepted_at = limits.LICENSING_SECONDS - 1
    server.tell_time(accepted_at)
    server.send(LicenseAccepted(kind=LicenseKind.FULL))
    server.receive_data(encode(Heartbeat()), limits.LOGON_SECONDS)
    assert server.on_deadline(limits.LOGON_SECONDS) == []
    assert code_of(server.on_deadline(accepted_at + limits.LOGON_SECONDS)) is ErrorCode.TIMED_OUT


def test_the_logon_phase_has_its_own_end() -> None:
    _, server = licensed()
    server.receive_data(encode(Heartbeat()), limits.LOGON_SECONDS - 1)
    assert server.on_deadline(limits.LOGON_SECONDS - 1) == []
    assert code_of(server.on_deadline(limits.LOGON_SECONDS)) is ErrorCode.TIMED_OUT


def test_a_peer_that_does_not_leave_is_left() -> None:
    _, server = logged_on()
    server.send(SessionEnded(exit_status=0))
    server.receive_data(encode(Heartbeat()), 40.0)
    assert code_of(server.on_deadline(limits.SILENT_SECONDS)) is ErrorCode.TIMED_OUT


def test_the_one_that_dialled_keeps_no_phase() -> None:
    client, _ = licensed()
    client.receive_data(encode(Heartbeat()), 119.0)
    assert client.on_deadline(limits.LOGON_SECONDS) == []


def test_who_has_nothing_to_say_sends_heartbeats() -> None:
    administrator, server = administered()
    assert server.next_deadline() == limits.HEARTBEAT_SECONDS
    assert server.on_deadline(limits.HEARTBEAT_SECONDS - 1) == []
    assert server.data_to_send() == b""
    assert server.on_deadline(limits.HEARTBEAT_SECONDS) == []
    assert server.data_to_send() == encode(Heartbeat())
    assert server.next_deadline() == 2 * limits.HEARTBEAT_SECONDS


def test_who_has_just_said_something_sends_none() -> None:
    lender, borrower = opened(LICENSE_SERVER, LICENSE_SERVER)
    lender.receive_data(encode(Heartbeat()), 10.0)
    lender.send(AnnounceInventory(inventory=[]))
    talk(lender, borrower)
    assert lender.next_deadline() == 10.0 + limits.HEARTBEAT_SECONDS


def test_no_heartbeat_is_put_behind_what_the_peer_has_not_read_yet() -> None:
    administrator, _ = administered()
    administrator.request(QueryPools())
    administrator.on_deadline(limits.HEARTBEAT_SECONDS)
    assert administrator.data_to_send() == encode(QueryPools(), 1)


def test_a_peer_that_misses_three_heartbeats_is_gone() -> None:
    _, server = administered()
    assert server.on_deadline(limits.SILENT_SECONDS - 1) == []
    (closed,) = server.on_deadline(limits.SILENT_SECONDS)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by_peer) == (ErrorCode.PEER_SILENT, False)


def test_a_peer_is_not_silent_while_we_do_not_read() -> None:
    _, server = administered()
    server.pause_receiving()
    assert server.on_deadline(1_000.0) == []
    server.resume_receiving(1_000.0)
    assert server.on_deadline(1_000.0 + limits.SILENT_SECONDS - 1) == []
    silent = server.on_deadline(1_000.0 + limits.SILENT_SECONDS)
    assert code_of(silent) is ErrorCode.PEER_SILENT


# --- limits ---------------------------------------------------------------------------------------


BOUNDS: dict[str, tuple[int, Callable[[], Connection]]] = {
    "opening": (limits.FRAME_BYTES_OPENING, lambda: listener(TERMINAL_SERVER)),
    "licensing": (limits.FRAME_BYTES_LICENSING, lambda: opened(CLIENT, TERMINAL_SERVER)[1]),
    "licensing, a client": (limits.FRAME_BYTES_LOGON, lambda: opened(CLIENT, TERMINAL_SERVER)[0]),
    "logon": (limits.FRAME_BYTES_LOGON, lambda: licensed()[1]),
    "session": (limits.FRAME_BYTES, lambda: logged_on()[1]),
    "service": (limits.FRAME_BYTES, lambda: administered()[1]),
}


@pytest.mark.parametrize("state", BOUNDS)
def test_a_frame_longer_than_its_state_allows_is_refused_at_its_header(state: str) -> None:
    bound, server = BOUNDS[state]
    header = frame(bytes(bound))[:6]
    assert server().receive_data(header, 0.0) == []
    header = frame(bytes(bound + 1))[:6]
    assert code_of(server().receive_data(header, 0.0)) is ErrorCode.FRAME_TOO_LONG


def test_a_peer_that_does_not_read_is_left_when_the_outbox_is_full() -> None:
    client, server = logged_on()
    server.send_session_bytes(bytes(limits.OUTBOX_BYTES - 1_000))
    assert not server.is_overfull
    server.send_session_bytes(bytes(1_000))
    assert server.is_overfull
    assert server.next_deadline() == 0.0
    assert code_of(server.on_deadline(0.0)) is ErrorCode.PEER_TOO_SLOW
    (closed,) = talk(server, client)
    assert closed == Closed(ErrorCode.PEER_TOO_SLOW, "the peer does not read what it is sent")


def test_a_stranger_that_does_not_read_is_left_much_sooner() -> None:
    question = encode(QueryAuthority(), 1)
    answer = Authority(certificate=bytes(limits.CERTIFICATE_BYTES))
    _, server = opened(CLIENT, TERMINAL_SERVER)
    for _ in range(limits.OUTBOX_BYTES_BEFORE_LOGON // limits.CERTIFICATE_BYTES):
        assert not server.is_overfull
        server.receive_data(question, 0.0)
        server.send(answer, 1)
    assert code_of(server.on_deadline(0.0)) is ErrorCode.PEER_TOO_SLOW


# --- the end --------------------------------------------------------------------------------------


def test_a_goodbye_carries_why_and_is_the_last_word() -> None:
    administrator, server = administered()
    server.close(ErrorCode.SHUTTING_DOWN, "for an update", "abc", 30)
    assert talk(server, administrator) == [
        Closed(ErrorCode.SHUTTING_DOWN, "for an update", "abc", 30, by_peer=True)
    ]
    assert administrator.state is server.state is LinkState.CLOSED
    assert administrator.data_to_send() == b""


def test_what_was_queued_leaves_before_the_goodbye() -> None:
    administrator, server = administered()
    request_id = administrator.request(QueryPools())
    talk(administrator, server)
    server.send(Pools(pools=[]), request_id)
    server.close(ErrorCode.NORMAL)
    answered, closed = talk(server, administrator)
    assert isinstance(answered, Answered)
    assert closed == Closed(ErrorCode.NORMAL)


def test_a_fault_of_the_peers_is_told_to_it_and_to_us() -> None:
    administrator, server = administered()
    (closed,) = server.receive_data(b"GET / HTTP/1.1\r\n", 0.0)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by_peer) == (ErrorCode.MALFORMED_FRAME, False)
    assert code_of(talk(server, administrator)) is ErrorCode.MALFORMED_FRAME


def test_what_came_before_a_fault_is_still_reported() -> None:
    _, server = administered()
    received, closed = server.receive_data(encode(QueryPools(), 1) + message_frame(99, 0), 0.0)
    assert isinstance(received, Received)
    assert isinstance(closed, Closed) and closed.code is ErrorCode.UNKNOWN_MESSAGE


def test_nothing_comes_and_nothing_leaves_after_the_end() -> None:
    administrator, server = administered()
    server.close(ErrorCode.NORMAL)
    server.data_to_send()
    assert server.receive_data(encode(QueryPools(), 1), 0.0) == []
    assert server.receive_eof(0.0) == server.on_deadline(1e9) == []
    assert server.next_deadline() is None
    server.send(Done(), 1)
    server.send_session_bytes(b"x")
    server.close(ErrorCode.BUSY)
    assert server.request(QueryPools()) == 0
    assert server.data_to_send() == b""


def test_what_follows_a_goodbye_is_not_read() -> None:
    _, server = administered()
    data = encode(Goodbye(code=ErrorCode.NORMAL)) + b"\xc0"
    assert server.receive_data(data, 0.0) == [Closed(ErrorCode.NORMAL)]


def test_a_connection_that_breaks_is_lost_once() -> None:
    _, server = administered()
    lost = [Closed(ErrorCode.CONNECTION_LOST, "reset")]
    assert server.receive_eof(0.0, "reset") == lost
    assert server.receive_eof(0.0) == []
    assert server.data_to_send() == b""


def test_a_detail_is_made_what_a_goodbye_may_carry() -> None:
    administrator, server = administered()
    server.close(ErrorCode.BUSY, "x" * 5_000)
    assert talk(server, administrator) == [Closed(ErrorCode.BUSY, "x" * 1_023 + "…")]
    administrator, server = administered()
    server.close(ErrorCode.BUSY, "no room on \x1b[2J")
    assert talk(server, administrator) == [Closed(ErrorCode.BUSY, "no room on \\u001b[2J")]


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_events_are_the_same_in_whatever_pieces_the_bytes_come(size: int) -> None:
    _, server = opened(ADMINISTRATOR, TERMINAL_SERVER)
    data = encode(QuerySessions(), 1) + encode(Heartbeat()) + encode(WarpClock(), 2) + b"\xc1"
    events = [event for piece in pieces(data, size) for event in server.receive_data(piece, 0.0)]
    assert events == [
        Received(QuerySessions(request_id=1)),
        Received(WarpClock(request_id=2)),
        Closed(ErrorCode.MALFORMED_FRAME, "a frame begins with 0xc9, not 0xc1", by_peer=False),
    ]
