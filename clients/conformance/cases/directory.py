"""Where a session directory places users."""

from __future__ import annotations

from clients.conformance.acting import CaseContext, join, join_farm, session_row
from clients.conformance.case import SESSION_DIRECTORY, Case, Chapter
from clients.conformance.farm import Farm
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    RemoveSession,
    Role,
    SessionState,
    UpdateSession,
)

chapter = Chapter()

PLACEMENT_MAX = 2**53  # the bound of the field
RECEIPT_BYTES = 32


@chapter.case("DIR-01", SESSION_DIRECTORY)
def who_has_not_joined(context: CaseContext) -> None:
    farm = Farm(context)
    stranger = context.open(Role.TERMINAL_SERVER, name=context.fresh_name("ts"))
    stranger.expect_refused(farm.question(0), ErrorCode.NOT_JOINED)


@chapter.case("DIR-02", SESSION_DIRECTORY)
def a_user_without_a_session(context: CaseContext) -> None:
    farm = Farm(context)
    placed = farm.place(0)
    farm.expect_at(placed, 0, 0, "the asking host, session_id 0")
    context.check(placed.placement > 0, "a placement above 0")
    context.check(len(placed.receipt) == RECEIPT_BYTES, "a receipt")


@chapter.case("DIR-03", SESSION_DIRECTORY)
def a_session_that_is_elsewhere(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7)
    placed = farm.place(0)
    farm.expect_at(placed, 1, 7, "the host of the session, and its number")
    context.expect_fields(placed, "no receipt for another host", receipt=b"")


@chapter.case("DIR-03", SESSION_DIRECTORY)
def a_session_that_is_here(context: CaseContext) -> None:
    farm = Farm(context)
    row = farm.own(0, 7)
    placed = farm.place(0)
    farm.expect_at(placed, 0, 7, "the asking host, and the session's number")
    context.expect_fields(placed, "the session's receipt", receipt=row.receipt)


@chapter.case("DIR-03", SESSION_DIRECTORY)
def nobody_else_gets_a_users_session(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7)
    placed = farm.place(0, user=context.user(1))
    farm.expect_at(placed, 0, 0, "a place of their own for everybody else")


@chapter.case("DIR-04", SESSION_DIRECTORY)
def all_who_ask_get_one_place(context: CaseContext) -> None:
    farm = Farm(context)
    first, second = farm.place(0), farm.place(1)
    farm.expect_at(second, 0, 0, "the host that asked first")
    context.expect_fields(second, "one placement", placement=first.placement)
    context.expect_fields(farm.place(0), "the same, however often", placement=first.placement)


@chapter.case("DIR-04", SESSION_DIRECTORY)
def a_reservation_outlives_joining_again(context: CaseContext) -> None:
    farm = Farm(context)
    first = farm.place(0)
    join(farm.servers[0], farm.names[0])
    again = context.open(Role.TERMINAL_SERVER, name=farm.names[0])
    again.ask_for(messages.Joined, join_farm(incarnation=context.rng.randbytes(16)))
    again.ask_for(messages.Done, messages.SyncSessions(sessions=[], last=True))
    second = farm.place(1)
    farm.expect_at(second, 0, 0, "the host that has joined again, twice")
    context.expect_fields(second, "the reservation's placement", placement=first.placement)


@chapter.case("DIR-05", SESSION_DIRECTORY)
def placements_rise(context: CaseContext) -> None:
    farm = Farm(context)
    reported = farm.place(0).placement + 1_000_000
    farm.report(1, 3, placement=reported)
    numbers = [reported]
    for _ in range(5):
        numbers.append(farm.place(0, application=context.fresh_name("app")).placement)
    context.check(numbers == sorted(set(numbers)), f"each placement above all before it: {numbers}")


@chapter.case("DIR-06", SESSION_DIRECTORY)
def a_host_that_is_avoided(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7)
    farm.expect_at(farm.place(0, avoid=farm.names[1]), 0, 0, "a place on the other host")


