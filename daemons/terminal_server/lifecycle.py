"""What happens to a session from its start to its end, and who is told.

A start takes a while, and the world moves on meanwhile: more clients of the user arrive and wait
for it, its first client is lost, its program ends before its start was reported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from daemons.effects import (
    Attach,
    Close,
    Detach,
    Effect,
    EndProgram,
    Note,
    Outcome,
    Persist,
    ProgramFailed,
    ProgramStarted,
    Randomness,
    Resize,
    StartProgram,
    Tell,
)
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.host import Host
from daemons.terminal_server.records import SessionRecord
from daemons.terminal_server.sessions import Session, SessionTable, Viewer, restored
from daemons.terminal_server.tickets import Tickets
from tsproto.errors import ErrorCode
from tsproto.messages import LogonAccepted, LogonRequest, SessionEnded

COOKIE_BYTES = 32  # a random secret of full strength; [MS-RDPBCGR] has 16


class Lifecycle:
    def __init__(
        self,
        name: str,
        *,
        table: SessionTable,
        host: Host,
        directory: DirectoryLink,
        tickets: Tickets,
        rng: Randomness,
        sessions_max: int,
    ) -> None:
        self.table = table
        self._name = name
        self._host = host
        self._directory = directory
        self._tickets = tickets
        self._rng = rng
        self._sessions_max = sessions_max

    def on_start(
        self, records: Sequence[SessionRecord], running: Collection[int], now: float
    ) -> list[Effect]:
        """Take up what the keeper still runs. A record without a program is of a session that ended
        while nobody looked; a program without a record was somebody's command, or its record was
        never committed, so nobody can come to it."""
        kept = [restored(record, now) for record in records if record.session_id in running]
        ended = tuple(record for record in records if record.session_id not in running)
        for session in kept:
            self.table.add(session)
        effects: list[Effect] = []
        if kept or ended:
            effects.append(Persist(put=tuple(s.record() for s in kept), delete=ended))
        for session in kept:
            effects.append(self._note("session.kept", session))
        for record in ended:
            effects.append(Note("session.lost", {"session_id": record.session_id}))
        for session_id in sorted(running):
            if self.table.get(session_id) is None:
                effects.append(Note("session.unrecorded", {"session_id": session_id}))
                effects.append(EndProgram(session_id))
        return effects

    def start(
        self,
        request: LogonRequest,
        viewer: Viewer,
        *,
        system_user: str,
        placement: int,
        now: float,
    ) -> list[Effect]:
        """Start a session for this client, who is refused when there are `sessions_max`."""
        if len(self.table) >= self._sessions_max:
            return [
                *self._directory.remove(0, placement, request.user_name),
                *viewer.on_not_started(
                    ErrorCode.TOO_MANY_SESSIONS,
                    f"{self._name} has {self._sessions_max} sessions, as many as it may; try"
                    " another terminal server, or later",
                    now,
                ),
            ]
        session_id, reserved = self._host.take_session_id()
        session = Session(
            session_id=session_id,
            user_name=request.user_name,
            system_user=system_user,
            application=request.application,
            command=request.command,
            created_at=int(now),
            placement=placement,
            columns=request.columns,
            rows=request.rows,
            waiting=[viewer],
        )
        viewer.session = session
        self.table.add(session)
        start = StartProgram(
            session_id=session_id,
            user_name=request.user_name,
            system_user=system_user,
            application=request.application,
            command=request.command,
            columns=request.columns,
            rows=request.rows,
            terminal=request.terminal,
            ticket=self._tickets.open(partial(self._on_started, session)),
        )
        return [*reserved, start]

    def show(self, session: Session, viewer: Viewer, placement: int, now: float) -> list[Effect]:
        """Show a session of this host to a client, at once or when it has started; whoever shows it
        already is sent away. `placement` is the decision that led here, 0 for none."""
        session.placement = max(session.placement, placement)
        viewer.session = session
        if session.is_starting:
            session.waiting.append(viewer)
            return []
        return self._attach(session, viewer, fresh=False, now=now)

    def leave(self, session: Session, viewer: Viewer, now: float) -> list[Effect]:
        """This client no longer shows, or waits for, the session: it asked to, or is lost."""
        if viewer is not session.viewer:
            session.waiting = [other for other in session.waiting if other is not viewer]
            return []
        detached: list[Effect] = [Detach(session.session_id)]
        if session.is_ending:
            self.table.abandon(session)
            return detached
        self.table.disconnect(session, now)
        if not session.is_shared:
            return detached + self._log_off(session)
        return [*detached, *self._changed(session), self._note("session.disconnected", session)]

    def log_off(self, session: Session) -> list[Effect]:
        """End the session's programs; the client that shows it learns of the end."""
        return [] if session.is_ending else self._log_off(session)

    def resize(self, session: Session, columns: int, rows: int) -> list[Effect]:
        """The new size reaches records and directory with the next transition: a window that is
        being dragged would write dozens."""
        session.columns, session.rows = columns, rows
        return [Resize(session.session_id, columns, rows)]

    def on_program_ended(self, session_id: int, exit_status: int, now: float) -> list[Effect]:
        session = self.table.get(session_id)
        if session is None:
            return []
        if session.is_starting:
            session.exit_status = exit_status
            return []
        viewers = [session.viewer] if session.viewer else []
        self.table.remove(session)
        effects = _ended(viewers, exit_status)
        if session.is_shared:
            effects.append(Persist(delete=(session.record(),)))
            effects += self._directory.remove(session_id, session.placement, session.user_name)
        return [*effects, self._note("session.ended", session, exit_status=exit_status)]

    def _on_started(self, session: Session, outcome: Outcome, now: float) -> list[Effect]:
        viewers, session.waiting = session.waiting, []
        if not isinstance(outcome, ProgramStarted):
            return self._not_started(session, viewers, outcome, now)
        if session.exit_status is not None:
            return self._ended_at_once(session, viewers, session.exit_status)
        started = self._note("session.started", session, pid=outcome.pid)
        if not viewers:
            return [started, *self._started_unseen(session, now)]
        first, *others = viewers
        effects = [started, *self._attach(session, first, fresh=True, now=now)]
        for viewer in others:
            effects += self._attach(session, viewer, fresh=False, now=now)
        return effects

    def _not_started(
        self, session: Session, viewers: list[Viewer], outcome: Outcome, now: float
    ) -> list[Effect]:
        assert isinstance(outcome, ProgramFailed), outcome
        self.table.remove(session)
        effects = self._came_to_nothing(session)
        for viewer in viewers:
            effects += viewer.on_not_started(outcome.code, outcome.detail, now)
        return [*effects, self._note("session.not_started", session, detail=outcome.detail)]

    def _ended_at_once(
        self, session: Session, viewers: list[Viewer], exit_status: int
    ) -> list[Effect]:
        self.table.remove(session)
        return [
            *_ended(viewers, exit_status),
            *self._came_to_nothing(session),
            self._note("session.ended", session, exit_status=exit_status),
        ]

    def _started_unseen(self, session: Session, now: float) -> list[Effect]:
        """Whoever asked for it was lost meanwhile: the user finds it at the next logon.

        Its output was held for a client that never comes: Detach lets the program go on.
        """
        self.table.disconnect(session, now)
        if not session.is_shared:
            return self._log_off(session)
        return [Detach(session.session_id), *self._changed(session)]

    def _attach(self, session: Session, viewer: Viewer, *, fresh: bool, now: float) -> list[Effect]:
        effects = self._send_away(session)
        cookie = self._rng.randbytes(COOKIE_BYTES) if session.is_shared else b""
        self.table.show(session, viewer, cookie)
        accepted = LogonAccepted(
            host=self._name,
            session_id=session.session_id,
            user_name=session.user_name,
            reattached=not fresh,
            created_at=session.created_at,
            cookie=cookie,
        )
        return [
            *effects,
            *(self._changed(session) if session.is_shared else []),
            Tell(viewer.peer, accepted),
            Attach(viewer.peer, session.session_id, viewer.columns, viewer.rows, fresh),
            *viewer.on_shown(session, now),
            self._note("session.shown", session, trace_id=viewer.trace_id, fresh=fresh),
        ]

    def _send_away(self, session: Session) -> list[Effect]:
        viewer = session.viewer
        if viewer is None:
            return []
        return [
            Detach(session.session_id),
            Close(
                viewer.peer,
                ErrorCode.DISCONNECTED_BY_OTHER,
                "your session is now shown by another client",
                viewer.trace_id,
            ),
        ]

    def _log_off(self, session: Session) -> list[Effect]:
        self.table.log_off(session)
        told = self._directory.update(session) if session.is_shared else []
        note = self._note("session.logged_off", session)
        return [*told, EndProgram(session.session_id), note]

    def _changed(self, session: Session) -> list[Effect]:
        return [Persist(put=(session.record(),)), *self._directory.update(session)]

    def _came_to_nothing(self, session: Session) -> list[Effect]:
        return self._directory.remove(0, session.placement, session.user_name)

    def _note(self, event: str, session: Session, **more: object) -> Note:
        return Note(
            event, {"session_id": session.session_id, "user_name": session.user_name, **more}
        )


def _ended(viewers: list[Viewer], exit_status: int) -> list[Effect]:
    effects: list[Effect] = []
    for viewer in viewers:
        effects.append(Tell(viewer.peer, SessionEnded(exit_status=exit_status)))
        effects.append(
            Close(viewer.peer, ErrorCode.LOGGED_OFF, "the session has ended", viewer.trace_id)
        )
    return effects
