"""The logon phase of one client's link: have the keeper prove the user, find their session, and
show it here or send the client there.

The link has one thing under way at a time, and the client may try again after a refusal.
"""

from __future__ import annotations

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import (
    Challenge,
    Challenged,
    Close,
    NotProved,
    NotTaken,
    PamAnswer,
    Prompted,
    Prove,
    Proved,
    Tell,
)
from daemons.procedures import Procedure, Procedures, challenge, prove
from daemons.refusal import Refusal
from daemons.statements import Statements
from daemons.terminal_server.client import Client, User
from daemons.terminal_server.destinations import Destinations
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.penalties import Attempt, Penalties
from daemons.terminal_server.sessions import Session
from daemons.terminal_server.validation import Validations
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    ChangePassword,
    LogonChallenge,
    LogonProof,
    LogonRefused,
    LogonStart,
    PamAnswers,
    PamPrompt,
    PamQuestion,
    PasswordChanged,
    PasswordStatement,
    Redirect,
    UserProof,
)
from tsproto.statements import Standing
from tsproto.user_proof import Asked, Method, normal

# Logons on one connection, of any method: a client tries its keys, then passwords; a busy server
# makes it repeat some.
LOGONS_MAX = 16
WRONG_PASSWORD = "user name or password is wrong"


class NotProvedRefusal(Refusal):
    """The one refusal that uses up an attempt."""


class Overtaken(Exception):
    """Another device has shown the session since: this one does not take it back by itself."""


class Logon(msgspec.Struct, eq=False, kw_only=True):
    """The logon phase of every client."""

    procedures: Procedures
    lifecycle: Lifecycle
    destinations: Destinations
    validations: Validations
    statements: Statements
    penalties: Penalties

    def log_on(self, client: Client) -> Procedure[None]:
        """Take logons until the client shows a session, was redirected, or was sent away."""
        attempts_left = limits.LOGON_ATTEMPTS
        for _ in range(LOGONS_MAX):
            start = yield from client.inbox.hear(LogonStart)
            try:
                user = yield from self._prove(client, start)
                if user is None:
                    return  # the password was changed
                found: Session | Redirect | None = self._resumed(user)
                if found is None and user.is_device_alone:
                    raise _nothing_to_resume(client)
                if found is None:
                    found = yield from self.destinations.find(client, user)
                if isinstance(found, Redirect):
                    self._redirect(client, found)
                elif (yield from self.lifecycle.show(client, found, user)):
                    now = self.procedures.now
                    self.procedures.do(*self.validations.on_logon(client, found.user_name, now))
                return
            except Overtaken as overtaken:
                code = ErrorCode.DISCONNECTED_BY_OTHER
                close = Close(client.peer, code, str(overtaken), client.trace_id)
                self.procedures.do(close)
                return
            except Refusal as refusal:
                attempts_left -= isinstance(refusal, NotProvedRefusal)
                self._refuse(client, start, refusal, attempts_left)
            if not attempts_left:
                break
        else:
            yield from client.inbox.hear(LogonStart)  # the one that is too many
        detail = (
            f"too many logons failed on this connection; connect again; trace {client.trace_id}"
        )
        self.procedures.do(Close(client.peer, ErrorCode.TOO_MANY_ATTEMPTS, detail, client.trace_id))

    # --- the proof --------------------------------------------------------------------------------

    def _prove(self, client: Client, start: LogonStart) -> Procedure[User | None]:
        """Challenge the client, and have the keeper judge its proof; None when it has changed the
        password instead. Raises Refusal."""
        challenged = yield from challenge(
            lambda question_id: Challenge(
                start.user_name,
                client.device_id,
                client.peer.certificate,
                tuple(start.key_fingerprints),
                question_id,
                client.peer.host,
                start.session_id,
                start.attachment,
            )
        )
        if isinstance(challenged, NotProved):
            raise _refusal(client, challenged)
        self.procedures.do(Tell(client.peer, copied(LogonChallenge, challenged)))
        proof = yield from client.inbox.hear_either(LogonProof, ChangePassword)
        attempt = Attempt(normal(start.user_name), client.peer.host, client.device_id)
        if seconds := self.penalties.delay(attempt, self.procedures.now):
            detail = f"too many logons failed; wait {seconds} s; trace {client.trace_id}"
            raise Refusal(ErrorCode.LOGON_BUSY, detail, retry_after_seconds=seconds)
        if isinstance(proof, ChangePassword):
            yield from self._change_password(client, start, proof, attempt)
            return None
        client.columns, client.rows = proof.columns, proof.rows
        asked = Asked(start.application, proof.command, start.session_id, start.attachment)
        outcome = yield from prove(
            lambda question_id: copied(
                Prove,
                proof,
                nonce=challenged.nonce,
                method=Method(proof.method),
                asked=asked,
                question_id=question_id,
            )
        )
        while isinstance(outcome, Prompted):
            outcome = yield from self._ask_user(client, challenged, outcome)
        self.procedures.do(*self.penalties.settle(attempt, _accepted(outcome), self.procedures.now))
        if isinstance(outcome, NotProved):
            raise _refusal(client, outcome)
        return _user(client, start, challenged, proof, asked, outcome)

    def _change_password(
        self, client: Client, start: LogonStart, change: ChangePassword, attempt: Attempt
    ) -> Procedure[None]:
        """Raises Refusal; a wrong signature counts as a wrong proof does."""
        user_name = normal(start.user_name)
        statement = copied(PasswordStatement, change, request_id=0, user_name=user_name)
        taken = yield from self.statements.change(statement)
        refused: NotProved | None = None
        if isinstance(taken, NotTaken):
            refused = NotProved(taken.code, taken.detail)
        elif taken.standing is Standing.OVERTAKEN:  # as if the user was not known
            refused = NotProved(ErrorCode.LOGON_FAILED, WRONG_PASSWORD)
        now = self.procedures.now
        self.procedures.do(*self.penalties.settle(attempt, _accepted(refused), now))
        if refused is not None:
            raise _refusal(client, refused)
        self.procedures.do(Tell(client.peer, PasswordChanged()))

    def _ask_user(
        self, client: Client, challenged: Challenged, prompted: Prompted
    ) -> Procedure[Prompted | Proved | NotProved]:
        """Pass PAM's prompts on to the user, and their answers to the keeper."""
        prompt = PamPrompt(
            round=prompted.round,
            prompts=[PamQuestion(words=words, is_shown=shown) for words, shown in prompted.prompts],
            notices=list(prompted.notices),
        )
        self.procedures.do(Tell(client.peer, prompt))
        said = yield from client.inbox.hear(PamAnswers)
        return (
            yield from prove(
                lambda question_id: PamAnswer(
                    challenged.nonce, said.round, tuple(said.answers), question_id
                )
            )
        )

    def _resumed(self, user: User) -> Session | None:
        """The session that this device showed last, unless it is not here any more: the directory
        is not asked. Raises Overtaken."""
        session = self.lifecycle.table.get(user.asked.session_id)
        is_wanted = user.asked.attachment and not user.asked.command
        if not is_wanted or session is None or not session.is_open_to(user):
            return None
        if session.attachment != user.asked.attachment:
            raise Overtaken("your session was shown by another client since")
        return session

    # --- what the client is told ------------------------------------------------------------------

    def _redirect(self, client: Client, redirect: Redirect) -> None:
        """The client says Goodbye when it has read this."""
        redirected = events.LogonRedirected(
            trace_id=client.trace_id, server=redirect.host, session_id=redirect.session_id
        )
        self.procedures.do(Tell(client.peer, redirect), redirected)

    def _refuse(
        self, client: Client, start: LogonStart, refusal: Refusal, attempts_left: int
    ) -> None:
        refused = LogonRefused(
            code=refusal.code,
            detail=refusal.detail,
            attempts_left=attempts_left,
            retry_after_seconds=refusal.retry_after_seconds,
            trace_id=client.trace_id,
        )
        event = events.LogonRefused(
            trace_id=client.trace_id,
            user_name=start.user_name,
            code=refusal.code,
            detail=refusal.detail,
        )
        self.procedures.do(Tell(client.peer, refused), event)


