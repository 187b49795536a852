"""The farm that cases for a session directory play: its terminal servers, their user and device."""

from __future__ import annotations

from clients.conformance.acting import CaseContext, join, session_row
from clients.conformance.peer import Peer
from tsproto import messages
from tsproto.messages import (
    PlaceSession,
    RedeemTicket,
    Role,
    SessionPlaced,
    SessionRow,
    UpdateSession,
)


class Farm:
    """Two terminal servers that have joined, with names and a user that nobody else has.

    The target may have further hosts (a lab's own terminal servers), so a case may not expect that
    a user is placed on the other of these two.
    """

    def __init__(self, context: CaseContext, *, sessions_max: int = 100) -> None:
        self.context = context
        self.user = context.fresh_name("user")
        self.device_id = context.rng.randbytes(32)
        self.names = [context.fresh_name("ts") for _ in range(2)]
        self.servers = [context.open(Role.TERMINAL_SERVER, name=name) for name in self.names]
        for server, name in zip(self.servers, self.names, strict=True):
            join(server, name, sessions_max=sessions_max)

    def row(self, host: int, session_id: int = 1, **changes: object) -> SessionRow:
        return session_row(self.names[host], self.user, session_id, **changes)

    def report(self, host: int, session_id: int = 1, **changes: object) -> None:
        """The host tells of this session; the directory has heard it when this returns."""
        self.tell(host, UpdateSession(session=self.row(host, session_id, **changes)))

    def tell(self, host: int, message: messages.Message) -> None:
        """The host sends a notification, and waits for an answer to a later request: by then the
        directory has heard it."""
        server = self.servers[host]
        server.say(message)
        server.ask(messages.RedeemTicket(ticket=bytes(16), device_id=bytes(32), user_name=""))

    def question(self, **changes: str) -> PlaceSession:
        return PlaceSession(
            user_name=changes.get("user", self.user),
            application=changes.get("application", ""),
            device_id=self.device_id,
            avoid=changes.get("avoid", ""),
        )

    def place(self, asking: int, **changes: str) -> SessionPlaced:
        return self.servers[asking].ask_for(SessionPlaced, self.question(**changes))

    def redeeming(self, ticket: bytes, user: str = "", device_id: bytes = b"") -> RedeemTicket:
        return RedeemTicket(
            ticket=ticket,
            device_id=device_id or self.device_id,
            user_name=user or self.user,
        )

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
        """The user's sessions as the directory shows them."""
        query = messages.QuerySessions(user_name=self.user)
        return administrator.ask_for(messages.Sessions, query).sessions
