"""The link to the session directory: join it, send it every session, keep it up to date.

A terminal server works without it ("fail open"). After each loss of the link the directory is
joined anew and the whole list is sent; changes meanwhile are held back until after the list.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from daemons import events
from daemons.effects import Effect, Endpoint, Failed, Peer, Persist, Randomness, Tell
from daemons.procedures import Procedure, Procedures, Promise, ask, outcome_of
from daemons.statements import Statements
from daemons.terminal_server.sessions import Session, SessionTable
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    Message,
    PasswordStatement,
    PlaceSession,
    Refused,
    RemoveSession,
    SessionPlaced,
    SyncSessions,
    UpdateSession,
    UserProof,
)

# Changes that may be held back while the list is sent, a matter of a second; more means that the
# list is out of date, and is sent anew.
HELD_BACK_MAX = 4_096

M = TypeVar("M", bound=Message)


class NotJoined(Exception):
    """The directory was not joined, or is no longer: this server joins again after a pause."""

    def __init__(self, code: ErrorCode, detail: str, retry_seconds: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_seconds = retry_seconds


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
        rng: Randomness,
        statements: Statements,
    ) -> None:
        self._statements = statements
        self.endpoint = endpoint
        self.is_ready = False
        self._join = join
        self._name = name
        self._table = table
        self._procedures = procedures
        self._do = procedures.do
        self._rng = rng
        self._peer: Peer | None = None
        self._pause_seconds = limits.REJOIN_SECONDS
        self._rejoin_at: float | None = None
        self._joined: Promise[None] = Promise()  # settled when an attempt has come to its end
        self._held_back: list[Message] | None = None  # while the list is being sent

    def on_start(self, now: float) -> list[Effect]:
        return self._begin_to_join(now)

    def on_peer_opened(self, peer: Peer) -> None:
        if peer.dialled == self.endpoint:
            self._peer = peer

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if self._peer is None or peer.link != self._peer.link:
            return []
        self._peer = None
        if self._rejoin_at is not None:
            return []
        lost = NotJoined(ErrorCode.CONNECTION_LOST, "the link to it broke")
        return self._rejoin_later(lost, now)

    def next_deadline(self) -> float | None:
        return self._rejoin_at

    def on_deadline(self, now: float) -> list[Effect]:
        if self._rejoin_at is None or now < self._rejoin_at:
            return []
        return self._begin_to_join(now)

    # --- questions ----------------------------------------------------------------------------

    def ask(
        self, question: Message, answer: type[M], seconds: float
    ) -> Procedure[M | Refused | Failed]:
        """Ask the directory; if it has forgotten this server, join at once and ask again.

        After a second NOT_JOINED, or silence, which would hold up every logon, nothing is asked
        until the directory is joined anew. A refusal does not hold: callers that place a session
        decide for themselves after any Refused or Failed (fail open), also TOO_MANY_SESSIONS.
        """
        unavailable = Failed(ErrorCode.DIRECTORY_UNAVAILABLE, "the session directory is away")
        if self.endpoint is None or not self.is_ready:
            return unavailable
        outcome = yield from ask(self.endpoint, question, answer, seconds)
        if isinstance(outcome, Refused) and outcome.code is ErrorCode.NOT_JOINED:
            yield from self._join_again()
            if not self.is_ready:
                return unavailable
            again = msgspec.structs.replace(question, request_id=0)
            outcome = yield from ask(self.endpoint, again, answer, seconds)
        if isinstance(outcome, Refused | Failed) and self.is_ready:
            if outcome.code in (ErrorCode.NOT_JOINED, ErrorCode.UNANSWERED):
                failure = NotJoined(outcome.code, outcome.detail)
                self._do(*self._rejoin_later(failure, self._procedures.now))
        return outcome

    def _join_again(self) -> Procedure[None]:
        """Join the directory, or wait for the attempt that is under way. Returns at once while a
        pause after a failed attempt lasts."""
        if self._rejoin_at is not None:
            return
        joined = self._joined
        if self.is_ready:
            self.is_ready = False
            forgotten = NotJoined(ErrorCode.NOT_JOINED, "it does not know this server any more")
            self._do(self._not_joined(forgotten, 0.0))
            self._do(*self._begin_to_join(self._procedures.now))
        yield from outcome_of(joined)

    def worth_keeping(self, proof: UserProof | None) -> UserProof | None:
        """A proof that a directory may want to see later; None in a farm of one."""
        return None if self.endpoint is None else proof

    # --- changes ------------------------------------------------------------------------------

    def update(self, session: Session) -> list[Effect]:
        return self._tell(UpdateSession(session=session.row(self._name)))

    def remove(self, session_id: int, placement: int, user_name: str) -> list[Effect]:
        """A session has ended, or (`session_id` 0) a placement came to nothing."""
        if not session_id and not placement:
            return []
        return self._tell(
            RemoveSession(session_id=session_id, placement=placement, user_name=user_name)
        )

    def tell_password(self, statement: PasswordStatement) -> list[Effect]:
        """A user has changed their password here. Told after each join too."""
        return self._tell(statement)

    def _tell(self, change: Message) -> list[Effect]:
        if self._peer is None:
            return []
        if self._held_back is not None:
            if len(self._held_back) <= HELD_BACK_MAX:
                self._held_back.append(change)
            return []
        return [Tell(self._peer, change)] if self.is_ready else []

    # --- joining ------------------------------------------------------------------------------

    def _begin_to_join(self, now: float) -> list[Effect]:
        if self.endpoint is None:
            return []
        self._rejoin_at = None
        return self._procedures.start(self.endpoint, self._join_and_send(self.endpoint), now)

    def _join_and_send(self, endpoint: Endpoint) -> Procedure[None]:
        """Join, send the whole list, then the changes that were held back meanwhile."""
        try:
            yield from self._demand(endpoint, msgspec.structs.replace(self._join), Joined)
            rows = [session.row(self._name) for session in self._table.shared()]
            held_back: list[Message] = []
            self._held_back = held_back
            self._do(events.DirectoryJoined(sessions=len(rows)))
            # One part at a time: requests in flight on a link are limited.
            for start in range(0, max(len(rows), 1), limits.SESSIONS_PER_MESSAGE):
                end = start + limits.SESSIONS_PER_MESSAGE
                part = SyncSessions(sessions=rows[start:end], last=end >= len(rows))
                yield from self._demand(endpoint, part, Done)
                if len(held_back) > HELD_BACK_MAX:
                    detail = f"more than {HELD_BACK_MAX} changes came while it took the list"
                    raise NotJoined(ErrorCode.BUSY, detail)
        except NotJoined as failure:
            self._do(*self._rejoin_later(failure, self._procedures.now))
            return
        self._held_back = None
        self.is_ready = True
        self._pause_seconds = limits.REJOIN_SECONDS
        self._do(events.DirectoryReady())
        for change in [*held_back, *self._statements.kept()]:
            self._do(*self._tell(change))
        self._do(*self._end_attempt(self._procedures.now))
        yield from self._get_receipts(endpoint)

    def _get_receipts(self, endpoint: Endpoint) -> Procedure[None]:
        """Show the directory the proofs of sessions that began without it. A refusal is told; the
        session then gets a receipt when its user logs on again."""
        for session in self._table.shared():
            proof = session.proof
            if proof is None:
                continue
            question = PlaceSession(
                user_name=session.user_name,
                application=session.application,
                proof=[proof],
                session_id=session.session_id,
            )
            placed = yield from ask(endpoint, question, SessionPlaced, limits.REQUEST_SECONDS)
            if isinstance(placed, Failed):
                return
            session.proof = None
            if isinstance(placed, Refused):
                refused = events.ReceiptRefused(
                    session_id=session.session_id, code=placed.code, detail=placed.detail
                )
                self._do(refused)
            elif self._table.get(session.session_id) is session:
                session.on_placed(placed.placement, placed.receipt)
                self._do(Persist(put=(session.record(),)), *self.update(session))

    def _demand(self, endpoint: Endpoint, request: Message, answer: type[M]) -> Procedure[None]:
        """Ask while joining; raises NotJoined for any answer but this."""
        outcome = yield from ask(endpoint, request, answer, limits.REQUEST_SECONDS)
        match outcome:
            case Refused():
                raise NotJoined(outcome.code, outcome.detail, outcome.retry_after_seconds)
            case Failed():
                raise NotJoined(outcome.code, outcome.detail)

    def _rejoin_later(self, failure: NotJoined, now: float) -> list[Effect]:
        """Pauses double from REJOIN_SECONDS to REJOIN_SECONDS_MAX; each is cut by up to a half at
        random, so that the servers of a farm do not come back in one instant."""
        self.is_ready = False
        self._held_back = None
        shortened = self._pause_seconds * (1.0 - self._rng.random() / 2)
        pause = max(shortened, float(failure.retry_seconds))
        self._pause_seconds = min(2 * self._pause_seconds, limits.REJOIN_SECONDS_MAX)
        self._rejoin_at = now + pause
        return [
            *self._procedures.stop(self.endpoint, now),
            self._not_joined(failure, pause),
            *self._end_attempt(now),
        ]

    def _not_joined(self, failure: NotJoined, pause_seconds: float) -> Effect:
        assert self.endpoint is not None
        return events.DirectoryNotJoined.to(
            self.endpoint, failure.code, failure.detail, pause_seconds=pause_seconds
        )

    def _end_attempt(self, now: float) -> list[Effect]:
        joined, self._joined = self._joined, Promise()
        return self._procedures.settle(joined, None, now)
