"""Sequential models: what one license server would do for one device, and what a farm would show
one user, if everybody waited for their turn."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from msgspec import Struct
from msgspec.structs import replace

from tests.simulation.linearizable import Operation
from tsproto.errors import ErrorCode
from tsproto.limits import DAY_SECONDS, RENEWAL_DAYS
from tsproto.messages import LicenseKind

# License servers' clocks differ from the time of the run.
SLACK_SECONDS = 3_600.0
RENEWAL_SECONDS = RENEWAL_DAYS * DAY_SECONDS


# --- the licenses of one device at one license server -----------------------------------------


class Token(Struct, frozen=True, kw_only=True):
    """`license_id` begins its id, in hex; `lender` is empty for a token that was not borrowed."""

    kind: LicenseKind
    license_id: str
    version: int
    expires_at: float
    validated: bool = True
    lender: str = ""


class Acquire(Struct, frozen=True):
    version: int


class Lend(Struct, frozen=True):
    version: int


class Renew(Struct, frozen=True):
    license_id: str
    version: int
    by_peer: bool


class Validate(Struct, frozen=True):
    """A user has logged on from the device."""


class Done(Struct, frozen=True):
    """The answer to Validate."""


UNSEEN = Token(
    kind=LicenseKind.TEMPORARY, license_id="", version=0, expires_at=math.nan, validated=False
)
"""A temporary token that was issued in an answer that was lost, and never shown since."""


class Licenses(Struct, frozen=True):
    """None, a temporary one, or full ones, each of a version of its own. `was_licensed`: it has, or
    had, a full one."""

    temporary: Token | None = None
    full: frozenset[Token] = frozenset()
    was_licensed: bool = False

    @property
    def may_have_full(self) -> bool:
        return self.was_licensed or (self.temporary is not None and self.temporary.validated)

    @property
    def is_known(self) -> bool:
        return self.was_licensed or self.temporary is not None

    def may_show(self, answer: Token) -> bool:
        """Whether this is its temporary token, raised to a newer version or not, or a first one."""
        if self.temporary is None:
            return not self.was_licensed and not answer.validated
        is_raised = answer.version >= self.temporary.version
        return is_raised and answer == replace(self.temporary, version=answer.version)

    def with_full(self, token: Token, *instead_of: Token) -> Licenses:
        full = (self.full - {*instead_of}) | {token}
        return replace(self, full=full, was_licensed=True)


class LicenseModel:
    """First one temporary token; a full one once that was validated, the same until it ends; near
    its end another end. What has ended is taken back. `tokens` are all that were ever seen: a lost
    answer may have held any of them."""

    def __init__(self, tokens: Collection[Token]) -> None:
        self._tokens = tokens

    def after(self, state: Licenses, operation: Operation) -> Iterator[Licenses]:
        ended = [token for token in state.full if _has_ended(token, operation)]
        if ended:
            state = replace(state, full=state.full - {*ended})
        if operation.answer is None:
            return self._after_unknown(state, operation.call)
        match operation.call:
            case Acquire() | Lend():
                return self._after_acquire(state, operation, operation.call)
            case Renew():
                return self._after_renew(state, operation, operation.call)
            case _:
                return self._after_validate(state, operation)

    def _after_acquire(
        self, state: Licenses, operation: Operation, call: Acquire | Lend
    ) -> Iterator[Licenses]:
        answer, temporary = operation.answer, state.temporary
        has_full = any(
            token.version >= call.version and _lives_on(token, operation) for token in state.full
        )
        is_lent = isinstance(call, Lend)
        match answer:
            case Token() if _has_ended(answer, operation):
                return
            case Token(kind=LicenseKind.FULL):
                if answer in state.full:
                    yield state
                elif not has_full and (is_lent or state.may_have_full):
                    yield state.with_full(answer)
            case Token():
                if not has_full and not is_lent and state.may_show(answer):
                    yield replace(state, temporary=answer)
            case ErrorCode.NO_LICENSE if is_lent:
                if not has_full:
                    yield state
            case ErrorCode.NO_LICENSE:
                goes_on = temporary is not None and _lives_on(temporary, operation)
                if state.is_known and not has_full and not goes_on:
                    yield state

    def _after_renew(
        self, state: Licenses, operation: Operation, call: Renew
    ) -> Iterator[Licenses]:
        answer, temporary = operation.answer, state.temporary
        if isinstance(answer, Token) and answer.kind is LicenseKind.TEMPORARY:
            if temporary == answer and not call.by_peer:
                yield state
        elif isinstance(answer, Token):
            known = [token for token in state.full if token.license_id == answer.license_id]
            if answer in known:
                yield state
            elif known and answer.expires_at > known[0].expires_at:
                near_end = known[0].expires_at - RENEWAL_SECONDS - SLACK_SECONDS
                if operation.returned_at >= near_end:
                    yield state.with_full(answer, known[0])
            elif not known and answer.lender:  # it ended here while its lender was asked
                yield state.with_full(answer)
        else:
            usable = [token for token in state.full if token.version >= call.version]
            is_lenders = call.by_peer or any(token.lender for token in usable)
            lives_on = any(not token.lender and _lives_on(token, operation) for token in usable)
            if is_lenders or not lives_on:
                yield state

    def _after_validate(self, state: Licenses, operation: Operation) -> Iterator[Licenses]:
        temporary = state.temporary
        if operation.answer is ErrorCode.UNKNOWN_LICENSE:
            if not state.is_known:
                yield state
        elif temporary is not None:
            yield replace(state, temporary=replace(temporary, validated=True))
        elif state.was_licensed:
            yield state

    def _after_unknown(self, state: Licenses, call: object) -> Iterator[Licenses]:
        temporary = state.temporary
        match call:
            case Acquire() if not state.is_known:
                first = [t for t in self._tokens if t.kind is LicenseKind.TEMPORARY]
                for token in (*first, UNSEEN):
                    yield replace(state, temporary=replace(token, validated=False))
            case Acquire(version) if state.may_have_full:
                yield from self._with_any_full(state, version)
            case Lend(version):
                yield from self._with_any_full(state, version)
                yield replace(state, was_licensed=True)  # by one that ended unseen
            case Renew(license_id):
                known = [token for token in state.full if token.license_id == license_id]
                for token in self._tokens:
                    if token.license_id == license_id and known:
                        if token.expires_at > known[0].expires_at:
                            yield state.with_full(token, known[0])
            case Validate() if temporary is not None:
                yield replace(state, temporary=replace(temporary, validated=True))

    def _with_any_full(self, state: Licenses, version: int) -> Iterator[Licenses]:
        ids = {token.license_id for token in state.full}
        for token in self._tokens:
            is_new = token.kind is LicenseKind.FULL and token.license_id not in ids
            if is_new and token.version >= version:
                yield state.with_full(token)


def _has_ended(token: Token, operation: Operation) -> bool:
    """Certainly, before the operation was called."""
    return token.expires_at + SLACK_SECONDS < operation.called_at


def _lives_on(token: Token, operation: Operation) -> bool:
    """Certainly, until the operation returned."""
    return token.expires_at - SLACK_SECONDS > operation.returned_at


# --- the sessions of one user, of one application ---------------------------------------------

Session = tuple[str, int]  # its host and id


class LogOn(Struct, frozen=True):
    pass


class End(Struct, frozen=True):
    """Its program has ended, by itself or because its user logged off."""

    session: Session


class Shown(Struct, frozen=True):
    session: Session
    reattached: bool


class Sessions(Struct, frozen=True):
    live: frozenset[Session] = frozenset()
    over: frozenset[Session] = frozenset()

    def started(self, session: Session) -> Sessions:
        return replace(self, live=self.live | {session})


class SessionModel:
    """A logon shows the user's session, or begins one when there is none; nothing else begins one,
    and only its end ends it. In a farm that was `torn`, where hosts, directory or links were away,
    a user may get more of them, and some unseen. `sessions` are all that were ever seen."""

    def __init__(self, sessions: Collection[Session], *, torn: bool) -> None:
        self._sessions = sessions
        self._torn = torn

    def after(self, state: Sessions, operation: Operation) -> Iterator[Sessions]:
        may_begin = self._torn or not state.live
        match operation.call, operation.answer:
            case End(session), _:
                yield Sessions(state.live - {session}, state.over | {session})
            case _, None:
                for session in self._sessions:
                    if may_begin and session not in state.live | state.over:
                        yield state.started(session)
            case _, Shown(session, reattached):
                is_new = session not in state.live | state.over
                if session in state.live and reattached:
                    yield state
                elif is_new and (self._torn if reattached else may_begin):
                    yield state.started(session)
            case _, ErrorCode.TOO_MANY_SESSIONS if may_begin:
                yield state
