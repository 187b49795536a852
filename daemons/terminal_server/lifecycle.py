"""What happens to a session from its start to its end, and who is told.

A start takes a while, and the world moves on meanwhile: more clients of the user arrive and wait
for it, its first client is lost, its program ends before its start was reported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from daemons.effects import (
    Attach,
    Close,
    Detach,
    Effect,
    EndProgram,
    Note,
    Persist,
    ProgramFailed,
    Randomness,
    Resize,
    StartProgram,
    Tell,
)
from daemons.procedures import Procedure, Procedures, outcome_of, start_program
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.host import Host
from daemons.terminal_server.records import SessionRecord
from daemons.terminal_server.sessions import Session, SessionTable, Viewer, restored
from tsproto.errors import ErrorCode
from tsproto.messages import LogonAccepted, LogonRequest, SessionEnded

COOKIE_BYTES = 32  # a random secret of full strength; [MS-RDPBCGR] has 16


class NotShown(Exception):
    """The client gets no session now; the text says why to its user, `why` to the log.
    `is_ours`: the trace id is added to it."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        retry_seconds: int = 0,
        why: str = "",
        is_ours: bool = False,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_seconds = retry_seconds
        self.why = why
        self.is_ours = is_ours


class Lifecycle:
    def __init__(
        self,
        name: str,
        *,
        table: SessionTable,
        host: Host,
        directory: DirectoryLink,
        procedures: Procedures,
        rng: Randomness,
        sessions_max: int,
    ) -> None:
        self.table = table
        self._name = name
        self._host = host
        self._directory = directory
        self._procedures = procedures
        self._do = procedures.do
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

    def start(self, request: LogonRequest, *, system_user: str, placement: int) -> Session:
        """Begin a session; raises NotShown when there are `sessions_max`."""
        if len(self.table) >= self._sessions_max:
            self._do(*self._directory.remove(0, placement, request.user_name))
            raise NotShown(
                ErrorCode.TOO_MANY_SESSIONS,
                f"{self._name} has {self._sessions_max} sessions, as many as it may; try"
                " another terminal server, or later",
                is_ours=True,
            )
        session_id, reserved = self._host.take_session_id()
        session = Session(
            session_id=session_id,
            user_name=request.user_name,
            system_user=system_user,
            application=request.application,
            command=request.command,
            created_at=int(self._procedures.now),
            placement=placement,
            columns=request.columns,
            rows=request.rows,
        )
        self.table.add(session)
        self._do(*reserved)
        # Its own, and not its first client's, which may be lost before it has started.
        starting = self._starting(session, request.terminal)
        self._procedures.start(("session", session_id), starting, self._procedures.now)
        return session

    def show(self, session: Session, viewer: Viewer, placement: int) -> Procedure[Session]:
        """Show a session of this host to a client, at once or when it has started; whoever shows it
        already is sent away. `placement` is the decision that led here, 0 for none. Raises NotShown
        when it does not start."""
        session.placement = max(session.placement, placement)
        viewer.session = session
        if session.is_starting:
            session.waiting.append(viewer)
            started = yield from outcome_of(session.started)
            if isinstance(started, ProgramFailed):
                raise NotShown(started.code, started.detail, is_ours=True)
        self._attach(session, viewer, fresh=session.is_starting)
        return session

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

    def _starting(self, session: Session, terminal: str) -> Procedure[None]:
        started = yield from start_program(
            lambda ticket: StartProgram(
                session_id=session.session_id,
                user_name=session.user_name,
                system_user=session.system_user,
                application=session.application,
                command=session.command,
                columns=session.columns,
                rows=session.rows,
                terminal=terminal,
                ticket=ticket,
            )
        )
        now, viewers = self._procedures.now, session.waiting
        session.waiting = []
        if isinstance(started, ProgramFailed):
            self.table.remove(session)
            self._do(*self._came_to_nothing(session))
            self._do(self._note("session.not_started", session, detail=started.detail))
        elif session.exit_status is not None:
            self._do(*self._ended_at_once(session, viewers, session.exit_status))
            return
        else:
            self._do(self._note("session.started", session, pid=started.pid))
            if not viewers:
                self._do(*self._started_unseen(session, now))
        self._procedures.settle(session.started, started, now)

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

    def _attach(self, session: Session, viewer: Viewer, *, fresh: bool) -> None:
        self._do(*self._send_away(session))
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
        self._do(
            *(self._changed(session) if session.is_shared else []),
            Tell(viewer.peer, accepted),
            Attach(viewer.peer, session.session_id, viewer.columns, viewer.rows, fresh),
            self._note("session.shown", session, trace_id=viewer.trace_id, fresh=fresh),
        )

    def _send_away(self, session: Session) -> list[Effect]:
        viewer = session.viewer
        if viewer is None:
            return []
        viewer.session = None
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
        viewer.session = None  # its procedure, closed by the Close, has nothing to give back
        effects.append(Tell(viewer.peer, SessionEnded(exit_status=exit_status)))
        effects.append(
            Close(viewer.peer, ErrorCode.LOGGED_OFF, "the session has ended", viewer.trace_id)
        )
    return effects
