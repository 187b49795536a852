"""The logon phase of a terminal server: challenges, proofs, applications, commands, resuming."""

from __future__ import annotations

from clients.conformance.acting import CaseContext
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.target import Setup, Unavailable, Unmet
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    Goodbye,
    LogoffSession,
    LogonAccepted,
    LogonProof,
    LogonRefused,
    LogonStart,
    Message,
    PlaceSession,
    SessionPlaced,
)

chapter = Chapter()

STARTS_MAX = 16
NONCE_BYTES = 32


def expect_refused(client: Peer, proof: LogonProof | LogonStart, code: ErrorCode) -> LogonRefused:
    """The target refuses this with this code."""
    client.say(proof)
    answer = client.hear(LogonRefused)
    if answer.code is not code:
        raise Unmet(f"expected LogonRefused with {code.name}, came {answer.code.name}")
    return answer


def log_off(client: Peer) -> None:
    """Ends the session, so that the next case finds none."""
    client.say(LogoffSession())
    client.hear_past(Goodbye)


def leave(client: Peer) -> None:
    """Leaves the session running."""
    client.say(DisconnectSession())
    client.expect_goodbye(ErrorCode.DISCONNECTED_BY_USER)


# --- what is asked for ----------------------------------------------------------------------------


@chapter.case("LOGON-07", TERMINAL_SERVER)
def an_application_that_is_not_there(context: CaseContext) -> None:
    client = context.licensed()
    attempt = context.challenged(client, context.user(), application="no-such-thing")
    expect_refused(client, attempt.proof(), ErrorCode.UNKNOWN_APPLICATION)
    context.log_on(client, context.user())
    log_off(client)


@chapter.case("LOGON-36", TERMINAL_SERVER, setup=Setup.PLAYED)
def an_application_that_the_account_may_not_use(context: CaseContext) -> None:
    user = context.user(2)
    if not user.applications:
        raise Unavailable("needs an account that may use certain applications only (--lab)")
    client = fully_licensed(context)
    attempt = context.challenged(client, user)
    answer = expect_refused(client, attempt.proof(), ErrorCode.NOT_PERMITTED)
    context.expect_fields(answer, "no wrong proof", attempts_left=limits.LOGON_ATTEMPTS)
    context.log_on(client, user, application=user.applications[0])
    log_off(client)


@chapter.case("LOGON-08", TERMINAL_SERVER, setup=Setup.ONE_SESSION)
def as_many_sessions_as_it_may(context: CaseContext) -> None:
    context.logged_on(user=context.user(0))
    client = context.licensed()
    attempt = context.challenged(client, context.user(1))
    expect_refused(client, attempt.proof(), ErrorCode.TOO_MANY_SESSIONS)


