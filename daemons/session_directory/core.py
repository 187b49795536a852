"""The session directory as a core: `farm` lets terminal servers join and takes their sessions,
`placement` says where a user's session is.

After a start the directory knows no session, and logons go on all the same: a user whose terminal
server has not sent its sessions yet is placed as if there were none. A refusal would only make the
asking terminal server do the same without a reservation. Such placements are logged as unsure for
`server_lost_seconds`. A user who then owns two sessions is led to the newest active one. The same
holds for a user whose terminal server is LOST or SYNCHRONIZING.
"""

from __future__ import annotations

from daemons import events
from daemons.effects import (
    Answer,
    Caller,
    Close,
    Durable,
    Effect,
    Outcome,
    Peer,
    Persist,
    Randomness,
    Records,
    Tell,
    earliest,
    records_of,
)
from daemons.procedures import Procedures
from daemons.session_directory.farm import Farm
from daemons.session_directory.placement import Placer
from daemons.session_directory.proofs import AccountOf, Proofs
from daemons.session_directory.receipts import Receipts
from daemons.session_directory.records import DirectoryRecord
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import SessionIndex
from daemons.settings import SessionDirectorySettings
from daemons.statements import Statements
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Message

SECRET_BYTES = 32


class SessionDirectoryCore:
    """One process of the directory; `generation` is new with each. `account_of` is None for a
    directory without accounts."""

    def __init__(
        self,
        settings: SessionDirectorySettings,
        *,
        name: str,
        rng: Randomness,
        records: Records,
        account_of: AccountOf | None,
    ) -> None:
        self.name = name
        self._procedures = Procedures()
        self._keeps_accounts = account_of is not None
        self._statements = Statements(self._procedures, records, self._tell_all, keeps_told=True)
        self.generation = rng.randbytes(16)
        known = records_of(DirectoryRecord, records)
        self._is_new = not known
        fresh = DirectoryRecord(name=name, secret=rng.randbytes(SECRET_BYTES))
        self._own = known[0] if known else fresh
        receipts = Receipts(self._own)
        self._sessions = SessionIndex()
        self._reservations = Reservations(settings.reservation_seconds)
        self._farm = Farm(settings, self.generation, self._sessions, self._reservations, receipts)
        self._placer = Placer(
            self._farm,
            self._sessions,
            self._reservations,
            receipts,
            Proofs(settings.farm, account_of),
            unsure_seconds=settings.server_lost_seconds,
        )

    def on_start(self, now: float) -> list[Effect]:
        self._placer.start(now)
        return [Persist(put=(self._own,))] if self._is_new else []

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        return []

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        # The timer may be late: what has expired is removed before anything is decided.
        due = self.next_deadline()
        if due is not None and due <= now:
            return [*self.on_deadline(now), *self._on_message(caller, message, now)]
        return self._on_message(caller, message, now)

    def _on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        match message:
            case messages.PlaceSession():
                return self._placer.place(caller, message, now)
            case messages.UpdateSession():
                return self._farm.update_session(caller.peer, message.session, now)
            case messages.JoinFarm():
                return self._farm.join(caller, message, now)
            case messages.SyncSessions():
                return self._synchronize(caller, message, now)
            case messages.RemoveSession():
                return self._farm.remove_session(caller.peer, message)
            case messages.PasswordStatement():
                return self._on_password(caller.peer, message, now)
            case messages.AccountStatement() if self._keeps_accounts:
                return self._statements.on_account(caller, message, now)
            case messages.AccountStatement():  # one account that it has not is as good as none
                return [Answer(caller, messages.Done())]
            case messages.QuerySessions():
                return self._query_sessions(caller, message)
            case messages.QueryServers():
                return [Answer(caller, messages.Servers(servers=self._farm.rows()))]
            case _:
                return [Close(caller.peer, ErrorCode.OUT_OF_ORDER)]

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        return self._procedures.on_answer(question_id, outcome, now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        return self._farm.lose(peer, now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return []

    def next_deadline(self) -> float | None:
        return earliest(self._farm.next_deadline(), self._reservations.next_deadline())

    def on_deadline(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self._farm.expire(now):
            effects.append(events.ServerRemoved(server=name))
        for reservation in self._reservations.expire(now):
            effects.append(
                events.ReservationExpired(
                    server=reservation.server, user_name=reservation.user_name
                )
            )
        return effects

    def durable(self) -> Durable:
        return Durable(frozenset([self._own, *self._statements.rows()]))

    # --- changed passwords ------------------------------------------------------------------------

    def _on_password(
        self, peer: Peer, statement: messages.PasswordStatement, now: float
    ) -> list[Effect]:
        if not self._keeps_accounts or self._farm.joined_over(peer) is None:
            return []
        return self._statements.on_password(statement, now)

    def _tell_all(self, statement: messages.PasswordStatement) -> list[Effect]:
        return [Tell(peer, statement) for peer in self._farm.peers()]

    def _synchronize(
        self, caller: Caller, message: messages.SyncSessions, now: float
    ) -> list[Effect]:
        """Tells a terminal server that becomes READY what it may have missed."""
        name = caller.peer.name
        was_ready = self._farm.ready(name) is not None
        effects = self._farm.synchronize(caller, message, now)
        if not was_ready and self._farm.ready(name) is not None:
            effects += [Tell(caller.peer, statement) for statement in self._statements.kept()]
        return effects

    # --- what administrators ask ------------------------------------------------------------------

    def _query_sessions(self, caller: Caller, query: messages.QuerySessions) -> list[Effect]:
        rows, more = self._sessions.page(
            query.user_name, query.after_host, query.after_id, limits.PAGE_ROWS
        )
        return [Answer(caller, messages.Sessions(sessions=rows, more=more))]
