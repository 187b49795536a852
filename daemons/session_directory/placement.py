"""Decides which terminal server has, or will start, a user's session, and reserves the place.

A terminal server asks after it has authenticated the user, as in "How Session Directory Works".
Because PlaceSession also reserves, two logons in the same instant get one answer. `policy` chooses
the terminal server of a new session. A placement is the number of such a decision.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from daemons import events
from daemons.effects import Answer, Caller, Effect, Peer
from daemons.session_directory import records
from daemons.session_directory.farm import Farm
from daemons.session_directory.policy import Policy, stay_where_landed
from daemons.session_directory.records import Server, Ticket
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import PREFERENCE, SessionIndex
from daemons.session_directory.tickets import Tickets
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    PlaceSession,
    RedeemTicket,
    Refused,
    ServerState,
    SessionPlaced,
    SessionRow,
    TicketRedeemed,
)


class Place(msgspec.Struct, frozen=True, gc=False):
    """The terminal server of a user's session; `session_id` 0 means that it has yet to start."""

    server: Server
    session_id: int
    placement: int


class Placer:
    """Answers PlaceSession and RedeemTicket.

    In the first `unsure_seconds` a terminal server with a session of the user may not have joined
    yet: a new place is logged as unsure.
    """

    def __init__(
        self,
        farm: Farm,
        sessions: SessionIndex,
        reservations: Reservations,
        tickets: Tickets,
        *,
        unsure_seconds: float,
    ) -> None:
        self._policy: Policy = stay_where_landed
        self._unsure_seconds = unsure_seconds
        self._unsure_until = 0.0
        self._farm = farm
        self._sessions = sessions
        self._reservations = reservations
        self._tickets = tickets

    def start(self, now: float) -> None:
        self._unsure_until = now + self._unsure_seconds

    def place(self, caller: Caller, request: PlaceSession, now: float) -> list[Effect]:
        """Answer with the place of the user's session, reserved; elsewhere with a ticket.

        Refused(NOT_JOINED) while the asking terminal server is not READY,
        Refused(TOO_MANY_SESSIONS) when it is full, Refused(BUSY) when the directory is full. No
        refusal holds: the asking terminal server then decides for itself (fail open).
        """
        asking = self._asking(caller.peer)
        if asking is None:
            return [_not_joined(caller)]
        # The client says which terminal server it could not reach; it has reached the asking one.
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
        # The common case, a session on the asking terminal server, decides nothing: no event.
        if not offered or place.server is not asking:
            is_unsure = not offered and now < self._unsure_until
            effects.append(_placed(request, asking, place, is_unsure))
        return effects

    def redeem(self, caller: Caller, request: RedeemTicket, now: float) -> list[Effect]:
        """Answer with the user and session of a ticket, once.

        The session may have started or ended since the ticket was issued: one that has ended is
        placed anew. Refused(NOT_JOINED) leaves the ticket valid; every other failure is
        Refused(TICKET_INVALID), and only the log says which check failed.
        """
        server = self._asking(caller.peer)
        if server is None:
            return [_not_joined(caller)]
        ticket = self._tickets.redeem(
            request.ticket,
            server=server.name,
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
        server = self._farm.joined_over(peer)
        return server if server is not None and server.state is ServerState.READY else None

    def _offered(self, sessions: Sequence[SessionRow], avoid: str) -> list[SessionRow]:
        """The sessions that the user can reconnect to now, the best one first."""
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
        """The user's session, else the reservation for it, else a new reservation."""
        if offered:
            server = self._farm.ready(offered[0].host)
            assert server is not None
            return Place(server, offered[0].session_id, offered[0].placement)
        reserved = self._reservations.find(user_name, application)
        if reserved is not None and reserved.server != avoid:
            server = self._farm.ready(reserved.server)
            if server is not None:
                self._reservations.renew(reserved, now)
                return Place(server, 0, reserved.placement)
        name = self._policy(self._farm.load(asking), avoid, self._farm.loads)
        server = asking if name == asking.name else self._farm.ready(name)
        if server is None:
            return Refused(
                code=ErrorCode.TOO_MANY_SESSIONS,
                detail=f"{asking.name} has {asking.sessions_max} sessions, and may have no more",
                retry_after_seconds=records.FULL_RETRY_SECONDS,
            )
        if reserved is None and self._reservations.is_full_for(server.name):
            return _full("placements")
        number = self._reservations.reserve(user_name, application, server.name, now).placement
        return Place(server, 0, number)

    def _place_of_ticket(self, ticket: Ticket, server: Server, now: float) -> Place | Refused:
        sessions = self._sessions.of_user(ticket.user_name, ticket.application)
        offered = self._offered(sessions, "")
        promised = [row for row in offered if _is_at(row, ticket.server, ticket.session_id)]
        return self._decide(
            ticket.user_name, ticket.application, promised or offered, server, "", now
        )

    def _ticket(self, request: PlaceSession, place: Place, now: float) -> bytes:
        return self._tickets.issue(
            user_name=request.user_name,
            application=request.application,
            device_id=request.device_id,
            server=place.server.name,
            session_id=place.session_id,
            placement=place.placement,
            now=now,
        )


def _is_at(row: SessionRow, server: str, session_id: int) -> bool:
    return row.host == server and row.session_id == session_id


def _others(sessions: Sequence[SessionRow], place: Place) -> list[SessionRow]:
    """The user's other sessions, whether they can be reached or not; at most one message holds."""
    others = [row for row in sessions if not _is_at(row, place.server.name, place.session_id)]
    return others[: limits.SESSIONS_PER_MESSAGE]


def _not_joined(caller: Caller) -> Answer:
    refused = Refused(
        code=ErrorCode.NOT_JOINED,
        detail=f"{caller.peer.name} has not sent all its sessions to the session directory yet",
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
    event = events.TicketRefused(
        server=caller.peer.name, user_name=request.user_name, reason=reason
    )
    return [Answer(caller, Refused(code=ErrorCode.TICKET_INVALID, detail=detail)), event]


def _refused(request: PlaceSession, asking: Server, refused: Refused) -> events.PlacementRefused:
    return events.PlacementRefused(
        user_name=request.user_name,
        asking=asking.name,
        code=refused.code,
        trace_id=request.trace_id,
    )


def _placed(request: PlaceSession, asking: Server, place: Place, is_unsure: bool) -> events.Placed:
    kind = events.SessionPlacedUnsure if is_unsure else events.SessionPlaced
    return kind(
        user_name=request.user_name,
        application=request.application,
        asking=asking.name,
        server=place.server.name,
        session_id=place.session_id,
        placement=place.placement,
        trace_id=request.trace_id,
    )


def _several(request: PlaceSession, offered: Sequence[SessionRow]) -> events.SessionSeveral:
    named = [f"{row.host}:{row.session_id}" for row in offered[: limits.SESSIONS_PER_MESSAGE]]
    return events.SessionSeveral(user_name=request.user_name, sessions=named)
