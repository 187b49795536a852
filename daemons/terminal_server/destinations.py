"""Finds the session of an authenticated user: on another server, here, or a new one.

The directory decides where, in one step with reserving the place. Without it every server decides
for itself ("fail open"): logons go on while it is away.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.procedures import Procedure, Procedures
from daemons.refusal import Refusal
from daemons.settings import Application
from daemons.terminal_server.client import Client, User
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.sessions import Session
from tsproto.errors import ErrorCode
from tsproto.messages import PlaceSession, Redirect, SessionPlaced

# Short, because a person waits and the server can go on by itself.
PLACING_SECONDS = 3.0
# How often the directory may name a session that has ended here, and be told so, before this server
# goes on by itself.
PLACED_ANEW_MAX = 2


class Destinations(msgspec.Struct, eq=False):
    """Finds where an authenticated user's session is.

    A place that was reserved for a client that is lost meanwhile is not given back: another client
    of this user may be on its way to it. It is forgotten after RESERVATION_SECONDS.
    """

    name: str
    applications: Mapping[str, Application]
    directory: DirectoryLink
    lifecycle: Lifecycle
    procedures: Procedures

    def find(self, client: Client, user: User) -> Procedure[Redirect | Session]:
        """The way to the user's session on another server, or their session here, which may only be
        starting. Raises Refusal."""
        if user.asked.command:
            return self.lifecycle.start(client, user, placement=0)
        if not user.redirected:
            self._check_application(client, user)
        for _ in range(1 + PLACED_ANEW_MAX):
            placed = yield from self._ask_directory(client, user)
            if placed is not None and placed.host != self.name:
                return copied(Redirect, placed, request_id=0)
            if placed is None or placed.session_id == 0:
                break
            session = self.lifecycle.table.get(placed.session_id)
            if session is not None and session.is_open_to(user):
                session.on_placed(placed.placement, placed.receipt)
                return session
            if session is not None and session.belongs_to(user.user_name):
                break  # it runs as a system user that the account no longer names
            # It has ended, and that news and the decision crossed.
            ended = (placed.session_id, placed.placement, user.user_name)
            self.procedures.do(*self.directory.remove(*ended))
        return self._here(client, user, placed)

    def _ask_directory(self, client: Client, user: User) -> Procedure[SessionPlaced | None]:
        """The directory's decision; None when it makes none."""
        if not self.directory.is_ready:
            return None
        question = PlaceSession(
            user_name=user.user_name,
            application=user.asked.application,
            avoid=user.avoid,
            trace_id=client.trace_id,
            proof=[user.proof] if user.proof else [],
            session_id=user.asked.session_id if user.redirected else 0,
            redirected=user.redirected,
        )
        placed = yield from self.directory.ask(question, SessionPlaced, PLACING_SECONDS)
        if isinstance(placed, SessionPlaced):
            return placed
        self.procedures.do(
            events.DirectoryDidNotPlace(
                trace_id=client.trace_id, code=placed.code, detail=placed.detail
            )
        )
        return None

    def _here(self, client: Client, user: User, placed: SessionPlaced | None) -> Session:
        """The session that starts or runs here for this application, or a new one."""
        placement = placed.placement if placed else 0
        receipt = placed.receipt if placed else b""
        session = self.lifecycle.table.find(user.user_name, user.asked.application)
        if session is not None and session.is_open_to(user):
            session.on_placed(placement, receipt)
            if not session.receipt:
                session.proof = self.directory.worth_keeping(user.proof)
            return session
        try:
            self._check_application(client, user)
        except Refusal:
            self.procedures.do(*self.directory.remove(0, placement, user.user_name))
            raise
        return self.lifecycle.start(client, user, placement=placement, receipt=receipt)

    def _check_application(self, client: Client, user: User) -> None:
        application = user.asked.application
        if application == "" or application in self.applications:
            return
        known = ", ".join(self.applications) or "none"
        detail = (
            f"{self.name} has no application {application!r}; its configuration names: {known};"
            f" trace {client.trace_id}"
        )
        raise Refusal(ErrorCode.UNKNOWN_APPLICATION, detail)
