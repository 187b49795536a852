"""Where a user's session belongs: decided, reserved, and proved to the host it is on.

The terminal server that a user landed on asks after authentication, as in "How Session Directory
Works"; here the question also reserves, so that two logons in the same instant get one answer.
A user without a session stays where they landed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from daemons.effects import Answer, Caller, Effect, Note, Peer
from daemons.session_directory import records
from daemons.session_directory.farm import Farm
from daemons.session_directory.placements import Placements
from daemons.session_directory.records import Server, Ticket
from daemons.session_directory.sessions import PREFERENCE, Sessions
from daemons.session_directory.tickets import Tickets
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    PlaceSession,
    RedeemTicket,
    Refused,
    SessionPlaced,
    SessionRow,
    TicketRedeemed,
)


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a user's session is, or (`session_id` 0) is to be."""

    server: Server
    session_id: int
    placement: int


class Placing:
    """Until `unsure_until` a placement may miss a session, and its note says so."""

    def __init__(
        self, farm: Farm, sessions: Sessions, placements: Placements, tickets: Tickets
    ) -> None:
        self.unsure_until = 0.0
        self._farm = farm
        self._sessions = sessions
        self._placements = placements
        self._tickets = tickets

    def place(self, caller: Caller, request: PlaceSession, now: float) -> list[Effect]:
        """Answer where this user's session is or will be, reserved; elsewhere with a ticket.

        Refused(NOT_JOINED) while the asking host is not READY, Refused(TOO_MANY_SESSIONS) when it
        is full, Refused(BUSY) when the directory can remember no more.
        """
        asking = self._asking(caller.peer)
        if asking is None:
            return [_not_joined(caller)]
        # The client says which host it could not reach; this one it evidently reached.
        avoid = "" if request.avoid == asking.name else request.avoid
        sessions = self._sessions.of_user(request.user_name, request.application)
        offered = self._offered(sessions, avoid)
        place = self._decide(request.user_name, request.application, offered, asking, avoid, now)
        if isinstance(place, Place) and place.server is not asking and self._tickets.is_full():
            place = _full("redirects")
        if isinstance(place, Refused):
            return [Answer(caller, place), _refused(request, asking, place)]
        answer = SessionPlaced(
            placement=place.placement,
            host=place.server.name,
            address=place.server.address,
            port=place.server.port,
            session_id=place.session_id,
            ticket=b"" if place.server is asking else self._ticket(request, place, now),
            others=_others(sessions, place),
        )
        effects: list[Effect] = [Answer(caller, answer)]
        if len(offered) > 1:
            effects.append(_several(request, offered))
        # That a session is where it is asked for is the common case, and decides nothing.
        if not offered or place.server is not asking:
            effects.append(_placed(request, asking, place, not offered and now < self.unsure_until))
        return effects

    def redeem(self, caller: Caller, request: RedeemTicket, now: float) -> list[Effect]:
        """Say who shows this ticket and which session is theirs, once.

        The session may have started or ended since the ticket was issued: one that is not there any
        more is placed anew. Refused(NOT_JOINED) leaves the ticket as it is; every other failure is
        Refused(TICKET_INVALID), and only the log knows which.
        """
        server = self._asking(caller.peer)
        if server is None:
            return [_not_joined(caller)]
        ticket = self._tickets.redeem(
            request.ticket,
            host=server.name,
            device_id=request.device_id,
            user_name=request.user_name,
            now=now,
        )
        if isinstance(ticket, str):
            return _invalid(caller, request, ticket)
        place = self._place_of_ticket(ticket, server, now)
        if isinstance(place, Refused):
            return _invalid(caller, request, place.detail)
        if place.server is not server:
            return _invalid(caller, request, f"the session is on {place.server.name} by now")
        answer = TicketRedeemed(
            user_name=ticket.user_name,
            application=ticket.application,
            placement=place.placement,
            session_id=place.session_id,
        )
        return [Answer(caller, answer)]

    def _asking(self, peer: Peer) -> Server | None:
        server = self._farm.standing(peer)
        return None if server is None else self._farm.ready(server.name)

    def _offered(self, sessions: Sequence[SessionRow], avoid: str) -> list[SessionRow]:
        """Those that the user can be led to now, the best one first."""
        return [
            row
            for row in sessions
            if row.state in PREFERENCE and row.host != avoid and self._farm.ready(row.host)
        ]

    def _decide(
        self,
        user_name: str,
        application: str,
        offered: Sequence[SessionRow],
        asking: Server,
        avoid: str,
        now: float,
    ) -> Place | Refused:
        if offered:
            server = self._farm.ready(offered[0].host)
            assert server is not None
            return Place(server, offered[0].session_id, offered[0].placement)
        reserved = self._placements.find(user_name, application)
        if reserved is not None and reserved.host != avoid:
            server = self._farm.ready(reserved.host)
            if server is not None:
                self._placements.renew(reserved, now)
                return Place(server, 0, reserved.placement)
        pending = self._placements.pending(asking.name)
        if self._sessions.count(asking.name) + pending >= asking.sessions_max:
            return Refused(
                code=ErrorCode.TOO_MANY_SESSIONS,
                detail=f"{asking.name} has {asking.sessions_max} sessions, and may have no more",
                retry_after_seconds=records.FULL_RETRY_SECONDS,
            )
        if self._placements.has_no_number() or (reserved is None and self._placements.is_full()):
            return _full("placements")
        number = self._placements.reserve(user_name, application, asking.name, now).placement
        return Place(asking, 0, number)

    def _place_of_ticket(self, ticket: Ticket, server: Server, now: float) -> Place | Refused:
        sessions = self._sessions.of_user(ticket.user_name, ticket.application)
        offered = self._offered(sessions, "")
        promised = [row for row in offered if _is_at(row, ticket.host, ticket.session_id)]
        return self._decide(
            ticket.user_name, ticket.application, promised or offered, server, "", now
        )

    def _ticket(self, request: PlaceSession, place: Place, now: float) -> bytes:
        return self._tickets.issue(
            user_name=request.user_name,
            application=request.application,
            device_id=request.device_id,
            host=place.server.name,
            session_id=place.session_id,
            placement=place.placement,
            now=now,
        )


