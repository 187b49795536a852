"""Faults of a session directory."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from daemons.effects import Answer, Caller, Core, Effect
from daemons.session_directory import farm, placing
from daemons.session_directory.farm import Farm
from daemons.session_directory.tickets import Tickets
from tests.conformance.wrong.fault import Fault, deciding, hearing, replaced
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Message,
    PlaceSession,
    Refused,
    RemoveSession,
    Role,
    SessionPlaced,
    SyncSessions,
    UpdateSession,
)

_redeem = Tickets.redeem
_issue = Tickets.issue


def _redeems_again(self: Tickets, secret: bytes, **shown: Any) -> Any:
    ticket = self._issued.get(secret)
    redeemed = _redeem(self, secret, **shown)
    if ticket is not None:
        self._issued[secret] = ticket
    return redeemed


def _redeems_for(*names: str) -> Any:
    """What the ticket says of these is not compared with what is shown."""

    def redeem(self: Tickets, secret: bytes, **shown: Any) -> Any:
        ticket = self._issued.get(secret)
        if ticket is not None:
            shown |= {name: getattr(ticket, name) for name in names}
        return _redeem(self, secret, **shown)

    return redeem


def _issues_for_a_day(self: Tickets, **ticket: Any) -> bytes:
    self._ticket_seconds = 86_400.0
    return _issue(self, **ticket)


def _tells_why(caller: Caller, request: Any, reason: str) -> list[Effect]:
    return [Answer(caller, Refused(code=ErrorCode.TICKET_INVALID, detail=reason))]


def _reserves_nothing(core: Core, caller: Caller, message: Message, now: float) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    for effect in decided:
        if isinstance(effect, Answer) and isinstance(effect.message, SessionPlaced):
            placed = effect.message
            if not placed.session_id and isinstance(message, PlaceSession):
                gone = RemoveSession(
                    session_id=0, placement=placed.placement, user_name=message.user_name
                )
                core.on_message(Caller(caller.peer), gone, now)
    return decided


def _latest(message: Message) -> Message:
    """Every news has the highest placement."""
    if isinstance(message, RemoveSession):
        return replace(message, placement=2**52)
    if isinstance(message, UpdateSession):
        return replace(message, session=replace(message.session, placement=2**52))
    return message


def _every_part_is_the_last(message: Message) -> Message:
    return replace(message, last=True) if isinstance(message, SyncSessions) else message


def _without(**values: str) -> Any:
    def change(message: Message) -> Message:
        return replace(message, **values) if isinstance(message, PlaceSession) else message

    return change


def _fault(name: str, found_by: str, **how: Any) -> Fault:
    return Fault(name=name, role=Role.SESSION_DIRECTORY, found_by=found_by, **how)


FAULTS = (
    _fault(
        "reuses a ticket",
        "REDIR-06.a-ticket-counts-once",
        plant=replaced(Tickets, "redeem", _redeems_again),
    ),
    _fault(
        "accepts a ticket of another device",
        "REDIR-08.tickets-for-somebody-else",
        plant=replaced(Tickets, "redeem", _redeems_for("device_id")),
    ),
    _fault(
        "accepts a ticket of another user",
        "REDIR-08.tickets-for-somebody-else",
        plant=replaced(Tickets, "redeem", _redeems_for("user_name")),
    ),
    _fault(
        "says which check a ticket failed",
        "REDIR-08.tickets-for-somebody-else",
        plant=replaced(placing, "_invalid", _tells_why),
    ),
    _fault(
        "lets tickets grow old",
        "REDIR-07.a-ticket-grows-old",
        plant=replaced(Tickets, "issue", _issues_for_a_day),
    ),
    _fault(
        "looks up, and reserves nothing",
        "DIR-04.all-who-ask-get-one-place",
        wrap=deciding(_reserves_nothing),
    ),
    _fault(
        "never removes a row",
        "DIR-09.a-session-that-has-ended",
        wrap=hearing(lambda message: None if isinstance(message, RemoveSession) else message),
    ),
    _fault("takes late news for new", "DIR-07.news-that-was-overtaken", wrap=hearing(_latest)),
    _fault(
        "shows a list that is not complete",
        "SYNC-02.synchronizing-until-the-last-part",
        wrap=hearing(_every_part_is_the_last),
    ),
    _fault(
        "lets a host report for another",
        "DIR-08.sessions-of-another-host",
        plant=replaced(farm, "_may_report", lambda server, row: True),
    ),
    _fault(
        "leads users to a lost host",
        "DIR-10.a-lost-host-gets-nobody",
        plant=replaced(Farm, "lose", lambda self, peer, now: []),
    ),
    _fault(
        "does not avoid a host",
        "DIR-06.a-host-that-is-avoided",
        wrap=hearing(_without(avoid="")),
    ),
    _fault(
        "takes all applications for one",
        "DIR-14.applications-are-apart",
        wrap=hearing(_without(application="")),
    ),
    _fault(
        "lets everybody join",
        "DIR-18.who-may-not-join",
        plant=replaced(Farm, "_refusal", lambda self, name: None),
    ),
)
