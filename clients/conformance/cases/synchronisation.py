"""How a terminal server joins its directory and tells it its sessions, seen from both ends."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext, join, join_farm, session_row
from clients.conformance.case import SESSION_DIRECTORY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.farm import Farm
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.target import Setup, Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    Done,
    Joined,
    JoinFarm,
    LogoffSession,
    LogonAccepted,
    LogonRefused,
    PlaceSession,
    Refused,
    RemoveSession,
    Role,
    ServerState,
    SessionPlaced,
    SessionRow,
    SessionState,
    SyncSessions,
    UpdateSession,
)

chapter = Chapter()


def part(rows: list[SessionRow], last: bool = False) -> SyncSessions:
    return SyncSessions(sessions=rows, last=last)


def state_of(context: CaseContext, name: str) -> ServerState | None:
    """The terminal server's state, as an administrator's query shows it."""
    servers = context.open(Role.ADMINISTRATOR).ask_for(messages.Servers, messages.QueryServers())
    return next((server.state for server in servers.servers if server.name == name), None)


def rows_of(context: CaseContext, user: str) -> list[tuple[str, int]]:
    query = messages.QuerySessions(user_name=user)
    sessions = context.open(Role.ADMINISTRATOR).ask_for(messages.Sessions, query).sessions
    return [(row.host, row.session_id) for row in sessions]


# --- the directory --------------------------------------------------------------------------------


@chapter.case("SYNC-01", SESSION_DIRECTORY)
def one_generation_a_life(context: CaseContext) -> None:
    seen = []
    for _ in range(2):
        server = context.open(Role.TERMINAL_SERVER, name=context.fresh_name("ts"))
        seen.append(server.ask_for(Joined, join_farm()).generation)
    context.check(seen[0] == seen[1], "one generation")
    context.target.restart()
    server = context.open(Role.TERMINAL_SERVER, name=context.fresh_name("ts"))
    again = server.ask_for(Joined, join_farm()).generation
    context.check(again != seen[0], "another generation after a new start")


@chapter.case("SYNC-02", SESSION_DIRECTORY)
def synchronizing_until_the_last_part(context: CaseContext) -> None:
    name = context.fresh_name("ts")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    context.check(state_of(context, name) is ServerState.SYNCHRONIZING, "SYNCHRONIZING")
    server.ask_for(Done, part([session_row(name, "user")]))
    context.check(state_of(context, name) is ServerState.SYNCHRONIZING, "SYNCHRONIZING still")
    server.ask_for(Done, part([], last=True))
    context.check(state_of(context, name) is ServerState.READY, "READY")


@chapter.case("SYNC-03", SESSION_DIRECTORY)
def sixty_sessions_in_three_parts(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    rows = [session_row(name, user, number) for number in range(1, 61)]
    server.ask_for(Done, part(rows[:25]))
    server.ask_for(Done, part(rows[25:50]))
    context.check(not rows_of(context, user), "nothing of a list that is not complete")
    server.ask_for(Done, part(rows[50:], last=True))
    context.check(
        rows_of(context, user) == [(name, number) for number in range(1, 61)], "all sixty"
    )


@chapter.case("SYNC-03", SESSION_DIRECTORY)
def the_list_replaces_what_was_known(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    join(context.open(Role.TERMINAL_SERVER, name=name), name, [session_row(name, user, 1)])
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    context.check(rows_of(context, user) == [(name, 1)], "the old row until the list is complete")
    server.ask_for(Done, part([session_row(name, user, 2)], last=True))
    context.check(rows_of(context, user) == [(name, 2)], "the new row alone")


@chapter.case("SYNC-04", SESSION_DIRECTORY)
def a_list_that_nobody_waits_for(context: CaseContext) -> None:
    name = context.fresh_name("ts")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.expect_refused(part([], last=True), ErrorCode.NOT_JOINED)
    join(server, name)
    server.expect_refused(part([], last=True), ErrorCode.NOT_JOINED)


@chapter.case("SYNC-05", SESSION_DIRECTORY)
def a_list_with_rows_of_others(context: CaseContext) -> None:
    for host, number in (("another-ts", 1), ("", 0)):
        name, user = context.fresh_name("ts"), context.fresh_name("user")
        server = context.open(Role.TERMINAL_SERVER, name=name)
        server.ask_for(Joined, join_farm())
        wrong = session_row(host or name, user, number)
        server.expect_refused(part([wrong], last=True), ErrorCode.NOT_PERMITTED)
        given = context.given_to(server, context.user(), application=name)
        question = PlaceSession(
            user_name=context.user().name, application=name, proof=[given.for_directory()]
        )
        server.expect_refused(question, ErrorCode.NOT_JOINED)
        join(server, name)
        server.ask_for(SessionPlaced, question)


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_is_newer_than_the_list(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    server.say(
        UpdateSession(session=session_row(name, user, 3)),
        RemoveSession(session_id=1, placement=1, user_name=user),
    )
    rows = [session_row(name, user, number) for number in (1, 2)]
    server.ask_for(Done, part(rows, last=True))
    server.expect_same([(name, 2), (name, 3)], rows_of(context, user))


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_is_not_shown_before_the_list(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    join(server, name, [session_row(name, user, 1)])
    server.ask_for(Joined, join_farm())
    server.say(
        UpdateSession(session=session_row(name, user, 3)),
        RemoveSession(session_id=1, placement=1, user_name=user),
    )
    server.ask_for(Done, part([]))
    server.expect_same([(name, 1)], rows_of(context, user))
    server.ask_for(Done, part([session_row(name, user, 1)], last=True))
    server.expect_same([(name, 3)], rows_of(context, user))


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_of_a_lower_placement_than_the_lists(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    listed = [session_row(name, user, number, placement=9) for number in (1, 2, 3, 4)]
    server.ask_for(Done, part(listed[:2]))
    for number in (1, 3):
        server.say(
            UpdateSession(session=session_row(name, user, number, placement=4, columns=99)),
            RemoveSession(session_id=number + 1, placement=4, user_name=user),
        )
    server.ask_for(Done, part(listed[2:], last=True))
    query = messages.QuerySessions(user_name=user)
    shown = context.open(Role.ADMINISTRATOR).ask_for(messages.Sessions, query).sessions
    said = [(row.session_id, row.placement, row.columns) for row in shown]
    server.expect_same([(1, 4, 99), (3, 4, 99)], said)


@chapter.case("SYNC-12", SESSION_DIRECTORY)
def an_older_link_has_no_say(context: CaseContext) -> None:
    farm = Farm(context)
    again = context.open(Role.TERMINAL_SERVER, name=farm.names[1])
    join(again, farm.names[1])
    farm.servers[1].say(UpdateSession(session=farm.row(1, 7)))
    context.target.let_pass(0.2)
    rows = farm.rows_seen_by(context.open(Role.ADMINISTRATOR))
    context.check(not rows, "nothing that the older link said")
    farm.servers[1].hang_up()
    context.target.let_pass(0.2)
    context.check(
        state_of(context, farm.names[1]) is ServerState.READY, "READY over the newer link"
    )


@chapter.case("SYNC-14", SESSION_DIRECTORY)
def two_hosts_of_one_name(context: CaseContext) -> None:
    name, user = context.fresh_name("ts"), context.fresh_name("user")
    first = context.open(Role.TERMINAL_SERVER, name=name)
    join(first, name, [session_row(name, user, 7)])
    second = context.open(Role.TERMINAL_SERVER, name=name)
    here = join_farm()
    other_port = msgspec.structs.replace(here, port=here.port + 1)
    other_address = msgspec.structs.replace(here, address="10.9.0.99")
    for elsewhere in (other_port, other_address):
        second.expect_refused(elsewhere, ErrorCode.NOT_PERMITTED)
    first.expect_silence(0.1)
    context.check(state_of(context, name) is ServerState.READY, "the first one still READY")
    context.check(rows_of(context, user) == [(name, 7)], "the first one's session")
    first.hang_up()
    context.target.let_pass(0.2)
    second.ask_for(Joined, other_address)


@chapter.case("SYNC-15", SESSION_DIRECTORY)
def the_same_host_over_a_newer_link(context: CaseContext) -> None:
    name = context.fresh_name("ts")
    older = context.open(Role.TERMINAL_SERVER, name=name)
    join(older, name)
    join(context.open(Role.TERMINAL_SERVER, name=name), name)
    older.expect_goodbye(ErrorCode.NOT_JOINED)


# --- the terminal server --------------------------------------------------------------------------


@chapter.case("SYNC-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def joins_and_tells_even_nothing(context: CaseContext) -> None:
    directory = context.accept(Role.SESSION_DIRECTORY)
    joining = directory.hear(JoinFarm)
    directory.expect_silence(0.5)
    directory.answer(joining, Joined(generation=bytes(16)))
    sync = directory.hear(SyncSessions)
    context.check(sync.last and not sync.sessions, "an empty list, marked last")


@chapter.case("SYNC-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def joins_again_over_a_new_link(context: CaseContext) -> None:
    directory = joined_directory(context)
    client, session_id = _session_placed_here(context, directory)
    directory.hang_up()
    again = context.accept(Role.SESSION_DIRECTORY, seconds=2 * limits.REJOIN_SECONDS_MAX)
    again.answer(again.hear(JoinFarm), Joined(generation=bytes(16)))
    sync = again.hear(SyncSessions)
    context.check([row.session_id for row in sync.sessions] == [session_id], "its one session")


@chapter.case("SYNC-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def one_part_after_the_other(context: CaseContext) -> None:
    """A terminal server with more sessions than one message holds, each of another application."""
    for application in context.applications(limits.SESSIONS_PER_MESSAGE + 5):
        client = fully_licensed(context)
        context.log_on(client, context.user(), application=application)
    directory = context.accept(Role.SESSION_DIRECTORY, seconds=2 * limits.REJOIN_SECONDS_MAX)
    directory.answer(directory.hear(JoinFarm), Joined(generation=bytes(16)))
    first = directory.hear(SyncSessions)
    context.check(len(first.sessions) == limits.SESSIONS_PER_MESSAGE and not first.last, "25 first")
    directory.expect_silence(0.5)
    directory.answer(first, Done())
    second = directory.hear(SyncSessions)
    context.check(len(second.sessions) == 5 and second.last, "then the last five")


@chapter.case("SYNC-08", TERMINAL_SERVER, setup=Setup.PLAYED)
def every_change_is_told(context: CaseContext) -> None:
    directory = joined_directory(context)
    client, session_id = _session_placed_here(context, directory, hear_update=False)
    _expect_state(directory, session_id, SessionState.ACTIVE)
    client.say(DisconnectSession())
    _expect_state(directory, session_id, SessionState.DISCONNECTED)
    client, _ = _session_placed_here(context, directory, session_id, hear_update=False)
    _expect_state(directory, session_id, SessionState.ACTIVE)
    client.say(LogoffSession())
    _expect_state(directory, session_id, SessionState.RESET)
    removed = directory.hear(RemoveSession)
    directory.expect_same(session_id, removed.session_id)


@chapter.case("SYNC-08", TERMINAL_SERVER, setup=Setup.PLAYED)
def nothing_of_commands(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.log_on(client, context.user(), command="sleep 60")
    client.say(LogoffSession())
    client.hear_past(messages.SessionEnded)
    directory.expect_silence(1.0)


@chapter.case("SYNC-09", TERMINAL_SERVER, setup=Setup.PLAYED)
def who_is_not_joined_joins_again(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.prove(client, context.user())
    not_joined = Refused(code=ErrorCode.NOT_JOINED)
    directory.answer(directory.hear(PlaceSession), not_joined)
    message = directory.next(2 * limits.REJOIN_SECONDS_MAX)
    while isinstance(message, UpdateSession):
        message = directory.next(2 * limits.REJOIN_SECONDS_MAX)
    context.check(isinstance(message, JoinFarm), "JoinFarm")


@chapter.case("SYNC-11", TERMINAL_SERVER, setup=Setup.PLAYED)
def logons_go_on_without_the_directory(context: CaseContext) -> None:
    first, second = fully_licensed(context), fully_licensed(context)
    one = context.log_on(first, context.user())
    other = context.log_on(second, context.user())
    context.check(
        other.session_id == one.session_id and other.reattached, "the session that is here"
    )


@chapter.case("SYNC-11", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_directory_that_does_not_answer(context: CaseContext) -> None:
    context.needs_seconds(limits.REQUEST_SECONDS)
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.prove(client, context.user())
    directory.hear(PlaceSession)
    client.hear(LogonAccepted, limits.REQUEST_SECONDS)


@chapter.case("SYNC-13", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_place_that_came_to_nothing(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    application = context.target.broken_application()
    context.prove(client, context.user(), application=application)
    request = directory.hear(PlaceSession)
    directory.answer(request, _here(context, 0))
    client.hear(LogonRefused)
    removed = directory.hear(RemoveSession)
    said = (removed.session_id, removed.placement)
    directory.expect_same((0, 77), said)


@chapter.case("DIR-28", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_receipt_goes_into_the_row(context: CaseContext) -> None:
    directory = joined_directory(context)
    session_id = 0
    for receipt, placement in ((b"\x01" * 32, 77), (b"\x02" * 32, 78)):
        client = fully_licensed(context)
        context.prove(client, context.user())
        placed = _here(context, session_id, placement=placement, receipt=receipt)
        directory.answer(directory.hear(PlaceSession), placed)
        session_id = client.hear(LogonAccepted).session_id
        row = directory.hear(UpdateSession).session
        context.expect_fields(row, "as placed", receipt=receipt, placement=placement)
        client.say(DisconnectSession())
        row = directory.hear(UpdateSession).session
        context.expect_fields(row, "as placed, still", receipt=receipt, placement=placement)


@chapter.case("DIR-32", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_session_that_began_without_the_directory(context: CaseContext) -> None:
    client = fully_licensed(context)
    attempt = context.challenged(client, context.user())
    given = attempt.proof()
    client.say(given)
    session_id = client.hear(LogonAccepted).session_id
    directory = joined_directory(context)
    asked = directory.hear(PlaceSession)
    context.expect_fields(asked, "for a receipt", session_id=session_id, redirected=False)
    directory.expect_same([attempt.for_directory(signature=given.signature)], list(asked.proof))
    receipt = b"\x03" * 32
    directory.answer(asked, _here(context, session_id, placement=0, receipt=receipt))
    row = directory.hear(UpdateSession).session
    context.expect_fields(row, session_id=session_id, placement=0, receipt=receipt)


def _here(
    context: CaseContext, session_id: int, *, placement: int = 77, receipt: bytes = b""
) -> SessionPlaced:
    return SessionPlaced(
        placement=placement,
        receipt=receipt,
        host=context.target_name,
        address="10.0.0.1",
        port=5600,
        session_id=session_id,
    )


def _session_placed_here(
    context: CaseContext, directory: Peer, session_id: int = 0, *, hear_update: bool = True
) -> tuple[Peer, int]:
    """A client whom the directory has placed on this host, and the number of its session."""
    client = fully_licensed(context)
    context.prove(client, context.user())
    directory.answer(directory.hear(PlaceSession), _here(context, session_id))
    accepted = client.hear(LogonAccepted)
    if hear_update:
        directory.hear(UpdateSession)
    return client, accepted.session_id


def _expect_state(directory: Peer, session_id: int, state: SessionState) -> None:
    row = directory.hear(UpdateSession).session
    if (row.session_id, row.state) != (session_id, state):
        raise Unmet(f"expected session {session_id} {state.name}, came {row}")


def cases() -> list[Case]:
    return chapter.cases