@chapter.case("DIR-06", SESSION_DIRECTORY)
def the_asking_host_is_not_avoided(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(0, 7)
    farm.expect_at(farm.place(0, avoid=farm.names[0]), 0, 7, "the session that is here")


@chapter.case("DIR-07", SESSION_DIRECTORY)
def news_that_was_overtaken(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7, placement=10)
    farm.report(1, 7, placement=9, state=SessionState.RESET)
    ended = RemoveSession(session_id=7, placement=9, user_name=farm.user.name)
    farm.tell(1, ended)
    farm.expect_at(farm.place(0), 1, 7, "the session of the higher placement")


@chapter.case("DIR-08", SESSION_DIRECTORY)
def sessions_of_another_host(context: CaseContext) -> None:
    farm = Farm(context)
    farm.tell(0, UpdateSession(session=farm.row(1, 7)))
    rows = farm.rows_seen_by(context.open(Role.ADMINISTRATOR))
    context.check(not rows, f"no session of the other host, came {rows}")


@chapter.case("DIR-09", SESSION_DIRECTORY)
def a_session_that_has_ended(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7)
    farm.tell(1, RemoveSession(session_id=7, placement=1, user_name=farm.user.name))
    farm.expect_at(farm.place(0), 0, 0, "no session any more")


@chapter.case("DIR-09", SESSION_DIRECTORY)
def a_reservation_that_is_given_up(context: CaseContext) -> None:
    farm = Farm(context)
    first = farm.place(0)
    given_up = RemoveSession(session_id=0, placement=first.placement, user_name=farm.user.name)
    farm.tell(0, given_up)
    second = farm.place(1)
    farm.expect_at(second, 1, 0, "a place on the host that asks now")
    context.check(second.placement > first.placement, "a higher placement")


@chapter.case("DIR-19", SESSION_DIRECTORY)
def whoever_else_gives_a_reservation_up(context: CaseContext) -> None:
    farm = Farm(context)
    first = farm.place(0)
    for host, placement in ((1, first.placement), (0, first.placement - 1), (0, 0)):
        for session_id in (0, 7):
            given_up = RemoveSession(
                session_id=session_id, placement=placement, user_name=farm.user.name
            )
            farm.tell(host, given_up)
    second = farm.place(1)
    farm.expect_at(second, 0, 0, "the host that the reservation is on")
    context.expect_fields(second, "the reservation's placement", placement=first.placement)


@chapter.case("DIR-20", SESSION_DIRECTORY)
def news_of_whoever_has_not_joined(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(1, 7)
    stranger = context.open(Role.TERMINAL_SERVER, name=context.fresh_name("ts"))
    stranger.say(UpdateSession(session=session_row(stranger.name, farm.user.name, 3)))
    stranger.expect_refused(farm.question(0), ErrorCode.NOT_JOINED)
    _make_lost(farm, 1)
    farm.tell(1, UpdateSession(session=farm.row(1, 8)))
    farm.tell(1, RemoveSession(session_id=7, placement=1, user_name=farm.user.name))
    rows = farm.rows_seen_by(context.open(Role.ADMINISTRATOR))
    said = [(row.host, row.session_id) for row in rows]
    farm.servers[1].expect_same([(farm.names[1], 7)], said)


def _make_lost(farm: Farm, host: int) -> None:
    """Makes the host LOST, with its link open, by a part of a list that is refused."""
    server = farm.servers[host]
    server.ask_for(messages.Joined, join_farm())
    elsewhere = messages.SyncSessions(
        sessions=[session_row("elsewhere", farm.user.name)], last=True
    )
    server.expect_refused(elsewhere, ErrorCode.NOT_PERMITTED)


@chapter.case("DIR-20", SESSION_DIRECTORY)
def news_of_no_session(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(1, 0)
    rows = farm.rows_seen_by(context.open(Role.ADMINISTRATOR))
    context.check(not rows, f"no session with the number 0, came {rows}")


@chapter.case("DIR-22", SESSION_DIRECTORY)
def the_placement_of_a_session_that_is_there(context: CaseContext) -> None:
    farm = Farm(context)
    for application, placement in ((farm.application, 5), (context.fresh_name("app"), 0)):
        farm.own(1, placement + 1, application=application, placement=placement)
        for asking in (0, 1):
            placed = farm.place(asking, application=application)
            farm.expect_at(placed, 1, placement + 1, "the session")
            context.expect_fields(placed, "its row's placement", placement=placement)


@chapter.case("DIR-23", SESSION_DIRECTORY)
def placements_that_no_directory_gave(context: CaseContext) -> None:
    farm = Farm(context)
    before = farm.place(0).placement
    for number, ahead in enumerate((before + 10**12, PLACEMENT_MAX), start=3):
        farm.report(1, number, user_name=context.fresh_name("user"), placement=ahead)
    after = farm.place(0, application=context.fresh_name("app")).placement
    hour = 3600 * 10**6
    context.check(before < after < before + hour, f"{after} within an hour of {before}")


@chapter.case("DIR-10", SESSION_DIRECTORY)
def a_lost_host_gets_nobody(context: CaseContext) -> None:
    farm = Farm(context)
    farm.own(1, 7)
    farm.servers[1].hang_up()
    context.target.let_pass(0.2)
    farm.expect_at(farm.place(0), 0, 0, "a place on the host that stands")


@chapter.case("DIR-11", SESSION_DIRECTORY)
def the_rows_of_a_lost_host(context: CaseContext) -> None:
    context.needs_seconds(limits.SERVER_LOST_SECONDS)
    farm = Farm(context)
    farm.report(1, 7)
    admin = context.open(Role.ADMINISTRATOR)
    farm.servers[1].hang_up()
    context.target.let_pass(limits.SERVER_LOST_SECONDS - 2)
    context.check(len(farm.rows_seen_by(admin)) == 1, "the row while the host may come back")
    context.target.let_pass(4)
    context.check(not farm.rows_seen_by(admin), "no row of a host that did not come back")


@chapter.case("DIR-11", SESSION_DIRECTORY)
def a_lost_host_that_comes_back(context: CaseContext) -> None:
    context.needs_seconds(limits.SERVER_LOST_SECONDS)
    farm = Farm(context)
    row = farm.own(1, 7)
    farm.servers[1].hang_up()
    context.target.let_pass(1)
    again = context.open(Role.TERMINAL_SERVER, name=farm.names[1])
    join(again, farm.names[1], [row])
    context.target.let_pass(limits.SERVER_LOST_SECONDS + 1)
    farm.expect_at(farm.place(0), 1, 7, "the session of the host that came back")


@chapter.case("DIR-12", SESSION_DIRECTORY)
def which_of_several_is_offered(context: CaseContext) -> None:
    """The sessions are reported from the worst to the best; each is offered until the next is
    reported."""
    farm = Farm(context)
    farm.own(1, 1, state=SessionState.RESET, created_at=900, placement=9)
    farm.expect_at(farm.place(0), 0, 0, "never one that is being logged off")
    farm.tell(
        0, RemoveSession(session_id=0, placement=farm.place(0).placement, user_name=farm.user.name)
    )
    for session_id, state, created_at, disconnected_at in (
        (2, SessionState.DISCONNECTED, 3, 100),
        (3, SessionState.DISCONNECTED, 2, 200),
        (4, SessionState.CONNECTED, 50, 0),
        (5, SessionState.ACTIVE, 10, 0),
        (6, SessionState.ACTIVE, 20, 0),
    ):
        times = {"created_at": created_at, "disconnected_at": disconnected_at}
        farm.own(1, session_id, state=state, **times)
        placed = farm.place(0)
        farm.expect_at(placed, 1, session_id, f"session {session_id}, {state.name} {times}")


@chapter.case("DIR-13", SESSION_DIRECTORY)
def a_host_that_is_full(context: CaseContext) -> None:
    farm = Farm(context, sessions_max=2)
    farm.place(0, application=context.fresh_name("app"))
    farm.report(0, 7, user_name=context.fresh_name("user"))
    farm.servers[0].expect_refused(farm.question(0), ErrorCode.TOO_MANY_SESSIONS)
    farm.expect_at(farm.place(1), 1, 0, "a place on the other host")


@chapter.case("DIR-13", SESSION_DIRECTORY)
def a_host_that_takes_no_sessions(context: CaseContext) -> None:
    farm = Farm(context, sessions_max=0)
    farm.servers[0].expect_refused(farm.question(0), ErrorCode.TOO_MANY_SESSIONS)
    farm.own(0, 7)
    farm.expect_at(farm.place(0), 0, 7, "a session that is there all the same")


@chapter.case("DIR-14", SESSION_DIRECTORY)
def applications_are_apart(context: CaseContext) -> None:
    farm = Farm(context)
    editor = context.fresh_name("editor")
    farm.own(1, 7, application=editor)
    farm.expect_at(farm.place(0), 0, 0, "no session for another application")
    farm.expect_at(farm.place(0, application=editor), 1, 7, "the editor's session")


@chapter.case("DIR-15", SESSION_DIRECTORY)
def a_reservation_is_forgotten(context: CaseContext) -> None:
    context.needs_seconds(2 * limits.RESERVATION_SECONDS)
    farm = Farm(context)
    first = farm.place(0)
    farm.let_pass(limits.RESERVATION_SECONDS - 5)
    renewed = farm.place(1)
    context.check(renewed.placement == first.placement, "the reservation, renewed by being given")
    farm.let_pass(limits.RESERVATION_SECONDS + 1)
    context.check(farm.place(1).placement > first.placement, "a new placement")


@chapter.case("DIR-17", SESSION_DIRECTORY)
def what_else_the_user_owns(context: CaseContext) -> None:
    farm = Farm(context)
    for session_id in range(1, limits.SESSIONS_PER_MESSAGE + 4):
        farm.report(1, session_id, disconnected_at=session_id)
    farm.own(1, 1)
    placed = farm.place(0)
    context.check(len(placed.others) == limits.SESSIONS_PER_MESSAGE, "as many as a message holds")
    others = {row.session_id for row in placed.others}
    context.check(placed.session_id not in others, "not the one that is offered")


@chapter.case("DIR-18", SESSION_DIRECTORY, setup=Setup.CHOOSY)
def who_may_not_join(context: CaseContext) -> None:
    stranger = context.open(Role.TERMINAL_SERVER)
    stranger.expect_refused(join_farm(), ErrorCode.NOT_PERMITTED)
    join(context.open(Role.TERMINAL_SERVER, name="served"), "served")


def cases() -> list[Case]:
    return chapter.cases
