"""How a terminal server joins its directory and tells it its sessions, seen from both ends."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import Stage, join, join_farm, logon_request, session_row
from clients.conformance.case import SESSION_DIRECTORY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.farm import Farm
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.stage import Cast, Unmet
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


def state_of(stage: Stage, name: str) -> ServerState | None:
    """The terminal server's state, as an administrator's query shows it."""
    servers = stage.open(Role.ADMINISTRATOR).ask_for(messages.Servers, messages.QueryServers())
    return next((server.state for server in servers.servers if server.name == name), None)


def rows_of(stage: Stage, user: str) -> list[tuple[str, int]]:
    query = messages.QuerySessions(user_name=user)
    sessions = stage.open(Role.ADMINISTRATOR).ask_for(messages.Sessions, query).sessions
    return [(row.host, row.session_id) for row in sessions]


# --- the directory --------------------------------------------------------------------------------


@chapter.case("SYNC-01", SESSION_DIRECTORY)
def one_generation_a_life(stage: Stage) -> None:
    seen = []
    for _ in range(2):
        server = stage.open(Role.TERMINAL_SERVER, name=stage.fresh_name("ts"))
        seen.append(server.ask_for(Joined, join_farm()).generation)
    stage.check(seen[0] == seen[1], "one generation")
    stage.target.restart()
    server = stage.open(Role.TERMINAL_SERVER, name=stage.fresh_name("ts"))
    again = server.ask_for(Joined, join_farm()).generation
    stage.check(again != seen[0], "another generation after a new start")


@chapter.case("SYNC-02", SESSION_DIRECTORY)
def synchronizing_until_the_last_part(stage: Stage) -> None:
    name = stage.fresh_name("ts")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    stage.check(state_of(stage, name) is ServerState.SYNCHRONIZING, "SYNCHRONIZING")
    server.ask_for(Done, part([session_row(name, "user")]))
    stage.check(state_of(stage, name) is ServerState.SYNCHRONIZING, "SYNCHRONIZING still")
    server.ask_for(Done, part([], last=True))
    stage.check(state_of(stage, name) is ServerState.READY, "READY")


@chapter.case("SYNC-03", SESSION_DIRECTORY)
def sixty_sessions_in_three_parts(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    rows = [session_row(name, user, number) for number in range(1, 61)]
    server.ask_for(Done, part(rows[:25]))
    server.ask_for(Done, part(rows[25:50]))
    stage.check(not rows_of(stage, user), "nothing of a list that is not complete")
    server.ask_for(Done, part(rows[50:], last=True))
    stage.check(rows_of(stage, user) == [(name, number) for number in range(1, 61)], "all sixty")


@chapter.case("SYNC-03", SESSION_DIRECTORY)
def the_list_replaces_what_was_known(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    join(stage.open(Role.TERMINAL_SERVER, name=name), name, [session_row(name, user, 1)])
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    stage.check(rows_of(stage, user) == [(name, 1)], "the old row until the list is complete")
    server.ask_for(Done, part([session_row(name, user, 2)], last=True))
    stage.check(rows_of(stage, user) == [(name, 2)], "the new row alone")


@chapter.case("SYNC-04", SESSION_DIRECTORY)
def a_list_that_nobody_waits_for(stage: Stage) -> None:
    name = stage.fresh_name("ts")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    server.expect_refused(part([], last=True), ErrorCode.NOT_JOINED)
    join(server, name)
    server.expect_refused(part([], last=True), ErrorCode.NOT_JOINED)


@chapter.case("SYNC-05", SESSION_DIRECTORY)
def a_list_with_rows_of_others(stage: Stage) -> None:
    for host, number in (("another-ts", 1), ("", 0)):
        name, user = stage.fresh_name("ts"), stage.fresh_name("user")
        server = stage.open(Role.TERMINAL_SERVER, name=name)
        server.ask_for(Joined, join_farm())
        wrong = session_row(host or name, user, number)
        server.expect_refused(part([wrong], last=True), ErrorCode.NOT_PERMITTED)
        question = PlaceSession(user_name=user, application="", device_id=bytes(32))
        server.expect_refused(question, ErrorCode.NOT_JOINED)
        join(server, name)
        server.ask_for(SessionPlaced, question)


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_is_newer_than_the_list(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    server.ask_for(Joined, join_farm())
    server.say(
        UpdateSession(session=session_row(name, user, 3)),
        RemoveSession(session_id=1, placement=1, user_name=user),
    )
    rows = [session_row(name, user, number) for number in (1, 2)]
    server.ask_for(Done, part(rows, last=True))
    server.expect_same([(name, 2), (name, 3)], rows_of(stage, user))


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_is_not_shown_before_the_list(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
    join(server, name, [session_row(name, user, 1)])
    server.ask_for(Joined, join_farm())
    server.say(
        UpdateSession(session=session_row(name, user, 3)),
        RemoveSession(session_id=1, placement=1, user_name=user),
    )
    server.ask_for(Done, part([]))
    server.expect_same([(name, 1)], rows_of(stage, user))
    server.ask_for(Done, part([session_row(name, user, 1)], last=True))
    server.expect_same([(name, 3)], rows_of(stage, user))


@chapter.case("SYNC-06", SESSION_DIRECTORY)
def news_of_a_lower_placement_than_the_lists(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    server = stage.open(Role.TERMINAL_SERVER, name=name)
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
    shown = stage.open(Role.ADMINISTRATOR).ask_for(messages.Sessions, query).sessions
    said = [(row.session_id, row.placement, row.columns) for row in shown]
    server.expect_same([(1, 4, 99), (3, 4, 99)], said)


@chapter.case("SYNC-12", SESSION_DIRECTORY)
def an_older_link_has_no_say(stage: Stage) -> None:
    farm = Farm(stage)
    again = stage.open(Role.TERMINAL_SERVER, name=farm.names[1])
    join(again, farm.names[1])
    farm.servers[1].say(UpdateSession(session=farm.row(1, 7)))
    stage.target.let_pass(0.2)
    stage.check(not rows_of(stage, farm.user), "nothing that the older link said")
    farm.servers[1].hang_up()
    stage.target.let_pass(0.2)
    stage.check(state_of(stage, farm.names[1]) is ServerState.READY, "READY over the newer link")


@chapter.case("SYNC-14", SESSION_DIRECTORY)
def two_hosts_of_one_name(stage: Stage) -> None:
    name, user = stage.fresh_name("ts"), stage.fresh_name("user")
    first = stage.open(Role.TERMINAL_SERVER, name=name)
    join(first, name, [session_row(name, user, 7)])
    second = stage.open(Role.TERMINAL_SERVER, name=name)
    here = join_farm()
    other_port = msgspec.structs.replace(here, port=here.port + 1)
    other_address = msgspec.structs.replace(here, address="10.9.0.99")
    for elsewhere in (other_port, other_address):
        second.expect_refused(elsewhere, ErrorCode.NOT_PERMITTED)
    first.expect_silence(0.1)
    stage.check(state_of(stage, name) is ServerState.READY, "the first one still READY")
    stage.check(rows_of(stage, user) == [(name, 7)], "the first one's session")
    first.hang_up()
    stage.target.let_pass(0.2)
    second.ask_for(Joined, other_address)


@chapter.case("SYNC-15", SESSION_DIRECTORY)
def the_same_host_over_a_newer_link(stage: Stage) -> None:
    name = stage.fresh_name("ts")
    older = stage.open(Role.TERMINAL_SERVER, name=name)
    join(older, name)
    join(stage.open(Role.TERMINAL_SERVER, name=name), name)
    older.expect_goodbye(ErrorCode.NOT_JOINED)


# --- the terminal server --------------------------------------------------------------------------


@chapter.case("SYNC-07", TERMINAL_SERVER, cast=Cast.PLAYED)
def joins_and_tells_even_nothing(stage: Stage) -> None:
    directory = stage.accept(Role.SESSION_DIRECTORY)
    joining = directory.hear(JoinFarm)
    directory.expect_silence(0.5)
    directory.answer(joining, Joined(generation=bytes(16)))
    sync = directory.hear(SyncSessions)
    stage.check(sync.last and not sync.sessions, "an empty list, marked last")


@chapter.case("SYNC-07", TERMINAL_SERVER, cast=Cast.PLAYED)
def joins_again_over_a_new_link(stage: Stage) -> None:
    directory = joined_directory(stage)
    client, session_id = _session_placed_here(stage, directory)
    directory.hang_up()
    again = stage.accept(Role.SESSION_DIRECTORY, seconds=2 * limits.REJOIN_SECONDS_MAX)
    again.answer(again.hear(JoinFarm), Joined(generation=bytes(16)))
    sync = again.hear(SyncSessions)
    stage.check([row.session_id for row in sync.sessions] == [session_id], "its one session")


@chapter.case("SYNC-07", TERMINAL_SERVER, cast=Cast.PLAYED)
def one_part_after_the_other(stage: Stage) -> None:
    """A terminal server with more sessions than one message holds, each of another application."""
    for application in stage.applications(limits.SESSIONS_PER_MESSAGE + 5):
        client = fully_licensed(stage)
        request = logon_request(stage.user())
        request.application = application
        client.say(request)
        client.hear(LogonAccepted)
    directory = stage.accept(Role.SESSION_DIRECTORY, seconds=2 * limits.REJOIN_SECONDS_MAX)
    directory.answer(directory.hear(JoinFarm), Joined(generation=bytes(16)))
    first = directory.hear(SyncSessions)
    stage.check(len(first.sessions) == limits.SESSIONS_PER_MESSAGE and not first.last, "25 first")
    directory.expect_silence(0.5)
    directory.answer(first, Done())
    second = directory.hear(SyncSessions)
    stage.check(len(second.sessions) == 5 and second.last, "then the last five")


@chapter.case("SYNC-08", TERMINAL_SERVER, cast=Cast.PLAYED)
def every_change_is_told(stage: Stage) -> None:
    directory = joined_directory(stage)
    client, session_id = _session_placed_here(stage, directory, hear_update=False)
    _expect_state(directory, session_id, SessionState.ACTIVE)
    client.say(DisconnectSession())
    _expect_state(directory, session_id, SessionState.DISCONNECTED)
    client, _ = _session_placed_here(stage, directory, session_id, hear_update=False)
    _expect_state(directory, session_id, SessionState.ACTIVE)
    client.say(LogoffSession())
    _expect_state(directory, session_id, SessionState.RESET)
    removed = directory.hear(RemoveSession)
    directory.expect_same(session_id, removed.session_id)


@chapter.case("SYNC-08", TERMINAL_SERVER, cast=Cast.PLAYED)
def nothing_of_commands(stage: Stage) -> None:
    directory = joined_directory(stage)
    client = fully_licensed(stage)
    request = msgspec.structs.replace(logon_request(stage.user()), command="sleep 60")
    client.say(request)
    client.hear(LogonAccepted)
    client.say(LogoffSession())
    client.hear_past(messages.SessionEnded)
    directory.expect_silence(1.0)


@chapter.case("SYNC-09", TERMINAL_SERVER, cast=Cast.PLAYED)
def who_is_not_joined_joins_again(stage: Stage) -> None:
    directory = joined_directory(stage)
    client = fully_licensed(stage)
    client.say(logon_request(stage.user()))
    not_joined = Refused(code=ErrorCode.NOT_JOINED)
    directory.answer(directory.hear(PlaceSession), not_joined)
    message = directory.next(2 * limits.REJOIN_SECONDS_MAX)
    while isinstance(message, UpdateSession):
        message = directory.next(2 * limits.REJOIN_SECONDS_MAX)
    stage.check(isinstance(message, JoinFarm), "JoinFarm")


@chapter.case("SYNC-11", TERMINAL_SERVER, cast=Cast.PLAYED)
def logons_go_on_without_the_directory(stage: Stage) -> None:
    first, second = fully_licensed(stage), fully_licensed(stage)
    one = stage.log_on(first, stage.user())
    other = stage.log_on(second, stage.user())
    stage.check(other.session_id == one.session_id and other.reattached, "the session that is here")


@chapter.case("SYNC-11", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_directory_that_does_not_answer(stage: Stage) -> None:
    stage.needs_seconds(limits.REQUEST_SECONDS)
    directory = joined_directory(stage)
    client = fully_licensed(stage)
    client.say(logon_request(stage.user()))
    directory.hear(PlaceSession)
    client.hear(LogonAccepted, limits.REQUEST_SECONDS)


@chapter.case("SYNC-13", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_place_that_came_to_nothing(stage: Stage) -> None:
    directory = joined_directory(stage)
    client = fully_licensed(stage)
    application = stage.target.broken_application()
    client.say(msgspec.structs.replace(logon_request(stage.user()), application=application))
    request = directory.hear(PlaceSession)
    directory.answer(request, _here(stage, 0))
    client.hear(LogonRefused)
    removed = directory.hear(RemoveSession)
    said = (removed.session_id, removed.placement)
    directory.expect_same((0, 77), said)


def _here(stage: Stage, session_id: int) -> SessionPlaced:
    return SessionPlaced(
        placement=77,
        host=stage.target_name,
        address="10.0.0.1",
        port=5600,
        session_id=session_id,
    )


def _session_placed_here(
    stage: Stage, directory: Peer, session_id: int = 0, *, hear_update: bool = True
) -> tuple[Peer, int]:
    """A client whom the directory has placed on this host, and the number of its session."""
    client = fully_licensed(stage)
    client.say(logon_request(stage.user()))
    directory.answer(directory.hear(PlaceSession), _here(stage, session_id))
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
