"""Decides which terminal server has, or will start, a user's session, and reserves the place.

A terminal server asks with the user's proof: its own word reserves nothing, so that it cannot draw
users to itself.
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
from daemons.session_directory.proofs import Proofs
from daemons.session_directory.receipts import Receipts
from daemons.session_directory.records import Server
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import PREFERENCE, SessionIndex
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    PlaceSession,
    Refused,
    ServerState,
    SessionPlaced,
    SessionRow,
)


class Place(msgspec.Struct, frozen=True, gc=False):
    """The terminal server of a user's session; `session_id` 0 means that it has yet to start."""

    server: Server
    session_id: int
    placement: int


class Placer:
    """Answers PlaceSession. `proofs` judges users' proofs.

    In the first `unsure_seconds` a terminal server with a session of the user may not have joined
    yet: a new place is logged as unsure.
    """

    def __init__(
        self,
        farm: Farm,
        sessions: SessionIndex,
        reservations: Reservations,
        receipts: Receipts,
        proofs: Proofs,
        *,
        unsure_seconds: float,
    ) -> None:
        self._policy: Policy = stay_where_landed
        self._unsure_seconds = unsure_seconds
        self._unsure_until = 0.0
        self._farm = farm
        self._sessions = sessions
        self._reservations = reservations
        self._receipts = receipts
        self._proofs = proofs

    def start(self, now: float) -> None:
        self._unsure_until = now + self._unsure_seconds

    def place(self, caller: Caller, request: PlaceSession, now: float) -> list[Effect]:
        """Answer with the place of the user's session, reserved; on the asking terminal server with
        a receipt.

        Refused(NOT_JOINED) while the asking terminal server is not READY, Refused(NOT_PERMITTED)
        without the user's proof, Refused(TOO_MANY_SESSIONS) when the server is full, Refused(BUSY)
        when the directory is full. No refusal holds: the asking terminal server then decides for
        itself (fail open), and its row has no receipt.
        """
        asking = self._asking(caller.peer)
        if asking is None:
            return [_not_joined(caller)]
        fault = self._proofs.fault_of(caller.peer, request, now)
        if fault:
            refused = Refused(code=ErrorCode.NOT_PERMITTED, detail=fault)
            return [Answer(caller, refused), _refused(request, asking, refused)]
        if request.session_id and not request.redirected:
            return self._give_receipt(caller, request, asking)
        # The client says which terminal server it could not reach; it has reached the asking one.
        avoid = "" if request.avoid == asking.name else request.avoid
        sessions = self._sessions.of_user(request.user_name, request.application)
        offered = self._offered(sessions, avoid)
        promised = [row for row in offered if _is_at(row, asking.name, request.session_id)]
        place = self._decide(request, promised or offered, asking, avoid, now)
        if isinstance(place, Refused):
            return [Answer(caller, place), _refused(request, asking, place)]
        answer = SessionPlaced(
            placement=place.placement,
            host=place.server.name,
            address=place.server.address,
            port=place.server.port,
            session_id=place.session_id,
            receipt=self._receipt(request, place) if place.server is asking else b"",
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

    def _give_receipt(self, caller: Caller, request: PlaceSession, asking: Server) -> list[Effect]:
        """For a session that began without a directory: nothing is decided."""
        row = self._sessions.of_server(asking.name).get(request.session_id)
        wanted = (request.user_name, request.application)
        if row is None or (row.user_name, row.application) != wanted:
            detail = f"{asking.name} has reported no such session of this user"
            return [Answer(caller, Refused(code=ErrorCode.NOT_PERMITTED, detail=detail))]
        place = Place(asking, row.session_id, row.placement)
        answer = SessionPlaced(
            placement=row.placement,
            host=asking.name,
            address=asking.address,
            port=asking.port,
            session_id=row.session_id,
            receipt=self._receipt(request, place),
        )
        return [Answer(caller, answer)]

    def _receipt(self, request: PlaceSession, place: Place) -> bytes:
        return self._receipts.give(
            place.server.name, request.user_name, request.application, place.placement
        )

    def _asking(self, peer: Peer) -> Server | None:
        server = self._farm.joined_over(peer)
        return server if server is not None and server.state is ServerState.READY else None

    def _offered(self, sessions: Sequence[SessionRow], avoid: str) -> list[SessionRow]:
        """The sessions to which the user can be led now, the best one first: those with a receipt,
        on servers that can be reached."""
        return [
            row
            for row in sessions
            if row.state in PREFERENCE
            and row.receipt
            and row.host != avoid
            and self._farm.ready(row.host)
        ]

    def _decide(
        self,
        request: PlaceSession,
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
        reserved = self._reservations.find(request.user_name, request.application)
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
        reservation = self._reservations.reserve(
            request.user_name, request.application, server.name, now
        )
        return Place(server, 0, reservation.placement)


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
