"""The link to the session directory: join it, tell it every session, keep it true.

A terminal server works without it ("fail open"), so nothing here is waited for. After each loss the
link is joined anew and the whole list is sent; changes during that are held back until after it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from daemons.effects import Ask, Effect, Endpoint, Failed, Note, Outcome, Peer, Randomness, Tell
from daemons.procedures import Procedure, Procedures, Promise, ask, outcome_of
from daemons.terminal_server.sessions import Session, SessionTable
from daemons.terminal_server.tickets import Tickets
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    Message,
    Refused,
    RemoveSession,
    SessionRow,
    SyncSessions,
    UpdateSession,
)

# Changes that may be held back while the list is sent, a matter of a second; more means that the
# list is out of date, and is sent anew.
HELD_BACK_MAX = 4_096

M = TypeVar("M", bound=Message)


class DirectoryLink:
    """`endpoint` None is a farm of one: every call does nothing."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        join: JoinFarm,
        *,
        name: str,
        table: SessionTable,
        procedures: Procedures,
        tickets: Tickets,
        rng: Randomness,
    ) -> None:
        self.endpoint = endpoint
        self._join = join
        self._name = name
        self._table = table
        self._procedures = procedures
        self._tickets = tickets
        self._rng = rng
        self._peer: Peer | None = None
        self._pause_seconds = limits.REJOIN_SECONDS
        self._rejoin_at: float | None = None
        self._ticket = 0
        self._unsent: list[SessionRow] = []
        self._is_synchronizing = False
        self._held_back: list[Message] = []
        self._joined: Promise[None] = Promise()
        self.is_ready = False

    def on_start(self) -> list[Effect]:
        return self._ask_to_join()

    def on_peer_opened(self, peer: Peer) -> None:
        if peer.dialled == self.endpoint:
            self._peer = peer

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if self._peer is None or peer.link != self._peer.link:
            return []
        self._peer = None
        return (
            []
            if self._rejoin_at is not None
            else self._rejoin_later(ErrorCode.CONNECTION_LOST, 0, now)
        )

    def on_no_help(self, outcome: Outcome, now: float) -> list[Effect]:
        """What a request came to that the directory did not fulfil. One that says NOT_JOINED has
        forgotten this host, and one that is silent would hold up every logon: neither is ready
        before it was joined again."""
        code = getattr(outcome, "code", None)
        if code not in (ErrorCode.NOT_JOINED, ErrorCode.UNANSWERED) or not self.is_ready:
            return []
        return self._rejoin_later(code, 0, now)

    @property
    def is_asked(self) -> bool:
        return self.endpoint is not None and self.is_ready

    def ask(
        self, question: Message, answer: type[M], seconds: float
    ) -> Procedure[M | Refused | Failed]:
        """Ask; where it says NOT_JOINED, join without a pause and ask once more."""
        away = Failed(ErrorCode.DIRECTORY_UNAVAILABLE, "the session directory is away")
        if self.endpoint is None or not self.is_ready:
            return away
        outcome = yield from ask(self.endpoint, question, answer, seconds)
        if isinstance(outcome, Refused) and outcome.code is ErrorCode.NOT_JOINED:
            yield from self._rejoined()
            if not self.is_ready:
                return away
            again = msgspec.structs.replace(question, request_id=0)
            outcome = yield from ask(self.endpoint, again, answer, seconds)
        self._procedures.do(*self.on_no_help(outcome, self._procedures.now))
        return outcome

    def _rejoined(self) -> Procedure[None]:
        """Wait until it was joined again, or that has failed; not where it has just failed."""
        if self._rejoin_at is not None:
            return
        joined = self._joined
        if self.is_ready:
            self.is_ready = False
            fields = {"code": ErrorCode.NOT_JOINED.name, "pause_seconds": 0}
            self._procedures.do(Note("directory.not_joined", fields), *self._ask_to_join())
        yield from outcome_of(joined)

    def next_deadline(self) -> float | None:
        return self._rejoin_at

    def on_deadline(self, now: float) -> list[Effect]:
        if self._rejoin_at is None or now < self._rejoin_at:
            return []
        return self._ask_to_join()

    def update(self, session: Session) -> list[Effect]:
        return self._send(UpdateSession(session=session.row(self._name)))

    def remove(self, session_id: int, placement: int, user_name: str) -> list[Effect]:
        """A session has ended, or (`session_id` 0) a placement came to nothing."""
        if not session_id and not placement:
            return []
        return self._send(
            RemoveSession(session_id=session_id, placement=placement, user_name=user_name)
        )

    def _send(self, message: Message) -> list[Effect]:
        if self._peer is None:
            return []
        if self._is_synchronizing:
            # Beyond the limit nothing is kept: the list will be sent anew, see _send_part.
            if len(self._held_back) <= HELD_BACK_MAX:
                self._held_back.append(message)
            return []
        return [Tell(self._peer, message)] if self.is_ready else []

    # --- joining ------------------------------------------------------------------------------

    def _ask_to_join(self) -> list[Effect]:
        if self.endpoint is None:
            return []
        self._rejoin_at = None
        self._ticket = self._tickets.open(self._on_join_answered)
        join = msgspec.structs.replace(self._join)
        return [Ask(self.endpoint, join, self._ticket, limits.REQUEST_SECONDS)]

    def _on_join_answered(self, outcome: Outcome, now: float) -> list[Effect]:
        if not isinstance(outcome, Joined):
            return self._not_joined(outcome, now)
        self._is_synchronizing = True
        self._held_back = []
        self._unsent = [session.row(self._name) for session in self._table.shared()]
        joined = Note("directory.joined", {"sessions": len(self._unsent)})
        return [joined, *self._send_part(now)]

    def _send_part(self, now: float) -> list[Effect]:
        """One part at a time: requests in flight on a link are limited."""
        assert self.endpoint is not None
        if len(self._held_back) > HELD_BACK_MAX:
            return self._rejoin_later(ErrorCode.BUSY, 0, now)
        part = self._unsent[: limits.SESSIONS_PER_MESSAGE]
        self._unsent = self._unsent[limits.SESSIONS_PER_MESSAGE :]
        is_last = not self._unsent
        self._ticket = self._tickets.open(self._on_last_done if is_last else self._on_part_done)
        sync = SyncSessions(sessions=part, last=is_last)
        return [Ask(self.endpoint, sync, self._ticket, limits.REQUEST_SECONDS)]

    def _on_part_done(self, outcome: Outcome, now: float) -> list[Effect]:
        return self._send_part(now) if isinstance(outcome, Done) else self._not_joined(outcome, now)

    def _on_last_done(self, outcome: Outcome, now: float) -> list[Effect]:
        if not isinstance(outcome, Done) or len(self._held_back) > HELD_BACK_MAX:
            return self._not_joined(outcome, now)
        held_back, self._held_back = self._held_back, []
        self._is_synchronizing = False
        self.is_ready = True
        self._pause_seconds = limits.REJOIN_SECONDS
        effects: list[Effect] = [Note("directory.ready")]
        for message in held_back:
            effects += self._send(message)
        return [*effects, *self._after_joining(now)]

    def _not_joined(self, outcome: Outcome, now: float) -> list[Effect]:
        code = getattr(outcome, "code", ErrorCode.BUSY)
        wait = outcome.retry_after_seconds if isinstance(outcome, Refused) else 0
        return self._rejoin_later(code, wait, now)

    def _rejoin_later(self, code: ErrorCode, wait_seconds: float, now: float) -> list[Effect]:
        """Pauses double from REJOIN_SECONDS to REJOIN_SECONDS_MAX; each is cut by up to a half at
        random, so that a farm does not come back in one instant."""
        self.is_ready = False
        self._is_synchronizing = False
        self._unsent = []
        self._held_back = []
        self._tickets.withdraw(self._ticket)
        pause = max(self._pause_seconds * (1.0 - self._rng.random() / 2), wait_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, limits.REJOIN_SECONDS_MAX)
        self._rejoin_at = now + pause
        note = Note("directory.not_joined", {"code": code.name, "pause_seconds": pause})
        return [note, *self._after_joining(now)]

    def _after_joining(self, now: float) -> list[Effect]:
        joined, self._joined = self._joined, Promise()
        return self._procedures.settle(joined, None, now)
