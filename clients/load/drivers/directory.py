"""Bare requests to a session directory, as terminal servers make them for users.

Every link joins the farm as a host of its own without sessions. When a link is closed the directory
forgets its host and the host's sessions. The farm's synthetic users are proved to the directory;
each has many sessions, of as many applications. Without them names are made up, which only a
directory without accounts believes.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from typing import Final

import msgspec

from clients.load.drivers.proofs import Prover
from clients.load.drivers.request_link import Hear, Move, RequestLink, Say
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
    UserProof,
)

WHERE_IT_IS: Final = "a user with a session is led to it"
WHERE_ASKED: Final = "a user without a session is placed where they came"
FENCED: Final = "a later placement has a higher number"

ADDRESS = "192.0.2.1"  # RFC 5737, for documentation: nobody is redirected to these hosts
PORT = 5600
SESSIONS_MAX = 100_000  # a directory's limit for one host
PREFIX_BYTES = 6
SETTLED_MAX = 100_000  # users with a session, for journeys that do not begin with `place`


class User(msgspec.Struct):
    """A user of one application. `placement` is 0 before the first; `is_reported` while the
    directory has the session."""

    host: Host
    name: str
    application: str
    session_id: int
    prover: Prover | None = None
    created_at: int = msgspec.field(default_factory=lambda: int(time.time()))
    placement: int = 0
    receipt: bytes = b""
    is_reported: bool = False


class Host:
    """The host that a link acts as; of its certificate the SHA-256, zero bytes without TLS."""

    def __init__(self, name: str, certificate: bytes = bytes(32)) -> None:
        self.name = name
        self.certificate = certificate
        self.sessions_made = 0
        self.settled: deque[User] = deque(maxlen=SETTLED_MAX)


class Directory(Requests[User]):
    """A `Driver` for scenarios that drive `directory`."""

    rules = {WHERE_IT_IS: ("query",), WHERE_ASKED: ("place",), FENCED: ("place", "query")}
    asks = Role.SESSION_DIRECTORY

    def acts(self) -> dict[str, tuple[Say[User], Hear[User] | None]]:
        self._prefix = os.urandom(PREFIX_BYTES).hex()
        self._hosts: dict[str, Host] = {}
        self._applications = itertools.count(1)
        farm, people = self._assignment.farm.name, self._assignment.people
        provers = [Prover(farm, person) for person in people if person.is_synthetic]
        self._provers = itertools.cycle(provers or [None])
        asked = (_place, self._on_placed)
        return {"place": asked, "report": (_report, None), "query": asked, "end": (_end, None)}

    async def introduce(self, link: RequestLink[User]) -> None:
        """Join the farm under the link's name, as a host that has just started."""
        self._hosts[link.name] = Host(link.name, link.certificate)
        await link.ask(
            JoinFarm(
                address=ADDRESS, port=PORT, incarnation=os.urandom(16), sessions_max=SESSIONS_MAX
            )
        )
        await link.ask(SyncSessions(sessions=[], last=True))

    def subject(self, link: RequestLink[User], first: Move[User]) -> User:
        """A user: with a session, if there is one, unless the journey begins with `place`."""
        host = self._hosts[link.name]
        if first.name != "place" and host.settled:
            return host.settled.popleft()
        host.sessions_made += 1
        number = host.sessions_made
        prover = next(self._provers)
        name = prover.user_name if prover is not None else f"{self._prefix}-{host.name}-{number}"
        application = f"{self._prefix}-{next(self._applications)}"
        return User(host, name, application, number, prover)

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
        user.placement, user.receipt = answer.placement, answer.receipt


def _place(user: User) -> Message:
    return PlaceSession(
        user_name=user.name,
        application=user.application,
        proof=[] if user.prover is None else [_proof(user, user.prover)],
    )


def _proof(user: User, prover: Prover) -> UserProof:
    device_id = user.session_id.to_bytes(32, "big")
    host = user.host
    return prover.proof(host.name, host.certificate, user.application, device_id, time.time())


def _report(user: User) -> Message:
    user.is_reported = True
    return UpdateSession(
        session=SessionRow(
            host=user.host.name,
            session_id=user.session_id,
            user_name=user.name,
            application=user.application,
            state=SessionState.ACTIVE,
            created_at=user.created_at,
            placement=user.placement,
            receipt=user.receipt,
        )
    )


def _end(user: User) -> Message:
    user.is_reported = False
    return RemoveSession(session_id=user.session_id, placement=user.placement, user_name=user.name)
