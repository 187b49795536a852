"""How a session directory redeems the tickets of redirects."""

from __future__ import annotations

from clients.conformance.acting import CaseContext, join_farm
from clients.conformance.case import SESSION_DIRECTORY, Case, Chapter
from clients.conformance.farm import Farm
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import TicketRedeemed

chapter = Chapter()


def ticket_for_the_second(farm: Farm) -> bytes:
    farm.report(1, 7)
    return farm.place(0).ticket


@chapter.case("REDIR-06", SESSION_DIRECTORY)
def a_ticket_counts_once(context: CaseContext) -> None:
    farm = Farm(context)
    redeem = farm.redeeming(ticket_for_the_second(farm))
    farm.servers[1].ask_for(TicketRedeemed, redeem)
    farm.servers[1].expect_refused(redeem, ErrorCode.TICKET_INVALID)


@chapter.case("REDIR-06", SESSION_DIRECTORY)
def a_failed_attempt_uses_it_up(context: CaseContext) -> None:
    farm = Farm(context)
    ticket = ticket_for_the_second(farm)
    wrong = farm.redeeming(ticket, device_id=context.rng.randbytes(32))
    farm.servers[1].expect_refused(wrong, ErrorCode.TICKET_INVALID)
    farm.servers[1].expect_refused(farm.redeeming(ticket), ErrorCode.TICKET_INVALID)


@chapter.case("REDIR-06", SESSION_DIRECTORY)
def who_has_not_joined_uses_no_ticket_up(context: CaseContext) -> None:
    farm = Farm(context)
    redeem = farm.redeeming(ticket_for_the_second(farm))
    server = farm.servers[1]
    server.ask_for(messages.Joined, join_farm())
    server.expect_refused(redeem, ErrorCode.NOT_JOINED)
    server.ask_for(messages.Done, messages.SyncSessions(sessions=[farm.row(1, 7)], last=True))
    context.expect_fields(server.ask_for(TicketRedeemed, redeem), session_id=7)


@chapter.case("REDIR-07", SESSION_DIRECTORY)
def a_ticket_grows_old(context: CaseContext) -> None:
    context.needs_seconds(limits.TICKET_SECONDS)
    farm = Farm(context)
    young = ticket_for_the_second(farm)
    old = farm.place(0).ticket
    farm.let_pass(limits.TICKET_SECONDS - 1)
    farm.servers[1].ask_for(TicketRedeemed, farm.redeeming(young))
    context.target.let_pass(1.1)
    farm.servers[1].expect_refused(farm.redeeming(old), ErrorCode.TICKET_INVALID)


@chapter.case("REDIR-08", SESSION_DIRECTORY, also=("REDIR-09",))
def tickets_for_somebody_else(context: CaseContext) -> None:
    farm = Farm(context)
    other_host = (0, farm.redeeming(ticket_for_the_second(farm)))
    other_user = (1, farm.redeeming(farm.place(0).ticket, user=context.fresh_name("user")))
    other_device = (1, farm.redeeming(farm.place(0).ticket, device_id=context.rng.randbytes(32)))
    invented = (1, farm.redeeming(context.rng.randbytes(16)))
    said: set[tuple[ErrorCode, str]] = set()
    for host, redeem in (other_host, other_user, other_device, invented):
        refused = farm.servers[host].expect_refused(redeem, ErrorCode.TICKET_INVALID)
        said.add((refused.code, refused.detail))
    context.check(len(said) == 1, "the same words for each")


def cases() -> list[Case]:
    return chapter.cases
