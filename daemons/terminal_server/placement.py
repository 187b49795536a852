"""Takes an authenticated user to their session: to another host, to one that is here, or to a new
one.

The directory decides where, in one step with reserving the place. Without it every host decides for
itself ("fail open"): logons go on while it is away.
"""

from __future__ import annotations

from collections.abc import Mapping

from daemons.effects import Note
from daemons.procedures import Procedure, Procedures
from daemons.settings import Application
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.lifecycle import Lifecycle, NotShown
from daemons.terminal_server.sessions import Session, Viewer
from tsproto.errors import ErrorCode
from tsproto.messages import LogonRequest, PlaceSession, SessionPlaced

# Short, because a person waits and the host can go on by itself.
PLACING_SECONDS = 3.0
# How often the directory may name a session that has ended here, and be told so, before this host
# goes on by itself.
PLACED_ANEW_MAX = 2


class Placing:
    """The way of one client. A place that was reserved for one that is lost meanwhile is not given
    back: another client of this user may be on its way to it. It is forgotten after
    RESERVATION_SECONDS."""

    def __init__(
        self,
        client: Viewer,
        *,
        name: str,
        applications: Mapping[str, Application],
        directory: DirectoryLink,
        lifecycle: Lifecycle,
        procedures: Procedures,
    ) -> None:
        self._client = client
        self._name = name
        self._applications = applications
        self._directory = directory
        self._lifecycle = lifecycle
        self._do = procedures.do

    def place(self, request: LogonRequest, system_user: str) -> Procedure[Session | SessionPlaced]:
        """The session, shown; or where it is, on another host. Raises NotShown."""
        if request.command:
            return (yield from self._start(request, system_user, 0))
        self._check_application(request)
        return (yield from self._ask_directory(request, system_user, PLACED_ANEW_MAX))

    def enter(
        self,
        request: LogonRequest,
        system_user: str,
        placement: int,
        session_id: int,
        anew: int = PLACED_ANEW_MAX,
    ) -> Procedure[Session | SessionPlaced]:
        """The directory's decision is this host: go to the session it names; with `session_id` 0 to
        the one that is starting or running here, or start it."""
        if session_id == 0:
            return (yield from self._enter_here(request, system_user, placement))
        session = self._lifecycle.table.get(session_id)
        is_here = session is not None and session.is_shared and not session.is_ending
        if session is not None and is_here and session.user_name == request.user_name:
            return (yield from self._lifecycle.show(session, self._client, placement))
        # It has ended, and that news and the decision crossed.
        self._do(*self._directory.remove(session_id, placement, request.user_name))
        if anew == 0:
            return (yield from self._enter_here(request, system_user, placement))
        return (yield from self._ask_directory(request, system_user, anew - 1))

    def _ask_directory(
        self, request: LogonRequest, system_user: str, anew: int
    ) -> Procedure[Session | SessionPlaced]:
        if not self._directory.is_asked:
            return (yield from self._enter_here(request, system_user, 0))
        question = PlaceSession(
            user_name=request.user_name,
            application=request.application,
            device_id=self._client.device_id,
            avoid=request.unreachable_host,
            trace_id=self._client.trace_id,
        )
        placed = yield from self._directory.ask(question, SessionPlaced, PLACING_SECONDS)
        if not isinstance(placed, SessionPlaced):
            fields = {"trace_id": self._client.trace_id, "code": placed.code.name}
            self._do(Note("directory.did_not_place", fields))
            return (yield from self._enter_here(request, system_user, 0))
        if placed.host != self._name:
            return placed
        return (
            yield from self.enter(request, system_user, placed.placement, placed.session_id, anew)
        )

    def _enter_here(
        self, request: LogonRequest, system_user: str, placement: int
    ) -> Procedure[Session]:
        session = self._lifecycle.table.find(request.user_name, request.application)
        if session is not None:
            return (yield from self._lifecycle.show(session, self._client, placement))
        try:
            self._check_application(request)
        except NotShown:
            self._do(*self._directory.remove(0, placement, request.user_name))
            raise
        return (yield from self._start(request, system_user, placement))

    def _start(self, request: LogonRequest, system_user: str, placement: int) -> Procedure[Session]:
        session = self._lifecycle.start(request, system_user=system_user, placement=placement)
        return (yield from self._lifecycle.show(session, self._client, placement))

    def _check_application(self, request: LogonRequest) -> None:
        application = request.application
        if application == "" or application in self._applications:
            return
        known = ", ".join(self._applications) or "none"
        detail = (
            f"{self._name} has no application {application!r}; its configuration names: {known}"
        )
        raise NotShown(ErrorCode.UNKNOWN_APPLICATION, detail, is_ours=True)
