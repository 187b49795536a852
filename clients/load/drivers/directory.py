"""Bare requests to a session directory, as terminal servers make them for users.

Every link joins the farm as a host of its own, without sessions, and its users log on there. When
the links are closed the directory forgets these hosts by itself, and all that was theirs.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

from clients.load.drivers.line import Line, Move
from clients.load.drivers.requests import Requests
from tsproto.messages import (
    JoinFarm,
    Message,
    PlaceSession,
    RemoveSession,
    Role,
    SessionPlaced,
    SessionRow,
    SessionState,
    SyncSessions,
    UpdateSession,
)

WHERE_IT_IS: Final = "a user with a session is led to it"
WHERE_ASKED: Final = "a user without a session is placed where they came"
FENCED: Final = "a later placement has a higher number"
RULES = {WHERE_IT_IS: ("query",), WHERE_ASKED: ("place",), FENCED: ("place", "query")}
"""Each with the steps that show whether it is kept."""

# Nobody is ever led to these hosts: a redirect's ticket is not followed here.
ADDRESS = "192.0.2.1"  # RFC 5737: for documentation, and nobody's
PORT = 5600
SESSIONS_MAX = 100_000  # as many as a directory keeps of one host
PREFIX_BYTES = 6
# Users with a session that a journey which does not begin with `place` can go on with.
SETTLED_MAX = 100_000


class User:
    """A user and their session. `placement` 0: not placed yet; `is_reported`: it stands in the
    directory."""

    __slots__ = (
        "created_at",
        "device_id",
        "host",
        "is_reported",
        "name",
        "placement",
        "session_id",
    )

    def __init__(self, host: Host, name: str, device_id: bytes, session_id: int) -> None:
        self.host = host
        self.name = name
        self.device_id = device_id
        self.session_id = session_id
        self.created_at = int(time.time())
        self.placement = 0
        self.is_reported = False


class Host:
    """A host that a link passes for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sessions_made = 0
        self.settled: deque[User] = deque(maxlen=SETTLED_MAX)


class Directory(Requests[User]):
    """A `Driver` for scenarios that drive `directory`."""

    asks = Role.SESSION_DIRECTORY

    def moves(self) -> dict[str, Move[User]]:
        self._prefix = os.urandom(PREFIX_BYTES).hex()
        self._hosts: dict[str, Host] = {}
        moves = (
            Move("place", _place, self._on_placed, self.measures.latencies("place")),
            Move("report", _report, None, self.measures.latencies("report")),
            Move("query", _place, self._on_placed, self.measures.latencies("query")),
            Move("end", _end, None, self.measures.latencies("end")),
        )
        return {move.name: move for move in moves}

    async def introduce(self, line: Line[User]) -> None:
        """Join the farm under the link's name, as a host that has just begun."""
        self._hosts[line.name] = Host(line.name)
        await line.ask(
            JoinFarm(
                address=ADDRESS, port=PORT, incarnation=os.urandom(16), sessions_max=SESSIONS_MAX
            )
        )
        await line.ask(SyncSessions(sessions=[], last=True))

    def subject(self, line: Line[User], first: Move[User]) -> User:
        """A new user; where the journey does not begin with `place`, one who has a session, if
        there is any yet."""
        host = self._hosts[line.name]
        if first.name != "place" and host.settled:
            return host.settled.popleft()
        host.sessions_made += 1
        number = host.sessions_made
        name = f"{self._prefix}-{host.name}-{number}"
        return User(host, name, number.to_bytes(32, "big"), number)

    def release(self, subject: User) -> None:
        if subject.is_reported:
            subject.host.settled.append(subject)

    def _on_placed(self, user: User, answer: Message) -> None:
        assert isinstance(answer, SessionPlaced)
        session_id = user.session_id if user.is_reported else 0
        if (answer.host, answer.session_id) != (user.host.name, session_id):
            rule = WHERE_IT_IS if user.is_reported else WHERE_ASKED
            self.on_violation(
                rule,
                f"{user.name} belongs to {user.host.name}:{session_id}, and was led to"
                f" {answer.host}:{answer.session_id}",
            )
        if answer.placement < user.placement:
            self.on_violation(FENCED, f"{user.name} had {user.placement}, got {answer.placement}")
        user.placement = answer.placement


def _place(user: User) -> Message:
    return PlaceSession(user_name=user.name, application="", device_id=user.device_id)


def _report(user: User) -> Message:
    user.is_reported = True
    return UpdateSession(
        session=SessionRow(
            host=user.host.name,
            session_id=user.session_id,
            user_name=user.name,
            application="",
            state=SessionState.ACTIVE,
            created_at=user.created_at,
            placement=user.placement,
        )
    )


def _end(user: User) -> Message:
    user.is_reported = False
    return RemoveSession(session_id=user.session_id, placement=user.placement, user_name=user.name)
