"""Heartbeats, Goodbye, limits, and what one peer's fault does to others."""

from __future__ import annotations

from clients.conformance import wire
from clients.conformance.acting import Stage, logon_request
from clients.conformance.case import (
    CLIENT,
    DAEMONS,
    EVERYBODY,
    LICENSE_SERVER,
    TERMINAL_SERVER,
    Case,
    Chapter,
)
from clients.conformance.cases.requests import asker_and_question
from clients.conformance.peer import Peer
from clients.conformance.reach import acquire_license, open_spots, reach
from clients.conformance.stage import Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Goodbye, Heartbeat, Role

chapter = Chapter()

NEVER_SENT = (ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE, ErrorCode.UNANSWERED)
FLOOD = 40_000


@chapter.case("BEAT-03", *EVERYBODY)
def any_byte_is_a_sign_of_life(stage: Stage) -> None:
    """A frame that comes slowly, for longer than a silent peer is kept."""
    stage.needs_seconds(3 * limits.SILENT_SECONDS)
    spot = list(open_spots(stage.target.role))[-1]
    peer, _ = reach(stage, spot)
    pause = limits.SILENT_SECONDS - 5
    for byte in wire.message_bytes(Heartbeat())[:4]:
        peer.say_bytes(bytes([byte]))
        peer.expect_silence(pause)


@chapter.case("BEAT-04", *EVERYBODY)
def heartbeats_are_not_answered(stage: Stage) -> None:
    for spot in open_spots(stage.target.role):
        peer, _ = reach(stage, spot)
        peer.next(0.1, ambient=True)
        peer.say(Heartbeat(), Heartbeat())
        message = peer.next(0.5, ambient=True)
        stage.check(message is None and not peer.ended, "no answer to Heartbeat")
        stage.begin_again()


# --- Goodbye ------------------------------------------------------------------------------------


@chapter.case("CLOSE-01", *EVERYBODY)
def the_last_word_is_goodbye(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(wire.frame(b"\x80"))
    goodbye = peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)
    stage.check(goodbye.request_id == 0, "request id 0 in Goodbye")


@chapter.case("CLOSE-02", *EVERYBODY)
def goodbye_is_not_answered(stage: Stage) -> None:
    for spot in open_spots(stage.target.role):
        peer, _ = reach(stage, spot)
        _leave_politely(stage, peer)
        stage.begin_again()


@chapter.case("CLOSE-02", *EVERYBODY)
def goodbye_before_anything_else(stage: Stage) -> None:
    _leave_politely(stage, stage.dial_any())


def _leave_politely(stage: Stage, peer: Peer) -> None:
    while peer.next(0.1, ambient=True) is not None:
        continue
    peer.say(Goodbye(code=ErrorCode.NORMAL))
    message = peer.next(ambient=True)
    stage.check(message is None, "nothing after our Goodbye")
    stage.check(peer.ended, "the end of the link after our Goodbye")


@chapter.case("CLOSE-03", *EVERYBODY)
def nothing_counts_after_goodbye(stage: Stage) -> None:
    peer = stage.open_any()
    while peer.next(0.1, ambient=True) is not None:
        continue
    peer.say_bytes(wire.message_bytes(Goodbye(code=ErrorCode.NORMAL)) + wire.pack([0, 0]))
    stage.check(peer.next(ambient=True) is None, "nothing after our Goodbye")


@chapter.case("CLOSE-03", LICENSE_SERVER)
def no_license_after_goodbye(stage: Stage) -> None:
    server = stage.open(Role.TERMINAL_SERVER)
    device_id = stage.rng.randbytes(32)
    late = wire.message_bytes(acquire_license(device_id, stage.product), 1)
    server.say_bytes(wire.message_bytes(Goodbye(code=ErrorCode.NORMAL)) + late)
    server.expect_end()
    query = messages.QueryLicenses(device_id=device_id)
    licenses = stage.open(Role.ADMINISTRATOR).ask_for(messages.Licenses, query)
    stage.check(not licenses.licenses, "no license for what came after Goodbye")


