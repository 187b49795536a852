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
from daemons.terminal_server.client import Client
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.sessions import Session
from tsproto.errors import ErrorCode
from tsproto.messages import LogonRequest, PlaceSession, Redirect, SessionPlaced, TicketRedeemed

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

    def find(
        self,
        client: Client,
        request: LogonRequest,
        system_user: str,
        redeemed: TicketRedeemed | None = None,
    ) -> Procedure[Redirect | Session]:
        """The way to the user's session on another server, or their session here, which may only be
        starting. `redeemed` is the decision that the ticket of a redirect stands for. Raises
        Refusal."""
        if request.command:
            return self.lifecycle.start(client, request, system_user=system_user, placement=0)
        if redeemed is None:
            self._check_application(client, request)
        for _ in range(1 + PLACED_ANEW_MAX):
            decision = redeemed or (yield from self._ask_directory(client, request))
            redeemed = None
            placement = decision.placement if decision else 0
            if isinstance(decision, SessionPlaced) and decision.host != self.name:
                return copied(Redirect, decision, request_id=0)
            if decision is None or decision.session_id == 0:
                break
            session = self.lifecycle.table.get(decision.session_id)
            if session is not None and session.is_open_to(request.user_name):
                session.on_placed(placement)
                return session
            # It has ended, and that news and the decision crossed.
            ended = (decision.session_id, placement, request.user_name)
            self.procedures.do(*self.directory.remove(*ended))
        return self._here(client, request, system_user, placement)

    def _ask_directory(
        self, client: Client, request: LogonRequest
    ) -> Procedure[SessionPlaced | None]:
        """The directory's decision; None when it makes none."""
        if not self.directory.is_ready:
            return None
        question = PlaceSession(
            user_name=request.user_name,
            application=request.application,
            device_id=client.device_id,
            avoid=request.unreachable_host,
            trace_id=client.trace_id,
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

    def _here(
        self, client: Client, request: LogonRequest, system_user: str, placement: int
    ) -> Session:
        """The session that starts or runs here for this application, or a new one."""
        session = self.lifecycle.table.find(request.user_name, request.application)
        if session is not None:
            session.on_placed(placement)
            return session
        try:
            self._check_application(client, request)
        except Refusal:
            self.procedures.do(*self.directory.remove(0, placement, request.user_name))
            raise
        return self.lifecycle.start(client, request, system_user=system_user, placement=placement)

    def _check_application(self, client: Client, request: LogonRequest) -> None:
        application = request.application
        if application == "" or application in self.applications:
            return
        known = ", ".join(self.applications) or "none"
        detail = (
            f"{self.name} has no application {application!r}; its configuration names: {known};"
            f" trace {client.trace_id}"
        )
        raise Refusal(ErrorCode.UNKNOWN_APPLICATION, detail)
