"""The farm that cases for a session directory play: its terminal servers, and their user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clients.conformance.acting import CaseContext, join, session_row
from clients.conformance.attempt import Attempt
from clients.conformance.peer import Peer
from clients.conformance.user import User
from tsproto import messages
from tsproto.messages import (
    PlaceSession,
    Role,
    SessionPlaced,
    SessionRow,
    SyncSessions,
    UpdateSession,
)


class Farm:
    """Two terminal servers that have joined, with names that nobody else has, a user of the
    target's, and an application in which no earlier case has given them a session.

    The target may have further hosts (a lab's own terminal servers), so a case may not expect that
    a user is placed on the other of these two.
    """

    def __init__(self, context: CaseContext, *, sessions_max: int = 100) -> None:
        self.context = context
        self.user = context.user()
        self.application = context.fresh_name("app")
        self.names = [context.fresh_name("ts") for _ in range(2)]
        self.servers = [context.open(Role.TERMINAL_SERVER, name=name) for name in self.names]
        for server, name in zip(self.servers, self.names, strict=True):
            join(server, name, sessions_max=sessions_max)

    def row(self, host: int, session_id: int = 1, **changes: object) -> SessionRow:
        own = {"application": self.application}
        return session_row(self.names[host], self.user.name, session_id, **own | changes)

    def report(self, host: int, session_id: int = 1, **changes: object) -> SessionRow:
        """The host tells of this session, with no receipt unless `changes` has one; the directory
        has heard it when this returns."""
        row = self.row(host, session_id, **changes)
        self.tell(host, UpdateSession(session=row))
        return row

    def own(self, host: int, session_id: int = 1, **changes: object) -> SessionRow:
        """The host tells of this session with its receipt, so that the user may be led to it."""
        row = self.report(host, session_id, **changes)
        return self.report(host, session_id, **changes, receipt=self.receipt(host, row).receipt)

    def receipt(self, host: int, row: SessionRow) -> SessionPlaced:
        """The host asks for the receipt of a session that it has reported."""
        question = self.question(host, application=row.application, session_id=row.session_id)
        return self.servers[host].ask_for(SessionPlaced, question)

    def tell(self, host: int, message: messages.Message) -> None:
        """The host sends a notification, and waits for an answer to a later request, which changes
        nothing: by then the directory has heard it."""
        self.servers[host].say(message)
        self.servers[host].expect_refused(SyncSessions(sessions=[], last=False))

    def given_to(self, host: int, user: User | None = None, **start: object) -> Attempt:
        """What the user signs at this host."""
        start = {"application": self.application} | start
        return self.context.given_to(self.servers[host], user or self.user, **start)

    def question(
        self,
        asking: int,
        *,
        user: User | None = None,
        proof: Sequence[messages.UserProof] | None = None,
        **changes: Any,
    ) -> PlaceSession:
        """PlaceSession, by default with the user's proof."""
        user = user or self.user
        application = changes.get("application", self.application)
        if proof is None:
            proof = [self.given_to(asking, user, application=application).for_directory()]
        right = PlaceSession(user_name=user.name, application=application, proof=list(proof))
        return msgspec.structs.replace(right, **changes)

    def place(self, asking: int, **changes: Any) -> SessionPlaced:
        return self.servers[asking].ask_for(SessionPlaced, self.question(asking, **changes))

    def expect_at(self, placed: SessionPlaced, host: int, session_id: int, what: str) -> None:
        self.context.expect_fields(placed, what, host=self.names[host], session_id=session_id)

    def let_pass(self, seconds: float) -> None:
        """Time passes in which the terminal servers send heartbeats."""
        for _ in range(int(seconds // 10)):
            self.context.target.let_pass(10)
            for server in self.servers:
                server.say(messages.Heartbeat())
        self.context.target.let_pass(seconds % 10)

    def rows_seen_by(self, administrator: Peer) -> list[SessionRow]:
        """The user's sessions of this farm as the directory shows them."""
        query = messages.QuerySessions(user_name=self.user.name)
        shown = administrator.ask_for(messages.Sessions, query).sessions
        return [row for row in shown if row.host in self.names]
