"""The logon phase of a terminal server: passwords, cookies, applications, commands."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext, logon_request
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.device import Device
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.target import Setup, Unmet, User
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    DisconnectSession,
    Goodbye,
    LogoffSession,
    LogonAccepted,
    LogonRefused,
    LogonRequest,
    Message,
    PlaceSession,
)

chapter = Chapter()

REQUESTS_MAX = 16
COOKIE_BYTES = 32


def refused(client: Peer, request: LogonRequest, code: ErrorCode) -> LogonRefused:
    """The target refuses the request with this code."""
    client.say(request)
    answer = client.hear(LogonRefused)
    if answer.code is not code:
        raise Unmet(f"expected LogonRefused with {code.name}, came {answer.code.name}")
    return answer


def wrong(user: User) -> LogonRequest:
    return logon_request(user, credential=b"certainly wrong")


def log_off(client: Peer) -> None:
    """Ends the session, so that the next case finds none."""
    client.say(LogoffSession())
    client.hear_past(Goodbye)


@chapter.case("LOGON-01", TERMINAL_SERVER)
def the_right_password(context: CaseContext) -> None:
    client = context.licensed()
    accepted = context.log_on(client, context.user())
    context.check(accepted.user_name == context.user().name, "the user's name")
    log_off(client)


@chapter.case("LOGON-02", TERMINAL_SERVER)
def a_wrong_password_and_an_unknown_user_are_alike(context: CaseContext) -> None:
    seen = []
    for user in (context.user(), User(context.fresh_name("nobody"), b"")):
        client = context.licensed()
        answer = refused(client, wrong(user), ErrorCode.LOGON_FAILED)
        seen.append(answer.detail.replace(answer.trace_id, "").replace(user.name, ""))
        context.log_on(client, context.user())
        log_off(client)
    context.check(seen[0] == seen[1], "one text for both")


@chapter.case("LOGON-03", TERMINAL_SERVER)
def three_wrong_passwords(context: CaseContext) -> None:
    client = context.licensed()
    for left in range(limits.LOGON_ATTEMPTS - 1, -1, -1):
        answer = refused(client, wrong(context.user()), ErrorCode.LOGON_FAILED)
        client.expect_same(left, answer.attempts_left)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-04", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_second_request_while_the_first_waits(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    client.say(logon_request(context.user()))
    directory.hear(PlaceSession)
    client.say(logon_request(context.user()))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-05", TERMINAL_SERVER)
def sixteen_requests_and_one_more(context: CaseContext) -> None:
    client = context.licensed()
    request = logon_request(context.user(), Credential.TICKET, b"no ticket")
    for _ in range(REQUESTS_MAX):
        refused(client, request, ErrorCode.TICKET_INVALID)
    client.say(request)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-06", TERMINAL_SERVER, setup=Setup.BUSY)
def busy_with_passwords(context: CaseContext) -> None:
    client = context.licensed()
    for _ in range(limits.LOGON_ATTEMPTS + 1):
        answer = refused(client, logon_request(context.user()), ErrorCode.LOGON_BUSY)
        context.check(answer.retry_after_seconds > 0, "retry_after_seconds")
        client.expect_same(limits.LOGON_ATTEMPTS, answer.attempts_left)


@chapter.case("LOGON-07", TERMINAL_SERVER)
def an_application_that_is_not_there(context: CaseContext) -> None:
    client = context.licensed()
    request = msgspec.structs.replace(logon_request(context.user()), application="no-such-thing")
    refused(client, request, ErrorCode.UNKNOWN_APPLICATION)
    context.log_on(client, context.user())
    log_off(client)


@chapter.case("LOGON-08", TERMINAL_SERVER, setup=Setup.ONE_SESSION)
def as_many_sessions_as_it_may(context: CaseContext) -> None:
    context.logged_on(user=context.user(0))
    refused(context.licensed(), logon_request(context.user(1)), ErrorCode.TOO_MANY_SESSIONS)


@chapter.case("LOGON-09", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_program_that_does_not_start(context: CaseContext) -> None:
    client = fully_licensed(context)
    application = context.target.broken_application()
    request = msgspec.structs.replace(logon_request(context.user()), application=application)
    refused(client, request, ErrorCode.PROGRAM_FAILED)
    context.log_on(client, context.user())


@chapter.case("LOGON-10", TERMINAL_SERVER)
def every_session_has_its_number(context: CaseContext) -> None:
    numbers = set()
    for _ in range(3):
        client = context.licensed()
        accepted = context.log_on(client, context.user())
        context.check(not accepted.reattached, "a new session")
        numbers.add(accepted.session_id)
        log_off(client)
    context.check(len(numbers) == 3 and 0 not in numbers, "three numbers, none of them 0")


@chapter.case("LOGON-11", TERMINAL_SERVER)
def one_session_that_the_last_client_shows(context: CaseContext) -> None:
    first, second = context.licensed(), context.licensed()
    one = context.log_on(first, context.user())
    other = context.log_on(second, context.user())
    context.check(other.session_id == one.session_id and other.reattached, "the same session")
    first.expect_goodbye(ErrorCode.DISCONNECTED_BY_OTHER)
    log_off(second)


@chapter.case("LOGON-12", TERMINAL_SERVER)
def a_cookie_instead_of_a_password(context: CaseContext) -> None:
    device = context.device()
    accepted = _left_session(context, device)
    context.check(len(accepted.cookie) == COOKIE_BYTES, f"a cookie of {COOKIE_BYTES} bytes")
    client = context.licensed(device)
    client.say(_with_cookie(context.user(), accepted))
    again = client.hear(LogonAccepted)
    context.check(again.session_id == accepted.session_id, "the session of the cookie")
    context.check(again.cookie not in (b"", accepted.cookie), "a new cookie")
    log_off(client)


@chapter.case("LOGON-13", TERMINAL_SERVER)
def cookies_that_do_not_count(context: CaseContext) -> None:
    device, stranger = context.device(), context.device()
    accepted = _left_session(context, device)
    good = _with_cookie(context.user(), accepted)
    changed = bytes([accepted.cookie[0] ^ 1]) + accepted.cookie[1:]
    context.log_on(_each_refused(context, stranger, [good]), context.user(1))
    client = _each_refused(
        context,
        device,
        [
            msgspec.structs.replace(good, credential=changed),
            msgspec.structs.replace(good, credential=b""),
            msgspec.structs.replace(good, user_name=context.user(1).name),
            msgspec.structs.replace(good, session_id=accepted.session_id + 1_000),
        ],
    )
    context.log_on(client, context.user())
    client.say(DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    context.log_on(_each_refused(context, device, [good]), context.user())


def _each_refused(context: CaseContext, device: Device, requests: list[LogonRequest]) -> Peer:
    """A client that stays in LOGON: the target refuses each of its requests."""
    client = context.licensed(device)
    for request in requests:
        refused(client, request, ErrorCode.TICKET_INVALID)
    return client


def _left_session(context: CaseContext, device: Device) -> LogonAccepted:
    """LogonAccepted of a session that was then disconnected."""
    client = context.licensed(device)
    accepted = context.log_on(client, context.user())
    client.say(DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    return accepted


def _with_cookie(user: User, accepted: LogonAccepted) -> LogonRequest:
    request = logon_request(user, Credential.RECONNECT, accepted.cookie)
    return msgspec.structs.replace(request, session_id=accepted.session_id)


@chapter.case("LOGON-15", TERMINAL_SERVER)
def a_command_is_apart(context: CaseContext) -> None:
    first = context.licensed()
    shell = context.log_on(first, context.user())
    second = context.licensed()
    request = msgspec.structs.replace(logon_request(context.user()), command="sleep 60")
    second.say(request)
    command = second.hear(LogonAccepted)
    context.check(command.session_id != shell.session_id, "another session for the command")
    context.check(command.cookie == b"", "no cookie for a command")
    first.expect_silence(0.5)
    log_off(second)
    log_off(first)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_before_the_license(context: CaseContext) -> None:
    for request in (logon_request(context.user()), wrong(context.user())):
        client, _ = context.licensing()
        client.say(request)
        client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_while_a_token_is_stored(context: CaseContext) -> None:
    client = context.show(context.device())
    message: Message | None = client.next()
    context.check(message is not None, "NewLicense")
    client.say(logon_request(context.user()))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-17", TERMINAL_SERVER)
def size_and_term_reach_the_program(context: CaseContext) -> None:
    context.needs_sockets("no programs run in process")
    client = context.licensed()
    request = logon_request(context.user())
    request.command = "stty size; echo $TERM"
    request.columns, request.rows, request.terminal = 93, 31, "vt100"
    client.say(request)
    client.hear_session_bytes(b"31 93")
    client.hear_session_bytes(b"vt100")


def cases() -> list[Case]:
    return chapter.cases
