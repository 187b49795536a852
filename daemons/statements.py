"""Statements about accounts that reach a daemon: have them stored, and pass on changed passwords.

An administrator states accounts to each host. A user changes the password at one host, which tells
the session directory, which tells the other hosts. Nobody acknowledges what is passed on: a
terminal server and its directory tell each other the changes they keep whenever they have joined,
and what is known already changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from daemons import events
from daemons.copied import copied
from daemons.effects import (
    Answer,
    Caller,
    Effect,
    NotTaken,
    Persist,
    Record,
    Records,
    Take,
    Taken,
    records_of,
)
from daemons.procedures import Procedure, Procedures, Promise, outcome_of, take
from tsproto import limits
from tsproto.messages import AccountStatement, Done, PasswordStatement, Refused
from tsproto.statements import Standing

OF_ONE_USER_MAX = 8  # so that one user cannot push out the changes of others
OPEN_MAX = limits.STATEMENTS_KEPT_MAX  # a peer tells as many after it has joined


class PasswordRecord(Record, table="changed_passwords", key=("user_name", "generation")):
    """A PasswordStatement that other hosts may not have seen yet."""

    user_name: str
    generation: int
    public_key: bytes
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    signature: bytes


class Statements:
    """Of one core. `pass_on` tells others a changed password; `keeps_told` is whether one that a
    peer tells is kept and passed on too."""

    def __init__(
        self,
        procedures: Procedures,
        records: Records,
        pass_on: Callable[[PasswordStatement], list[Effect]],
        *,
        keeps_told: bool,
    ) -> None:
        self._procedures = procedures
        self._pass_on = pass_on
        self._keeps_told = keeps_told
        kept = sorted(records_of(PasswordRecord, records), key=lambda each: each.generation)
        self._kept = {(each.user_name, each.generation): each for each in kept}
        self._open = 0  # statements told by peers that are not judged yet
        self._last_owner = 0

    def rows(self) -> list[PasswordRecord]:
        return list(self._kept.values())

    def kept(self) -> list[PasswordStatement]:
        """In the order of their generations: a later one of a user needs the earlier one."""
        ordered = sorted(self._kept.values(), key=lambda each: each.generation)
        return [copied(PasswordStatement, each) for each in ordered]

    def on_account(self, caller: Caller, statement: AccountStatement, now: float) -> list[Effect]:
        return self._procedures.start(caller, self._answer(caller, statement), now)

    def on_password(self, statement: PasswordStatement, now: float) -> list[Effect]:
        """A peer tells it. One that is too much is told again after the next join."""
        if self._open >= OPEN_MAX:
            return []
        return self._procedures.start(self._owner(), self._take_told(statement), now)

    def change(self, statement: PasswordStatement) -> Procedure[Taken | NotTaken]:
        """A client states it. It is passed on also when the client leaves meanwhile."""
        outcome: Promise[Taken | NotTaken] = Promise()
        procedures = self._procedures
        taking = self._take_from_client(statement, outcome)
        procedures.do(*procedures.start(self._owner(), taking, procedures.now))
        return (yield from outcome_of(outcome))

    def _owner(self) -> Hashable:
        self._last_owner += 1
        return Statements, self._last_owner

    def _answer(self, caller: Caller, statement: AccountStatement) -> Procedure[None]:
        taken = yield from take(lambda question_id: Take(statement, question_id))
        if isinstance(taken, NotTaken):
            refused = Refused(code=taken.code, detail=taken.detail)
            event = events.AccountRefused(
                peer=caller.peer.name, code=taken.code, detail=taken.detail
            )
            self._procedures.do(Answer(caller, refused), event)
            return
        if taken.standing is Standing.NEW:
            self._procedures.do(events.AccountStated(administrator=caller.peer.name))
        self._procedures.do(Answer(caller, Done()))

    def _take_from_client(
        self, statement: PasswordStatement, outcome: Promise[Taken | NotTaken]
    ) -> Procedure[None]:
        taken = yield from self._taken(statement)
        if isinstance(taken, Taken) and taken.standing is not Standing.OVERTAKEN:
            self._keep_and_pass_on(statement)
        do, now = self._procedures.do, self._procedures.now
        do(*self._procedures.settle(outcome, taken, now))

    def _take_told(self, statement: PasswordStatement) -> Procedure[None]:
        self._open += 1
        try:
            taken = yield from self._taken(statement)
        finally:
            self._open -= 1
        if isinstance(taken, NotTaken):
            event = events.PasswordRefused(
                user_name=statement.user_name, code=taken.code, detail=taken.detail
            )
            self._procedures.do(event)
        elif self._keeps_told and taken.standing is not Standing.OVERTAKEN:
            self._keep_and_pass_on(statement)

    def _taken(self, statement: PasswordStatement) -> Procedure[Taken | NotTaken]:
        taken = yield from take(lambda question_id: Take(statement, question_id))
        if isinstance(taken, Taken) and taken.standing is Standing.NEW:
            self._procedures.do(events.PasswordChanged(user_name=statement.user_name))
        return taken

    def _keep_and_pass_on(self, statement: PasswordStatement) -> None:
        if (statement.user_name, statement.generation) not in self._kept:
            self._procedures.do(self._keep(statement), *self._pass_on(statement))

    def _keep(self, statement: PasswordStatement) -> Persist:
        """Of too many the oldest gives way: the user's own, or else of all."""
        record = copied(PasswordRecord, statement)
        own = [key for key in self._kept if key[0] == record.user_name]
        gone = [self._kept.pop(own[0])] if len(own) >= OF_ONE_USER_MAX else []
        if len(self._kept) >= limits.STATEMENTS_KEPT_MAX:
            gone.append(self._kept.pop(next(iter(self._kept))))
        self._kept[record.user_name, record.generation] = record
        return Persist(put=(record,), delete=tuple(gone))
