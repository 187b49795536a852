"""Starts, shows, disconnects and ends sessions; records each change and tells the directory.

While a program is being started, more clients of the user may arrive and wait for it, its first
client may be lost, and the program may end before its start is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import (
    Attach,
    Close,
    Detach,
    Effect,
    EndProgram,
    NoteShown,
    Persist,
    ProgramFailed,
    ProgramStarted,
    Resize,
    StartProgram,
    Tell,
)
from daemons.procedures import Procedure, Procedures, Promise, outcome_of, start_program
from daemons.refusal import Refusal
from daemons.terminal_server.client import Client, User
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.own_record import SessionIds
from daemons.terminal_server.records import SessionRecord
from daemons.terminal_server.sessions import Session, SessionTable, StartOutcome, restored
from tsproto.errors import ErrorCode
from tsproto.messages import LogonAccepted, SessionEnded


class Lifecycle(msgspec.Struct, eq=False):
    name: str
    table: SessionTable
    ids: SessionIds
    directory: DirectoryLink
    procedures: Procedures
    sessions_max: int

    def on_start(
        self, records: Sequence[SessionRecord], running: Collection[int], now: float
    ) -> list[Effect]:
        """Take up the sessions that the keeper still runs. A record without a program: the session
        ended while this daemon was away. A program without a record: a single command, or a record
        that was never committed; no client can come to it."""
        kept = [restored(record, now) for record in records if record.session_id in running]
        ended = tuple(record for record in records if record.session_id not in running)
        for session in kept:
            self.table.add(session)
        effects: list[Effect] = []
        if kept or ended:
            effects.append(Persist(put=tuple(s.record() for s in kept), delete=ended))
        for session in kept:
            effects.append(copied(events.SessionKept, session))
        for record in ended:
            effects.append(events.SessionLost(session_id=record.session_id))
        for session_id in sorted(running):
            if self.table.get(session_id) is None:
                effects.append(events.SessionUnrecorded(session_id=session_id))
                effects.append(EndProgram(session_id))
        return effects

    # --- for a logon --------------------------------------------------------------------------

    def start(self, client: Client, user: User, *, placement: int, receipt: bytes = b"") -> Session:
        """Begin a session; raises Refusal when there are `sessions_max`."""
        if len(self.table) >= self.sessions_max:
            self.procedures.do(*self.directory.remove(0, placement, user.user_name))
            raise Refusal(
                ErrorCode.TOO_MANY_SESSIONS,
                f"{self.name} has {self.sessions_max} sessions, as many as it may; try"
                f" another terminal server, or later; trace {client.trace_id}",
            )
        session_id, reserved = self.ids.take()
        now = self.procedures.now
        session = Session(
            session_id=session_id,
            user_name=user.user_name,
            system_user=user.system_user,
            application=user.asked.application,
            command=user.asked.command,
            created_at=int(now),
            placement=placement,
            receipt=receipt,
            proof=None if receipt else self.directory.worth_keeping(user.proof),
            columns=client.columns,
            rows=client.rows,
            starting=Promise(),
        )
        self.table.add(session)
        # The procedure is the session's: its first client may be lost before it has started.
        procedure = self._start_program(session, user)
        self.procedures.do(
            *reserved, *self.procedures.start(("session", session_id), procedure, now)
        )
        return session

    def show(self, client: Client, session: Session, user: User) -> Procedure[bool]:
        """Show a session to a client, when it has started; the client that shows it already is sent
        away.

        False when the program ended before its start was reported: then the client's link is
        closed. Raises Refusal when the program does not start.
        """
        if session.starting is not None:
            started = yield from outcome_of(session.starting)
            if isinstance(started, ProgramFailed):
                raise Refusal(started.code, f"{started.detail}; trace {client.trace_id}")
            if isinstance(started, SessionEnded):
                self.procedures.do(*_ended(client, started.exit_status))
                return False
        self._attach(client, session, user, fresh=session.is_starting)
        return True

    def _start_program(self, session: Session, user: User) -> Procedure[None]:
        """Start the session's program, then go on with the clients that wait for it."""
        started = yield from start_program(
            lambda question_id: copied(
                StartProgram,
                user,
                session_id=session.session_id,
                columns=session.columns,
                rows=session.rows,
                question_id=question_id,
            )
        )
        promise, session.starting = session.starting, None
        assert promise is not None
        outcome: StartOutcome = started
        if isinstance(started, ProgramStarted) and session.exit_status is not None:
            outcome = SessionEnded(exit_status=session.exit_status)
        match outcome:
            case ProgramFailed():
                self.procedures.do(*self._forget(session))
                self.procedures.do(copied(events.SessionNotStarted, session, detail=outcome.detail))
            case SessionEnded():
                self.procedures.do(*self._forget(session))
                status = outcome.exit_status
                self.procedures.do(copied(events.SessionEnded, session, exit_status=status))
            case _:
                self.procedures.do(copied(events.SessionStarted, session, pid=outcome.pid))
                if not promise.is_awaited:
                    self.procedures.do(*self._disconnect_unseen(session))
        now = self.procedures.now
        self.procedures.do(*self.procedures.settle(promise, outcome, now))
        if isinstance(outcome, ProgramStarted) and session.is_shared and not session.placement:
            # The directory hears of the session first, from a client that waited for it.
            receipt = self.directory.get_receipt(session)
            self.procedures.do(
                *self.procedures.start(("receipt", session.session_id), receipt, now)
            )

    def _disconnect_unseen(self, session: Session) -> list[Effect]:
        """Its first client was lost meanwhile: the user finds it at the next logon.

        Its output was held for a client that never comes: Detach lets the program go on.
        """
        self.table.disconnect(session, self.procedures.now)
        if not session.is_shared:
            return self._log_off(session)
        return [Detach(session.session_id), *self._changed(session)]

    def _forget(self, session: Session) -> list[Effect]:
        """The program did not start: remove the session, and give back its placement."""
        self.table.remove(session)
        return self.directory.remove(0, session.placement, session.user_name)

    def _attach(self, client: Client, session: Session, user: User, *, fresh: bool) -> None:
        if session.viewer is not None:
            self.procedures.do(*_sent_away(session, session.viewer))
        self.table.show(session, client, user.generation)
        accepted = copied(LogonAccepted, session, host=self.name, reattached=not fresh)
        self.procedures.do(
            *(self._shown(session, user) if session.is_shared else []),
            Tell(client.peer, accepted),
            Attach(client.peer, session.session_id, client.columns, client.rows, fresh),
            copied(events.SessionShown, session, trace_id=client.trace_id, fresh=fresh),
        )

    def _shown(self, session: Session, user: User) -> list[Effect]:
        return [*self._changed(session), copied(NoteShown, session, proof_id=user.proof_id)]

    # --- while it is shown --------------------------------------------------------------------

    def on_left(self, session: Session, now: float) -> list[Effect]:
        """The client that shows it asked to leave, or is lost."""
        detached: list[Effect] = [Detach(session.session_id)]
        if session.is_ending:
            self.table.abandon(session)
            return detached
        self.table.disconnect(session, now)
        if not session.is_shared:
            return detached + self._log_off(session)
        return [*detached, *self._changed(session), copied(events.SessionDisconnected, session)]

    def log_off(self, session: Session) -> list[Effect]:
        """End the session's programs; the client that shows it learns of the end."""
        return [] if session.is_ending else self._log_off(session)

    def resize(self, session: Session, columns: int, rows: int) -> list[Effect]:
        """The new size reaches records and directory with the next transition: a window that is
        being dragged would write dozens."""
        session.columns, session.rows = columns, rows
        return [Resize(session.session_id, columns, rows)]

    def on_program_ended(self, session_id: int, exit_status: int) -> list[Effect]:
        session = self.table.get(session_id)
        if session is None:
            return []
        if session.is_starting:
            session.exit_status = exit_status
            return []
        effects = _ended(session.viewer, exit_status) if session.viewer else []
        self.table.remove(session)
        if session.is_shared:
            effects.append(Persist(delete=(session.record(),)))
            effects += self.directory.remove(session_id, session.placement, session.user_name)
        return [*effects, copied(events.SessionEnded, session, exit_status=exit_status)]

    def _log_off(self, session: Session) -> list[Effect]:
        self.table.log_off(session)
        told = self.directory.update(session) if session.is_shared else []
        logged_off = copied(events.SessionLoggedOff, session)
        return [*told, EndProgram(session.session_id), logged_off]

    def _changed(self, session: Session) -> list[Effect]:
        return [Persist(put=(session.record(),)), *self.directory.update(session)]


def _sent_away(session: Session, viewer: Client) -> list[Effect]:
    detail = "your session is now shown by another client"
    return [
        Detach(session.session_id),
        Close(viewer.peer, ErrorCode.DISCONNECTED_BY_OTHER, detail, viewer.trace_id),
    ]


def _ended(viewer: Client, exit_status: int) -> list[Effect]:
    return [
        Tell(viewer.peer, SessionEnded(exit_status=exit_status)),
        Close(viewer.peer, ErrorCode.LOGGED_OFF, "the session has ended", viewer.trace_id),
    ]
