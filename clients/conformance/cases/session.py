"""A shown session: its bytes, its size, its end; and redirects to its host."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import CLIENT, EVERYBODY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.logon import log_off
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory, open_spots, reach
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState

chapter = Chapter()

BULK = 300_000


def session_of_command(context: CaseContext, command: str) -> Peer:
    """A client that shows the output of a shell's command; the terminal neither echoes nor
    translates."""
    context.needs_sockets("no programs run in process")
    client = context.licensed()
    context.log_on(client, context.user(), command=command)
    return client


@chapter.case("SESS-01", *EVERYBODY)
def session_bytes_where_there_is_no_session(context: CaseContext) -> None:
    opening = context.dial_any()
    opening.say_session_bytes(b"x")
    opening.expect_goodbye(ErrorCode.OUT_OF_ORDER)
    for spot in open_spots(context.target.role):
        if spot.state is LinkState.SESSION:
            continue
        context.begin_again()
        peer, _ = reach(context, spot)
        peer.say_session_bytes(b"x")
        peer.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("SESS-02", TERMINAL_SERVER)
def empty_session_bytes(context: CaseContext) -> None:
    client = context.logged_on()
    client.say_session_bytes(b"")
    client.say(messages.ResizeSession(columns=80, rows=24))
    client.expect_no_fault(0.5)
    log_off(client)


@chapter.case("SESS-02", CLIENT)
def empty_session_bytes_to_a_client(context: CaseContext) -> None:
    server = context.client_session()
    server.say_session_bytes(b"")
    server.expect_no_fault(0.5)


@chapter.case("SESS-03", TERMINAL_SERVER)
def chunks_are_bounded(context: CaseContext) -> None:
    client = session_of_command(context, f"head -c {BULK} /dev/zero; cat >/dev/null")
    client.hear_session_bytes(bytes(BULK))
    context.check(client.longest_chunk <= limits.SESSION_CHUNK_BYTES, "frames of bounded length")


@chapter.case("SESS-03", TERMINAL_SERVER, CLIENT)
def as_many_bytes_as_a_frame_may_hold(context: CaseContext) -> None:
    spot = next(s for s in open_spots(context.target.role) if s.state is LinkState.SESSION)
    peer, _ = reach(context, spot)
    peer.say_session_bytes(b"\n" * limits.FRAME_BYTES)
    peer.expect_no_fault(0.5)


@chapter.case("SESS-04", TERMINAL_SERVER)
def bytes_come_back_as_they_went(context: CaseContext) -> None:
    client = session_of_command(context, "exec cat")
    text = bytes(b for b in range(32, 127)) * 20 + b"\n"
    for line in range(20):
        client.say_session_bytes(b"%d " % line + text)
    client.hear_session_bytes(b"".join(b"%d " % line + text for line in range(20)))


@chapter.case("SESS-05", TERMINAL_SERVER)
def a_new_size_reaches_the_program(context: CaseContext) -> None:
    look = 'until [ "$(stty size)" = "47 101" ]; do sleep 0.05; done; echo it came; read x'
    client = session_of_command(context, look)
    client.say(messages.ResizeSession(columns=101, rows=47))
    client.hear_session_bytes(b"it came")


@chapter.case("SESS-06", TERMINAL_SERVER)
def a_disconnected_session_goes_on(context: CaseContext) -> None:
    device = context.device()
    client = context.licensed(device)
    session_id = context.log_on(client, context.user()).session_id
    client.say(messages.DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    client = context.licensed(device)
    again = context.log_on(client, context.user())
    context.check(again.reattached and again.session_id == session_id, "the session that was left")
    log_off(client)


@chapter.case("SESS-07", TERMINAL_SERVER, also=("SESS-08",))
def logoff_ends_the_session(context: CaseContext) -> None:
    client = context.logged_on()
    client.say(messages.LogoffSession())
    client.hear(messages.SessionEnded)
    client.expect_goodbye(ErrorCode.LOGGED_OFF)
    client = context.licensed()
    context.check(not context.log_on(client, context.user()).reattached, "a new session")
    log_off(client)


@chapter.case("SESS-08", TERMINAL_SERVER)
def the_rest_of_the_output_comes_first(context: CaseContext) -> None:
    client = session_of_command(context, f"head -c {BULK} /dev/zero; echo done")
    client.hear(messages.SessionEnded)
    context.check(client.session_bytes.endswith(bytes(9) + b"done\n"), "all output before the end")
    client.expect_goodbye(ErrorCode.LOGGED_OFF)


@chapter.case("SESS-09", TERMINAL_SERVER)
def the_exit_status_is_told(context: CaseContext) -> None:
    for command, status in (("true", 0), ("exit 3", 3), ("kill -9 $$", 137)):
        client = session_of_command(context, command)
        client.expect_same(status, client.hear(messages.SessionEnded).exit_status)


@chapter.case("SESS-10", TERMINAL_SERVER)
def a_session_outlives_its_connection(context: CaseContext) -> None:
    client = context.licensed()
    session_id = context.log_on(client, context.user()).session_id
    client.hang_up()
    context.target.let_pass(0.2)
    client = context.licensed()
    again = context.log_on(client, context.user())
    context.check(again.reattached and again.session_id == session_id, "the session that was left")
    log_off(client)


@chapter.case("SESS-11", TERMINAL_SERVER)
def a_slow_reader_is_waited_for(context: CaseContext) -> None:
    client = session_of_command(context, "head -c 20000000 /dev/zero; echo done")
    context.target.let_pass(1.0)
    client.hear_session_bytes(b"done\n")
    context.check(len(client.session_bytes) == 20_000_005, "all of twenty million bytes")
    client.hear(messages.SessionEnded)


@chapter.case("SESS-12", TERMINAL_SERVER)
def the_screen_is_drawn_first(context: CaseContext) -> None:
    context.needs_sockets("no programs run in process")
    device = context.device()
    client = context.logged_on(device)
    client.say_session_bytes(b"printf 'on-%s\\n' the-screen\n")
    client.hear_session_bytes(b"on-the-screen")
    client.say(messages.DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    client = context.logged_on(device)
    client.hear_session_bytes(b"on-the-screen")
    log_off(client)


# --- redirects ----------------------------------------------------------------------------------


def placed(context: CaseContext, **changes: object) -> messages.SessionPlaced:
    """A directory's SessionPlaced: the session is on another host."""
    elsewhere = messages.SessionPlaced(
        placement=7,
        host="elsewhere",
        address="10.9.9.7",
        port=5_607,
        session_id=12,
    )
    return msgspec.structs.replace(elsewhere, **changes)


