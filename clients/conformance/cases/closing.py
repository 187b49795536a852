"""Heartbeats, Goodbye, limits, and that one peer's fault does not disturb others."""

from __future__ import annotations

from clients.conformance import wire
from clients.conformance.acting import CaseContext
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
from clients.conformance.target import Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Goodbye, Heartbeat, Role

chapter = Chapter()

NEVER_SENT = (ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE, ErrorCode.UNANSWERED)
FLOOD = 40_000


@chapter.case("BEAT-03", *EVERYBODY)
def any_byte_is_a_sign_of_life(context: CaseContext) -> None:
    """A frame arrives byte by byte, over more than SILENT_SECONDS."""
    context.needs_seconds(3 * limits.SILENT_SECONDS)
    spot = list(open_spots(context.target.role))[-1]
    peer, _ = reach(context, spot)
    pause = limits.SILENT_SECONDS - 5
    for byte in wire.message_bytes(Heartbeat())[:4]:
        peer.say_bytes(bytes([byte]))
        peer.expect_silence(pause)


@chapter.case("BEAT-04", *EVERYBODY)
def heartbeats_are_not_answered(context: CaseContext) -> None:
    for spot in open_spots(context.target.role):
        peer, _ = reach(context, spot)
        peer.next(0.1, ambient=True)
        peer.say(Heartbeat(), Heartbeat())
        message = peer.next(0.5, ambient=True)
        context.check(message is None and not peer.ended, "no answer to Heartbeat")
        context.begin_again()


# --- Goodbye ------------------------------------------------------------------------------------


@chapter.case("CLOSE-01", *EVERYBODY)
def the_last_word_is_goodbye(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(wire.frame(b"\x80"))
    goodbye = peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)
    context.check(goodbye.request_id == 0, "request id 0 in Goodbye")


@chapter.case("CLOSE-02", *EVERYBODY)
def goodbye_is_not_answered(context: CaseContext) -> None:
    for spot in open_spots(context.target.role):
        peer, _ = reach(context, spot)
        _leave_politely(context, peer)
        context.begin_again()


@chapter.case("CLOSE-02", *EVERYBODY)
def goodbye_before_anything_else(context: CaseContext) -> None:
    _leave_politely(context, context.dial_any())


def _leave_politely(context: CaseContext, peer: Peer) -> None:
    while peer.next(0.1, ambient=True) is not None:
        continue
    peer.say(Goodbye(code=ErrorCode.NORMAL))
    message = peer.next(ambient=True)
    context.check(message is None, "nothing after our Goodbye")
    context.check(peer.ended, "the end of the link after our Goodbye")


@chapter.case("CLOSE-03", *EVERYBODY)
def nothing_counts_after_goodbye(context: CaseContext) -> None:
    peer = context.open_any()
    while peer.next(0.1, ambient=True) is not None:
        continue
    peer.say_bytes(wire.message_bytes(Goodbye(code=ErrorCode.NORMAL)) + wire.framed([0, 0]))
    context.check(peer.next(ambient=True) is None, "nothing after our Goodbye")


@chapter.case("CLOSE-03", LICENSE_SERVER)
def no_license_after_goodbye(context: CaseContext) -> None:
    server = context.open(Role.TERMINAL_SERVER)
    device_id = context.rng.randbytes(32)
    late = wire.message_bytes(acquire_license(device_id, context.product), 1)
    server.say_bytes(wire.message_bytes(Goodbye(code=ErrorCode.NORMAL)) + late)
    server.expect_end()
    query = messages.QueryLicenses(device_id=device_id)
    licenses = context.open(Role.ADMINISTRATOR).ask_for(messages.Licenses, query)
    context.check(not licenses.licenses, "no license for what came after Goodbye")


@chapter.case("CLOSE-04", *EVERYBODY)
def codes_that_are_never_sent(context: CaseContext) -> None:
    for data in (wire.framed([0, 0]), wire.frame(b""), b"\xc1", wire.framed([4, 0, 113])):
        peer = context.open_any()
        peer.say_bytes(data)
        message = peer.next()
        while message is not None:
            code = getattr(message, "code", None)
            context.check(code not in NEVER_SENT, "no code that is never sent")
            message = peer.next(0.1)
        context.begin_again()


@chapter.case("CLOSE-05", TERMINAL_SERVER)
def late_words_after_a_redirect(context: CaseContext) -> None:
    client = context.redirected()
    client.say(messages.LogonStart(user_name=context.user().name))
    client.expect_silence(1.0)


@chapter.case("CLOSE-05", CLIENT)
def late_words_to_a_client_that_leaves(context: CaseContext) -> None:
    server = context.client_session()
    context.target.disconnect()
    server.hear_past(messages.DisconnectSession)
    server.say_session_bytes(b"late")
    server.say(Goodbye(code=ErrorCode.DISCONNECTED_BY_USER))
    context.check(server.next(ambient=True) is None, "nothing more from the client")


@chapter.case("CLOSE-06", *EVERYBODY)
def who_said_goodbye_closes_in_time(context: CaseContext) -> None:
    peer = context.open_any()
    peer.say_bytes(wire.framed([0, 0]))
    peer.say_bytes(b"late" * 100)
    seconds = limits.GOODBYE_SECONDS + context.target.seconds
    peer.expect_goodbye_and_end(ErrorCode.UNKNOWN_MESSAGE, seconds)


@chapter.case("CLOSE-07", CLIENT)
def a_client_waits_as_long_as_it_was_told(context: CaseContext) -> None:
    wait = 25
    context.needs_seconds(wait)
    server = context.accept(TERMINAL_SERVER)
    server.say(Goodbye(code=ErrorCode.BUSY, retry_after_seconds=wait))
    server.expect_end()
    began = context.now
    context.accept_again(limits.RECONNECT_SECONDS_MAX + wait)
    context.check(context.now - began >= wait - 1, f"no dial before {wait} s have passed")


@chapter.case("CLOSE-09", *DAEMONS)
def a_fault_ends_no_other_link(context: CaseContext) -> None:
    peer, question = asker_and_question(context)
    peer.ask(question)
    stranger = context.open_any()
    stranger.say_bytes(b"\xc1")
    stranger.expect_goodbye(ErrorCode.MALFORMED_FRAME)
    peer.ask(question)


# --- limits -------------------------------------------------------------------------------------


@chapter.case("TIME-05", TERMINAL_SERVER)
def leaving_does_not_last(context: CaseContext) -> None:
    context.needs_seconds(limits.SILENT_SECONDS)
    client = context.redirected()
    for _ in range(int(limits.SILENT_SECONDS / 10)):
        client.say(Heartbeat())
        client.expect_silence(10.0)
    client.say(Heartbeat())
    client.expect_goodbye(ErrorCode.TIMED_OUT, seconds=10.0)


@chapter.case("LIMIT-02", TERMINAL_SERVER)
def a_peer_that_does_not_read(context: CaseContext) -> None:
    context.needs_sockets("a link in process is never full")
    client, _ = context.licensing()
    try:
        for first in range(1, FLOOD, 500):
            client.say_bytes(_questions(range(first, first + 500)))
    except OSError:
        pass  # the target has closed already
    message = client.next()
    while message is not None and not isinstance(message, Goodbye):
        message = client.next()
    if message is None and not client.ended:
        raise Unmet("expected the end of a link over which nothing is read")


def _questions(ids: range) -> bytes:
    return b"".join(wire.message_bytes(messages.QueryAuthority(), i) for i in ids)


def cases() -> list[Case]:
    return chapter.cases