def _nothing_to_resume(client: Client) -> Refusal:
    detail = f"the session to resume is not here any more; trace {client.trace_id}"
    return NotProvedRefusal(ErrorCode.LOGON_FAILED, detail)


def _accepted(outcome: Proved | NotProved | None) -> bool | None:
    """None where the proof was not judged, or was good and helps nothing."""
    if not isinstance(outcome, NotProved):
        return True
    return False if outcome.code is ErrorCode.LOGON_FAILED else None


def _refusal(client: Client, outcome: NotProved) -> Refusal:
    counts = outcome.code is ErrorCode.LOGON_FAILED
    detail = f"{outcome.detail}; trace {client.trace_id}"
    kind = NotProvedRefusal if counts else Refusal
    return kind(outcome.code, detail, retry_after_seconds=outcome.retry_after_seconds)


def _user(
    client: Client,
    start: LogonStart,
    challenged: Challenged,
    proof: LogonProof,
    asked: Asked,
    proved: Proved,
) -> User:
    shown = None
    if proof.method in (Method.PASSWORD, Method.SSH_KEY):
        shown = UserProof(
            nonce=challenged.nonce,
            time=challenged.time,
            device_id=client.device_id,
            method=proof.method,
            methods=challenged.methods,
            salt=challenged.salt,
            memory_kib=challenged.memory_kib,
            passes=challenged.passes,
            lanes=challenged.lanes,
            session_id=asked.session_id,
            attachment=asked.attachment,
            key_fingerprint=challenged.key_fingerprint,
            algorithm=proof.algorithm,
            signature=proof.signature,
        )
    return User(
        user_name=normal(start.user_name),
        asked=asked,
        proof_id=proved.proof_id,
        generation=proved.generation,
        system_user=proved.system_user,
        proof=shown,
        is_device_alone=proof.method == Method.DEVICE,
        terminal=proof.terminal,
        lang=proof.lang,
        tz=proof.tz,
        colorterm=proof.colorterm,
        avoid=proof.avoid,
        redirected=proof.redirected,
    )