@chapter.case("REDIR-01", TERMINAL_SERVER, setup=Setup.PLAYED)
def redirect_says_what_the_directory_said(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.prove(client, context.user())
    answer = placed(context)
    directory.answer(directory.hear(messages.PlaceSession), answer)
    redirect = client.hear(messages.Redirect)
    for field in ("host", "address", "port", "session_id"):
        client.expect_same(getattr(answer, field), getattr(redirect, field))
    directory.expect_silence(0.5)


@chapter.case("REDIR-01", TERMINAL_SERVER)
def a_user_whose_session_is_elsewhere(context: CaseContext) -> None:
    context.redirected()


@chapter.case("REDIR-12", TERMINAL_SERVER, setup=Setup.PLAYED)
def who_could_not_be_reached_is_avoided(context: CaseContext) -> None:
    directory = joined_directory(context)
    context.prove(fully_licensed(context), context.user(), avoid="elsewhere")
    directory.expect_same("elsewhere", directory.hear(messages.PlaceSession).avoid)


@chapter.case("REDIR-13", TERMINAL_SERVER, setup=Setup.PLAYED)
def what_a_redirect_promised_is_passed_on(context: CaseContext) -> None:
    directory = joined_directory(context)
    context.prove(fully_licensed(context), context.user(), session_id=12, redirected=True)
    asked = directory.hear(messages.PlaceSession)
    context.expect_fields(asked, "as in LogonProof", redirected=True, session_id=12)
    context.prove(fully_licensed(context), context.user(), session_id=12)
    asked = directory.hear(messages.PlaceSession)
    context.expect_fields(asked, "nothing was promised", redirected=False, session_id=0)


def cases() -> list[Case]:
    return chapter.cases