@chapter.case("LOGON-09", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_program_that_does_not_start(context: CaseContext) -> None:
    client = fully_licensed(context)
    application = context.target.broken_application()
    attempt = context.challenged(client, context.user(), application=application)
    expect_refused(client, attempt.proof(), ErrorCode.PROGRAM_FAILED)
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


@chapter.case("LOGON-15", TERMINAL_SERVER)
def a_command_is_apart(context: CaseContext) -> None:
    first = context.licensed()
    shell = context.log_on(first, context.user())
    second = context.licensed()
    command = context.log_on(second, context.user(), command="sleep 60")
    context.check(command.session_id != shell.session_id, "another session for the command")
    context.expect_fields(command, "no attachment for a command", attachment=0)
    first.expect_silence(0.5)
    log_off(second)
    log_off(first)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_before_the_license(context: CaseContext) -> None:
    for early in (LogonStart(user_name=context.user().name), LogonProof(method=1)):
        client, _ = context.licensing()
        client.say(early)
        client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-16", TERMINAL_SERVER)
def no_logon_while_a_token_is_stored(context: CaseContext) -> None:
    client = context.show(context.device())
    message: Message | None = client.next()
    context.check(message is not None, "NewLicense")
    client.say(LogonStart(user_name=context.user().name))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-17", TERMINAL_SERVER)
def size_and_term_reach_the_program(context: CaseContext) -> None:
    context.needs_sockets("no programs run in process")
    client = context.licensed()
    shown = {"columns": 93, "rows": 31, "terminal": "vt100"}
    context.prove(client, context.user(), command="stty size; echo $TERM", **shown)
    client.hear_session_bytes(b"31 93")
    client.hear_session_bytes(b"vt100")


# --- resuming -------------------------------------------------------------------------------------


@chapter.case("LOGON-27", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_session_that_is_resumed(context: CaseContext) -> None:
    directory = joined_directory(context)
    first = _placed_anew(context, directory)
    client = fully_licensed(context)
    again = context.log_on(client, context.user(), **_resuming(first))
    context.expect_fields(again, session_id=first.session_id, reattached=True)
    log_off(client)
    asked = directory.next(0.2)
    while asked is not None:
        context.check(not isinstance(asked, PlaceSession), "no PlaceSession for it")
        asked = directory.next(0.2)


def _placed_anew(context: CaseContext, directory: Peer) -> LogonAccepted:
    """LogonAccepted of a session that the played directory has placed here; then its client was
    lost."""
    client = fully_licensed(context)
    context.prove(client, context.user())
    here = SessionPlaced(placement=77, host=context.target_name, address="10.0.0.1", port=5600)
    directory.answer(directory.hear(PlaceSession), here)
    accepted = client.hear(LogonAccepted)
    client.hang_up()
    return accepted


def _resuming(accepted: LogonAccepted) -> dict[str, int]:
    return {"session_id": accepted.session_id, "attachment": accepted.attachment}


@chapter.case("LOGON-27", TERMINAL_SERVER)
def a_session_that_another_client_was_shown(context: CaseContext) -> None:
    office, phone = context.licensed(), context.licensed()
    shown = context.log_on(office, context.user())
    context.log_on(phone, context.user())
    office.expect_goodbye(ErrorCode.DISCONNECTED_BY_OTHER)
    leave(phone)
    office = context.licensed()
    context.prove(office, context.user(), **_resuming(shown))
    office.expect_goodbye(ErrorCode.DISCONNECTED_BY_OTHER)
    client = context.licensed()
    context.log_on(client, context.user())
    log_off(client)


@chapter.case("LOGON-27", TERMINAL_SERVER)
def a_session_that_has_ended(context: CaseContext) -> None:
    client = context.licensed()
    ended = context.log_on(client, context.user())
    log_off(client)
    client = context.licensed()
    accepted = context.log_on(client, context.user(), **_resuming(ended))
    context.check(not accepted.reattached, "a new session")
    log_off(client)


@chapter.case("LOGON-28", TERMINAL_SERVER)
def attachments_rise(context: CaseContext) -> None:
    seen = [0]
    for _ in range(3):
        client = context.licensed()
        seen.append(context.log_on(client, context.user()).attachment)
        leave(client)
    context.check(seen == sorted(set(seen)), f"each attachment above the last, came {seen[1:]}")
    client = context.licensed()
    context.log_on(client, context.user())
    log_off(client)


@chapter.case("LOGON-30", TERMINAL_SERVER)
def nobody_else_is_shown_a_session(context: CaseContext) -> None:
    owner, other = context.licensed(), context.licensed()
    shown = context.log_on(owner, context.user(0))
    own = context.log_on(other, context.user(1), **_resuming(shown))
    context.check(own.session_id != shown.session_id, "a session of their own")
    owner.expect_silence(0.2)
    for client in (owner, other):
        log_off(client)


# --- what the directory is told -------------------------------------------------------------------


@chapter.case("DIR-31", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_proof_is_passed_on_as_it_was_given(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    attempt = context.challenged(client, context.user(), application="app1")
    given = attempt.proof()
    client.say(given)
    asked = directory.hear(PlaceSession)
    context.expect_fields(asked, user_name=context.user().name, application="app1")
    wanted = attempt.for_directory(signature=given.signature)
    directory.expect_same([wanted], list(asked.proof))


def cases() -> list[Case]:
    return chapter.cases
