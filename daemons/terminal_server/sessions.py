"""The sessions of this server, and the transitions of one.

A session is CONNECTED while its program is being started, ACTIVE while a client shows it,
DISCONNECTED while it runs without one, RESET while it is being logged off.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from daemons.copied import copied
from daemons.effects import Peer, ProgramFailed, ProgramStarted
from daemons.procedures import Promise
from daemons.terminal_server.client import Client, User
from daemons.terminal_server.records import SessionRecord
from tsproto.messages import SessionEnded, SessionRow, SessionState, UserProof

# SessionEnded: the program ended before its start was reported.
StartOutcome: TypeAlias = ProgramStarted | ProgramFailed | SessionEnded


class Session(msgspec.Struct, kw_only=True, eq=False):
    """A user's work on this server. Times are Unix seconds; `disconnected_at` 0 means that a client
    shows it. A session with a `command` belongs to its connection alone.

    `proof` is kept, in memory alone, until the directory has given a receipt for it.

    `starting` is there while the program is being started, and settled with the outcome;
    `exit_status` is set when the program ended before its start was reported.
    """

    session_id: int
    user_name: str
    system_user: str
    application: str
    command: str = ""
    created_at: int
    state: SessionState = SessionState.CONNECTED
    disconnected_at: int = 0
    placement: int = 0
    columns: int
    rows: int
    device_id: bytes = b""
    device_name: str = ""
    attachment: int = 0
    generation: int = 0
    receipt: bytes = b""
    proof: UserProof | None = None
    viewer: Client | None = None
    starting: Promise[StartOutcome] | None = None
    exit_status: int | None = None

    @property
    def is_starting(self) -> bool:
        return self.state is SessionState.CONNECTED

    @property
    def is_ending(self) -> bool:
        return self.state is SessionState.RESET

    @property
    def is_shared(self) -> bool:
        """Whether other connections of its user may come to it, and the directory knows it."""
        return not self.command

    def is_open_to(self, user: User) -> bool:
        """Whether it is this user's, as the system user that their account names now."""
        return self.belongs_to(user.user_name) and self.system_user == user.system_user

    def belongs_to(self, user_name: str) -> bool:
        return self.is_shared and not self.is_ending and self.user_name == user_name

    def on_placed(self, placement: int, receipt: bytes) -> None:
        """Keep the latest placement with which the directory led a client here; 0 is none."""
        if receipt and placement >= self.placement:
            self.placement, self.receipt, self.proof = placement, receipt, None

    def show(self, viewer: Client, generation: int) -> None:
        """Let this client show it; `generation` is of its user's account."""
        self.state = SessionState.ACTIVE
        self.disconnected_at = 0
        self.viewer = viewer
        self.columns, self.rows = viewer.columns, viewer.rows
        self.device_id, self.device_name = viewer.device_id, viewer.device_name
        self.generation = generation
        if self.is_shared:
            self.attachment += 1

    def disconnect(self, now: float) -> None:
        self.state = SessionState.DISCONNECTED
        self.disconnected_at = int(now)
        self.viewer = None

    def record(self) -> SessionRecord:
        return copied(SessionRecord, self)

    def row(self, server: str) -> SessionRow:
        return copied(SessionRow, self, host=server)


def restored(record: SessionRecord, now: float) -> Session:
    """A session that the keeper kept while the daemon was away: no client shows it any more."""
    session = copied(Session, record)
    if session.state is not SessionState.DISCONNECTED or not session.disconnected_at:
        session.disconnect(now)
    return session


class SessionTable:
    """All sessions, those that start or end included, by id, by user, and by the link that shows
    them."""

    def __init__(self) -> None:
        self._by_id: dict[int, Session] = {}
        self._by_user: dict[tuple[str, str], Session] = {}
        self._by_link: dict[int, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def rows(self) -> list[SessionRecord]:
        return [s.record() for s in self._by_id.values() if s.is_shared and not s.is_starting]

    def get(self, session_id: int) -> Session | None:
        return self._by_id.get(session_id)

    def find(self, user_name: str, application: str) -> Session | None:
        """The user's one session for an application, unless it is being logged off."""
        return self._by_user.get((user_name, application))

    def shown_to(self, peer: Peer) -> Session | None:
        return self._by_link.get(peer.link)

    def add(self, session: Session) -> None:
        self._by_id[session.session_id] = session
        if session.is_shared:
            self._by_user[session.user_name, session.application] = session

    def show(self, session: Session, viewer: Client, generation: int) -> None:
        self._forget_viewer(session)
        session.show(viewer, generation)
        self._by_link[viewer.peer.link] = session

    def disconnect(self, session: Session, now: float) -> None:
        self._forget_viewer(session)
        session.disconnect(now)

    def log_off(self, session: Session) -> None:
        """No client can come to it any more; the one that shows it sees its end."""
        session.state = SessionState.RESET
        self._forget_user(session)

    def abandon(self, session: Session) -> None:
        """The client of a session that is being logged off is gone."""
        self._forget_viewer(session)
        session.viewer = None

    def remove(self, session: Session) -> None:
        del self._by_id[session.session_id]
        self._forget_user(session)
        self._forget_viewer(session)

    def ordered(self) -> list[Session]:
        return [self._by_id[session_id] for session_id in sorted(self._by_id)]

    def shared(self) -> list[Session]:
        """The sessions that the directory knows: started, and not bound to one connection."""
        return [s for s in self.ordered() if s.is_shared and not s.is_starting]

    def _forget_user(self, session: Session) -> None:
        key = (session.user_name, session.application)
        if self._by_user.get(key) is session:
            del self._by_user[key]

    def _forget_viewer(self, session: Session) -> None:
        if session.viewer is not None:
            self._by_link.pop(session.viewer.peer.link, None)
