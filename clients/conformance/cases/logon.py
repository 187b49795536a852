"""The logon phase of a terminal server: passwords, cookies, applications, commands."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import Stage, logon_request
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.device import Device
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.stage import Cast, Unmet, User
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
def the_right_password(stage: Stage) -> None:
    client = stage.licensed()
    accepted = stage.log_on(client, stage.user())
    stage.check(accepted.user_name == stage.user().name, "the user's name")
    log_off(client)


@chapter.case("LOGON-02", TERMINAL_SERVER)
def a_wrong_password_and_an_unknown_user_are_alike(stage: Stage) -> None:
    seen = []
    for user in (stage.user(), User(stage.fresh_name("nobody"), b"")):
        client = stage.licensed()
        answer = refused(client, wrong(user), ErrorCode.LOGON_FAILED)
        seen.append(answer.detail.replace(answer.trace_id, "").replace(user.name, ""))
        stage.log_on(client, stage.user())
        log_off(client)
    stage.check(seen[0] == seen[1], "one text for both")


@chapter.case("LOGON-03", TERMINAL_SERVER)
def three_wrong_passwords(stage: Stage) -> None:
    client = stage.licensed()
    for left in range(limits.LOGON_ATTEMPTS - 1, -1, -1):
        answer = refused(client, wrong(stage.user()), ErrorCode.LOGON_FAILED)
        client.expect_same(left, answer.attempts_left)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-04", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_second_request_while_the_first_waits(stage: Stage) -> None:
    directory = joined_directory(stage)
    client = fully_licensed(stage)
    client.say(logon_request(stage.user()))
    directory.hear(PlaceSession)
    client.say(logon_request(stage.user()))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-05", TERMINAL_SERVER)
def sixteen_requests_and_one_more(stage: Stage) -> None:
    client = stage.licensed()
    request = logon_request(stage.user(), Credential.TICKET, b"no ticket")
    for _ in range(REQUESTS_MAX):
        refused(client, request, ErrorCode.TICKET_INVALID)
    client.say(request)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-06", TERMINAL_SERVER, cast=Cast.BUSY)
def busy_with_passwords(stage: Stage) -> None:
    client = stage.licensed()
    for _ in range(limits.LOGON_ATTEMPTS + 1):
        answer = refused(client, logon_request(stage.user()), ErrorCode.LOGON_BUSY)
        stage.check(answer.retry_after_seconds > 0, "retry_after_seconds")
        client.expect_same(limits.LOGON_ATTEMPTS, answer.attempts_left)


@chapter.case("LOGON-07", TERMINAL_SERVER)
def an_application_that_is_not_there(stage: Stage) -> None:
    client = stage.licensed()
    request = msgspec.structs.replace(logon_request(stage.user()), application="no-such-thing")
    refused(client, request, ErrorCode.UNKNOWN_APPLICATION)
    stage.log_on(client, stage.user())
    log_off(client)


@chapter.case("LOGON-08", TERMINAL_SERVER, cast=Cast.ONE_SESSION)
def as_many_sessions_as_it_may(stage: Stage) -> None:
    stage.logged_on(user=stage.user(0))
    refused(stage.licensed(), logon_request(stage.user(1)), ErrorCode.TOO_MANY_SESSIONS)


@chapter.case("LOGON-09", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_program_that_does_not_start(stage: Stage) -> None:
    client = fully_licensed(stage)
    application = stage.target.broken_application()
    request = msgspec.structs.replace(logon_request(stage.user()), application=application)
    refused(client, request, ErrorCode.PROGRAM_FAILED)
    stage.log_on(client, stage.user())


@chapter.case("LOGON-10", TERMINAL_SERVER)
def every_session_has_its_number(stage: Stage) -> None:
    numbers = set()
    for _ in range(3):
        client = stage.licensed()
        accepted = stage.log_on(client, stage.user())
        stage.check(not accepted.reattached, "a new session")
        numbers.add(accepted.session_id)
        log_off(client)
    stage.check(len(numbers) == 3 and 0 not in numbers, "three numbers, none of them 0")


@chapter.case("LOGON-11", TERMINAL_SERVER)
def one_session_that_the_last_client_shows(stage: Stage) -> None:
    first, second = stage.licensed(), stage.licensed()
    one = stage.log_on(first, stage.user())
    other = stage.log_on(second, stage.user())
    stage.check(other.session_id == one.session_id and other.reattached, "the same session")
    first.expect_goodbye(ErrorCode.DISCONNECTED_BY_OTHER)
    log_off(second)


@chapter.case("LOGON-12", TERMINAL_SERVER)
def a_cookie_instead_of_a_password(stage: Stage) -> None:
    device = stage.device()
    accepted = _left_session(stage, device)
    stage.check(len(accepted.cookie) == COOKIE_BYTES, f"a cookie of {COOKIE_BYTES} bytes")
    client = stage.licensed(device)
    client.say(_with_cookie(stage.user(), accepted))
    again = client.hear(LogonAccepted)
    stage.check(again.session_id == accepted.session_id, "the session of the cookie")
    stage.check(again.cookie not in (b"", accepted.cookie), "a new cookie")
    log_off(client)


@chapter.case("LOGON-13", TERMINAL_SERVER)
def cookies_that_do_not_count(stage: Stage) -> None:
    device, stranger = stage.device(), stage.device()
    accepted = _left_session(stage, device)
    good = _with_cookie(stage.user(), accepted)
    changed = bytes([accepted.cookie[0] ^ 1]) + accepted.cookie[1:]
    stage.log_on(_each_refused(stage, stranger, [good]), stage.user(1))
    client = _each_refused(
        stage,
        device,
        [
            msgspec.structs.replace(good, credential=changed),
            msgspec.structs.replace(good, credential=b""),
            msgspec.structs.replace(good, user_name=stage.user(1).name),
            msgspec.structs.replace(good, session_id=accepted.session_id + 1_000),
        ],
    )
    stage.log_on(client, stage.user())
    client.say(DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    stage.log_on(_each_refused(stage, device, [good]), stage.user())


def _each_refused(stage: Stage, device: Device, requests: list[LogonRequest]) -> Peer:
    """A client that stays in LOGON: the target refuses each of its requests."""
    client = stage.licensed(device)
    for request in requests:
        refused(client, request, ErrorCode.TICKET_INVALID)
    return client


def _left_session(stage: Stage, device: Device) -> LogonAccepted:
    """LogonAccepted of a session that was then disconnected."""
    client = stage.licensed(device)
    accepted = stage.log_on(client, stage.user())
    client.say(DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)
    return accepted


def _with_cookie(user: User, accepted: LogonAccepted) -> LogonRequest:
    request = logon_request(user, Credential.RECONNECT, accepted.cookie)
    return msgspec.structs.replace(request, session_id=accepted.session_id)


@chapter.case("LOGON-15", TERMINAL_SERVER)
def a_command_is_apart(stage: Stage) -> None:
    first = stage.licensed()
    shell = stage.log_on(first, stage.user())
    second = stage.licensed()
    request = msgspec.structs.replace(logon_request(stage.user()), command="sleep 60")
    second.say(request)
    command = second.hear(LogonAccepted)
    stage.check(command.session_id != shell.session_id, "another session for the command")
    stage.check(command.cookie == b"", "no cookie for a command")
    first.expect_silence(0.5)
    log_off(second)
    log_off(first)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_before_the_license(stage: Stage) -> None:
    for request in (logon_request(stage.user()), wrong(stage.user())):
        client, _ = stage.licensing()
        client.say(request)
        client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_while_a_token_is_stored(stage: Stage) -> None:
    client = stage.show(stage.device())
    message: Message | None = client.next()
    stage.check(message is not None, "NewLicense")
    client.say(logon_request(stage.user()))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-17", TERMINAL_SERVER)
def size_and_term_reach_the_program(stage: Stage) -> None:
    stage.needs_sockets("no programs run in process")
    client = stage.licensed()
    request = logon_request(stage.user())
    request.command = "stty size; echo $TERM"
    request.columns, request.rows, request.terminal = 93, 31, "vt100"
    client.say(request)
    client.hear_session_bytes(b"31 93")
    client.hear_session_bytes(b"vt100")


def cases() -> list[Case]:
    return chapter.cases