@chapter.case("CLOSE-04", *EVERYBODY)
def codes_that_are_never_sent(stage: Stage) -> None:
    for data in (wire.pack([0, 0]), wire.frame(b""), b"\xc1", wire.pack([4, 0, 113])):
        peer = stage.open_any()
        peer.say_bytes(data)
        message = peer.next()
        while message is not None:
            code = getattr(message, "code", None)
            stage.check(code not in NEVER_SENT, "no code that is never sent")
            message = peer.next(0.1)
        stage.begin_again()


@chapter.case("CLOSE-05", TERMINAL_SERVER)
def late_words_after_a_redirect(stage: Stage) -> None:
    client = stage.redirected()
    client.say(logon_request(stage.user()))
    client.expect_silence(1.0)


@chapter.case("CLOSE-05", CLIENT)
def late_words_to_a_client_that_leaves(stage: Stage) -> None:
    server = stage.client_session()
    stage.target.disconnect()
    server.hear_past(messages.DisconnectSession)
    server.say_session_bytes(b"late")
    server.say(Goodbye(code=ErrorCode.DISCONNECTED_BY_USER))
    stage.check(server.next(ambient=True) is None, "nothing more from the client")


@chapter.case("CLOSE-06", *EVERYBODY)
def who_said_goodbye_closes_in_time(stage: Stage) -> None:
    peer = stage.open_any()
    peer.say_bytes(wire.pack([0, 0]))
    peer.say_bytes(b"late" * 100)
    seconds = limits.GOODBYE_SECONDS + stage.target.seconds
    peer.expect_goodbye_and_end(ErrorCode.UNKNOWN_MESSAGE, seconds)


@chapter.case("CLOSE-07", CLIENT)
def a_client_waits_as_long_as_it_was_told(stage: Stage) -> None:
    wait = 25
    stage.needs_seconds(wait)
    server = stage.accept(TERMINAL_SERVER)
    server.say(Goodbye(code=ErrorCode.BUSY, retry_after_seconds=wait))
    server.expect_end()
    began = stage.now
    stage.accept_again(limits.RECONNECT_SECONDS_MAX + wait)
    stage.check(stage.now - began >= wait - 1, f"no dial before {wait} s have passed")


@chapter.case("CLOSE-09", *DAEMONS)
def a_fault_ends_no_other_link(stage: Stage) -> None:
    peer, question = asker_and_question(stage)
    peer.ask(question)
    stranger = stage.open_any()
    stranger.say_bytes(b"\xc1")
    stranger.expect_goodbye(ErrorCode.MALFORMED_FRAME)
    peer.ask(question)


# --- limits -------------------------------------------------------------------------------------


@chapter.case("TIME-05", TERMINAL_SERVER)
def leaving_does_not_last(stage: Stage) -> None:
    stage.needs_seconds(limits.SILENT_SECONDS)
    client = stage.redirected()
    for _ in range(int(limits.SILENT_SECONDS / 10)):
        client.say(Heartbeat())
        client.expect_silence(10.0)
    client.say(Heartbeat())
    client.expect_goodbye(ErrorCode.TIMED_OUT, seconds=10.0)


@chapter.case("LIMIT-02", TERMINAL_SERVER)
def a_peer_that_does_not_read(stage: Stage) -> None:
    stage.needs_sockets("a link in process is never full")
    client, _ = stage.licensing()
    try:
        for first in range(1, FLOOD, 500):
            client.say_bytes(_questions(range(first, first + 500)))
    except OSError:
        pass  # it has closed already
    message = client.next()
    while message is not None and not isinstance(message, Goodbye):
        message = client.next()
    if message is None and not client.ended:
        raise Unmet("expected the end of a link over which nothing is read")


def _questions(ids: range) -> bytes:
    return b"".join(wire.message_bytes(messages.QueryAuthority(), i) for i in ids)


def cases() -> list[Case]:
    return chapter.cases
