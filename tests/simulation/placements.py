"""Where a directory leads users: to what terminal servers told it, and to what it promised before.
It may forget that at a restart, and at no other time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Caller
from tests.simulation.kinds import PORT, TerminalServerKind
from tests.simulation.node import Node
from tsproto.errors import ErrorCode
from tsproto.limits import RESERVATION_SECONDS
from tsproto.messages import (
    Message,
    PlaceSession,
    Refused,
    RemoveSession,
    SessionPlaced,
    SessionRow,
    SyncSessions,
    UpdateSession,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

PLACED = "the directory leads to what was told it"
VOUCHED = "nobody is led to a row without a receipt"
KEPT = 8
STALE_SECONDS = 5.0  # a session's end reaches the directory within it


class Reservation(msgspec.Struct, frozen=True):
    host: str
    user_name: str
    application: str
    until: float = 0.0


class Placements:
    """The laws of PlaceSession."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._last = 0
        self._life = 0
        self._reserved: dict[int, Reservation] = {}
        self._joined: set[str] = set()
        self.away: set[str] = set()  # hosts whose link to this directory has broken
        self.receipts: list[bytes] = []  # the latest that were given
        self._receipts: dict[bytes, tuple[str, str, str, int]] = {}  # to whom and for what given
        self._vouched: set[tuple[str, int]] = set()  # sessions reported with a receipt of theirs

    def _lives(self, directory: Node) -> None:
        if directory.life != self._life:
            self._life = directory.life
            self._reserved.clear()
            self._joined.clear()
            self.away.clear()

    # --- what it is told --------------------------------------------------------------------------

    def joins(self, directory: Node, host: str) -> None:
        """One that joins again has been away, whether the directory noticed or not."""
        self._lives(directory)
        if host in self._joined:
            self.away.add(host)
        self._joined.add(host)

    def lost(self, directory: Node, host: str) -> None:
        self._lives(directory)
        self.away.add(host)

    def told(self, message: Message) -> None:
        match message:
            case UpdateSession(session=row):
                self._reserved.pop(row.placement, None)
                self._reported(row)
            case SyncSessions(sessions=rows):
                for row in rows:
                    self._reported(row)
            case RemoveSession(placement=placement):
                self._reserved.pop(placement, None)

    def _reported(self, row: SessionRow) -> None:
        named = row.host, row.user_name, row.application, row.placement
        if self._receipts.get(row.receipt) == named:
            self._vouched.add((row.host, row.session_id))

    # --- what it answers --------------------------------------------------------------------------

    def placed(
        self, directory: Node, caller: Caller, request: PlaceSession, answer: Message, now: float
    ) -> None:
        self._lives(directory)
        if request.session_id and not request.redirected:
            self._given(request, answer)
            return
        user = f"{request.user_name}/{request.application}"
        if isinstance(answer, SessionPlaced):
            self._given(request, answer)
            self._leads(caller, request, answer, user)
            if answer.session_id:
                self._at_a_session(request, answer, user)
            else:
                self._reserves(caller, request, answer, user, now)
        elif isinstance(answer, Refused) and answer.code is ErrorCode.TOO_MANY_SESSIONS:
            self._refuses(caller, user, now)

    def _given(self, request: PlaceSession, answer: Message) -> None:
        if isinstance(answer, SessionPlaced) and answer.receipt:
            named = answer.host, request.user_name, request.application, answer.placement
            self._receipts[answer.receipt] = named
            self.receipts = [*self.receipts[-KEPT:], answer.receipt]

    def _leads(
        self, caller: Caller, request: PlaceSession, answer: SessionPlaced, user: str
    ) -> None:
        what = f"{user}, asked by {caller.peer.name}, is led to {answer.host}"
        is_here = answer.host == caller.peer.name
        if answer.host == request.avoid and not is_here:
            self._broken(f"{what}, which did not answer")
        if answer.host not in self._farm.names:
            self._broken(what)
            return
        host = self._farm.node(answer.host)
        if (answer.address, answer.port) != (host.host, PORT):
            self._broken(f"{what} at {answer.address} port {answer.port}")
        if bool(answer.receipt) != is_here:
            self._broken(f"{what} with receipt {answer.receipt.hex()}")
        if answer.host not in self._joined:
            self._broken(f"{what}, which has not joined")

    def _at_a_session(self, request: PlaceSession, answer: SessionPlaced, user: str) -> None:
        where = answer.host, answer.session_id
        owner = self._farm.session_rows.started.get(where)
        if owner != (request.user_name, request.application):
            self._broken(f"{user} is led to {where}, which is of {owner}")
        if where not in self._vouched:
            self._farm.broken(VOUCHED, f"{user} is led to {where}")

    def _reserves(
        self, caller: Caller, request: PlaceSession, answer: SessionPlaced, user: str, now: float
    ) -> None:
        given = Reservation(answer.host, request.user_name, request.application)
        known = self._reserved.get(answer.placement)
        if known is not None:
            self._farm.world.saw("a reservation renewed")
            if msgspec.structs.replace(known, until=0.0) != given:
                self._broken(f"{user} is given placement {answer.placement} of {known}")
            if known.until <= now:
                self._broken(f"{user} is given {known}, which has expired")
        else:
            if answer.placement <= self._last:
                text = f"{user} is given {answer.placement} after {self._last}"
                self._farm.broken("placements rise", text)
            if answer.host != caller.peer.name:
                self._broken(f"{user} is placed anew on {answer.host}, and is elsewhere")
            if other := self._reserved_for(request, now):
                self._broken(f"{user} has a reservation already: {other}")
        self._keep(given, answer.placement, now)

    def _reserved_for(self, request: PlaceSession, now: float) -> Reservation | None:
        """A live reservation, on a host whose link has never broken since."""
        for reserved in self._reserved.values():
            if (reserved.user_name, reserved.application) == (
                request.user_name,
                request.application,
            ):
                is_reachable = reserved.host not in self.away and reserved.host != request.avoid
                return reserved if is_reachable and now < reserved.until else None
        return None

    def live(self, host: str, now: float) -> int:
        """How many reservations on this host have not ended."""
        return sum(r.host == host and now < r.until for r in self._reserved.values())

    def _keep(self, given: Reservation, placement: int, now: float) -> None:
        """One at a time for a user and application."""
        self._reserved = {
            number: other
            for number, other in self._reserved.items()
            if (other.user_name, other.application) != (given.user_name, given.application)
        }
        until = now + RESERVATION_SECONDS
        self._reserved[placement] = msgspec.structs.replace(given, until=until)
        self._last = max(self._last, placement)

    def _refuses(self, caller: Caller, user: str, now: float) -> None:
        """For want of room, which there is when no end of a session is on its way."""
        host, world = caller.peer.name, self._farm.world
        ended_at = self._farm.session_rows.ended_at.get(host, 0.0)
        if host in self.away or ended_at > world.now - STALE_SECONDS:
            return
        kind: TerminalServerKind = self._farm.kind_of(self._farm.node(host))
        pending = [r for r in self._reserved.values() if r.host == host and now < r.until]
        there = len(kind.programs) + len(pending)
        if there < kind.sessions_max:
            text = f"{user} is refused for {there} sessions on {host}"
            self._broken(f"{text}, which may have {kind.sessions_max}")

    def _broken(self, text: str) -> None:
        self._farm.broken(PLACED, text)