def _is_at(row: SessionRow, host: str, session_id: int) -> bool:
    return row.host == host and row.session_id == session_id


def _others(sessions: Sequence[SessionRow], place: Place) -> list[SessionRow]:
    """What else the user owns, wherever it is: as many as one message holds."""
    others = [row for row in sessions if not _is_at(row, place.server.name, place.session_id)]
    return others[: limits.SESSIONS_PER_MESSAGE]


def _not_joined(caller: Caller) -> Answer:
    refused = Refused(
        code=ErrorCode.NOT_JOINED,
        detail=f"{caller.peer.name} has not told the session directory all its sessions yet",
        retry_after_seconds=records.JOIN_RETRY_SECONDS,
    )
    return Answer(caller, refused)


def _full(what: str) -> Refused:
    return Refused(
        code=ErrorCode.BUSY,
        detail=f"the session directory remembers as many {what} as it may",
        retry_after_seconds=records.FULL_RETRY_SECONDS,
    )


def _invalid(caller: Caller, request: RedeemTicket, reason: str) -> list[Effect]:
    detail = "the ticket was used, is too old, or is for somebody else: log on with a password"
    fields = {"host": caller.peer.name, "user": request.user_name, "reason": reason}
    refused = Refused(code=ErrorCode.TICKET_INVALID, detail=detail)
    return [Answer(caller, refused), Note("ticket.refused", fields)]


def _refused(request: PlaceSession, asking: Server, refused: Refused) -> Note:
    fields = {
        "user": request.user_name,
        "asking": asking.name,
        "code": refused.code.name,
        "trace_id": request.trace_id,
    }
    return Note("placement.refused", fields)


def _placed(request: PlaceSession, asking: Server, place: Place, unsure: bool) -> Note:
    fields = {
        "user": request.user_name,
        "application": request.application,
        "asking": asking.name,
        "host": place.server.name,
        "session_id": place.session_id,
        "placement": place.placement,
        "unsure": unsure,
        "trace_id": request.trace_id,
    }
    return Note("session.placed", fields)


def _several(request: PlaceSession, offered: Sequence[SessionRow]) -> Note:
    named = [f"{row.host}:{row.session_id}" for row in offered[: limits.SESSIONS_PER_MESSAGE]]
    return Note("session.several", {"user": request.user_name, "sessions": named})
