"""Takes an authenticated user to their session: to another host, to one that is here, or to a new
one.

The directory decides where, in one step with reserving the place. Without it every host decides for
itself ("fail open"): logons go on while it is away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from daemons.effects import Ask, Effect, Note, Outcome
from daemons.settings import Application
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.sessions import Viewer
from daemons.terminal_server.tickets import Tickets
from tsproto.errors import ErrorCode
from tsproto.messages import LogonRequest, PlaceSession, SessionPlaced

# Short, because a person waits and the host can go on by itself.
PLACING_SECONDS = 3.0
# How often the directory may name a session that has ended here, and be told so, before this host
# goes on by itself.
PLACED_ANEW_MAX = 2


class Client(Viewer, Protocol):
    @property
    def has_left(self) -> bool: ...

    def on_redirected(self, placed: SessionPlaced) -> list[Effect]: ...


class Placing:
    """One logon on its way; `request` says for which user and application."""

    def __init__(
        self,
        request: LogonRequest,
        system_user: str,
        *,
        client: Client,
        name: str,
        applications: Mapping[str, Application],
        directory: DirectoryLink,
        lifecycle: Lifecycle,
        tickets: Tickets,
    ) -> None:
        self._request = request
        self._system_user = system_user
        self._client = client
        self._name = name
        self._applications = applications
        self._directory = directory
        self._lifecycle = lifecycle
        self._tickets = tickets
        self._placed_anew = 0
        self._has_rejoined = False

    def begin(self, now: float) -> list[Effect]:
        if self._request.command:
            return self._start(0, now)
        if self._is_unknown_application():
            return self._unknown_application(now)
        return self._ask_directory(now)

    def enter(self, placement: int, session_id: int, now: float) -> list[Effect]:
        """The directory's decision is this host: go to the session it names; with `session_id` 0 to
        the one that is starting or running here, or start it."""
        if session_id == 0:
            return self._enter_here(placement, now)
        session = self._lifecycle.table.get(session_id)
        is_here = session is not None and session.is_shared and not session.is_ending
        if session is not None and is_here and session.user_name == self._request.user_name:
            return self._lifecycle.show(session, self._client, placement, now)
        # It has ended, and that news and the decision crossed.
        ended = self._directory.remove(session_id, placement, self._request.user_name)
        if self._placed_anew == PLACED_ANEW_MAX:
            return [*ended, *self._enter_here(placement, now)]
        self._placed_anew += 1
        return [*ended, *self._ask_directory(now)]

    def _ask_directory(self, now: float) -> list[Effect]:
        if self._directory.endpoint is None or not self._directory.is_ready:
            return self._enter_here(0, now)
        question = PlaceSession(
            user_name=self._request.user_name,
            application=self._request.application,
            device_id=self._client.device_id,
            avoid=self._request.unreachable_host,
            trace_id=self._client.trace_id,
        )
        ticket = self._tickets.open(self._on_placed)
        return [Ask(self._directory.endpoint, question, ticket, PLACING_SECONDS)]

    def _on_placed(self, outcome: Outcome, now: float) -> list[Effect]:
        # A place that was reserved for a lost client is not given back: another client of this user
        # may be on its way to it. It is forgotten after RESERVATION_SECONDS.
        if self._client.has_left:
            return []
        if isinstance(outcome, SessionPlaced):
            if outcome.host != self._name:
                return self._client.on_redirected(outcome)
            return self.enter(outcome.placement, outcome.session_id, now)
        code = getattr(outcome, "code", ErrorCode.DIRECTORY_UNAVAILABLE)
        fields = {"trace_id": self._client.trace_id, "code": code.name}
        note = Note("directory.did_not_place", fields)
        if code is ErrorCode.NOT_JOINED and not self._has_rejoined:
            self._has_rejoined = True
            return [note, *self._directory.rejoin_then(self._on_rejoined, now)]
        return [note, *self._directory.on_no_help(outcome, now), *self._enter_here(0, now)]

    def _on_rejoined(self, now: float) -> list[Effect]:
        return [] if self._client.has_left else self._ask_directory(now)

    def _enter_here(self, placement: int, now: float) -> list[Effect]:
        session = self._lifecycle.table.find(self._request.user_name, self._request.application)
        if session is not None:
            return self._lifecycle.show(session, self._client, placement, now)
        if self._is_unknown_application():
            given_up = self._directory.remove(0, placement, self._request.user_name)
            return [*given_up, *self._unknown_application(now)]
        return self._start(placement, now)

    def _start(self, placement: int, now: float) -> list[Effect]:
        return self._lifecycle.start(
            self._request,
            self._client,
            system_user=self._system_user,
            placement=placement,
            now=now,
        )

    def _is_unknown_application(self) -> bool:
        application = self._request.application
        return application != "" and application not in self._applications

    def _unknown_application(self, now: float) -> list[Effect]:
        known = ", ".join(self._applications) or "none"
        detail = (
            f"{self._name} has no application {self._request.application!r};"
            f" its configuration names: {known}"
        )
        return self._client.on_not_started(ErrorCode.UNKNOWN_APPLICATION, detail, now)
