"""The procedure of a logon: from a list of hosts to an attached session, and back after a loss.

`Logon` is told events and the time, and returns the steps to take (`clients.logon.steps`), so the
real client and the simulator run the same one. It follows redirects, asks for the password once,
and proves the user to each host anew: with SSH keys first, then with the password's key.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import msgspec

from clients.logon import proofs, steps
from clients.logon.route import GONE, Randomness, Route
from clients.logon.steps import (
    Attached,
    Finished,
    HangUp,
    Hashing,
    Host,
    Outcome,
    Plan,
    Send,
    Step,
    Waiting,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    LicenseAccepted,
    LicenseInfo,
    LicenseRequest,
    LicenseStored,
    LogoffSession,
    LogonAccepted,
    LogonChallenge,
    LogonRefused,
    LogonStart,
    Message,
    NewDenyList,
    NewLicense,
    PamAnswers,
    PamPrompt,
    Redirect,
    ResizeSession,
    SessionEnded,
)
from tsproto.user_proof import Cost, CostRefused, Method, Methods, Statement, normal


class Phase(Enum):
    """`PROMPTING`: the host waits while the user types a password. `TYPING`: the host has given up
    waiting, and is dialled again once the password is typed."""

    IDLE = auto()
    DIALLING = auto()
    LICENSING = auto()
    PROMPTING = auto()
    TYPING = auto()
    LOGON = auto()
    SESSION = auto()
    LEAVING = auto()
    WAITING = auto()
    FINISHED = auto()


class _Shown(msgspec.Struct, frozen=True):
    """The session that was shown last, the name of its server, and how often it was shown then."""

    host: Host
    server: str
    session_id: int
    attachment: int


class Logon:
    """One user's way to one session. Each `on_…` concerns the present link only: its caller drops a
    link at HangUp and at DialHost."""

    def __init__(self, plan: Plan, rng: Randomness) -> None:
        self.phase = Phase.IDLE
        self._plan = plan
        self._route = Route(plan.hosts, rng)
        self._host = plan.hosts[0]
        self._redirected_by: Host | None = None  # the first host that redirected us
        self._redirect: Redirect | None = None
        self._shown: _Shown | None = None
        self._unreachable_host = ""
        self._redirects = 0
        self._seen: steps.Seen | None = None
        self._start = LogonStart(user_name=normal(plan.user_name))
        self._awaits_challenge = False
        self._challenge: LogonChallenge | None = None  # the one that is to be signed
        self._method = Method.PASSWORD
        self._keys = plan.key_fingerprints
        self._hashing: Hashing | None = None  # of the challenge that was answered last
        self._derived: set[Hashing] = set()  # of keys in memory
        self._password: bytes | None = None
        self._passwords_asked = 0
        self._prefers_pam = False
        self._may_resume = True
        self._wake_at: float | None = None
        self._on_wake: Callable[[float], list[Step]] = self._dial_round

    def start(self, now: float) -> list[Step]:
        self._route.begin(now, self._plan.connect_seconds)
        return self._dial_round(now)

    # --- a link comes and goes ----------------------------------------------------------------

    def on_opened(self, seen: steps.Seen, now: float) -> list[Step]:
        """Hello and Welcome are exchanged; the host sends the next message."""
        self._seen = seen
        self.phase = Phase.LICENSING
        return []

    def on_unreachable(self, code: ErrorCode, detail: str, now: float) -> list[Step]:
        """The host could not be dialled, or its certificate is not the expected one."""
        return self._failed(code, detail, 0, now)

    def on_closed(
        self, code: ErrorCode, detail: str, retry_after_seconds: int, now: float
    ) -> list[Step]:
        """The link has ended: by the host's Goodbye, or because it was lost."""
        match self.phase:
            case Phase.LEAVING:
                return self._finish(ErrorCode.DISCONNECTED_BY_USER)
            case Phase.SESSION:
                return self._session_lost(code, detail, retry_after_seconds, now)
            case Phase.PROMPTING if code.may_retry:
                self.phase = Phase.TYPING
                return []
            case _:
                return self._failed(code, detail, retry_after_seconds, now)

    def _session_lost(
        self, code: ErrorCode, detail: str, retry_after_seconds: int, now: float
    ) -> list[Step]:
        # A command ends with its connection, so there is no session to return to.
        if self._plan.command or not code.may_retry:
            return self._finish(code, detail)
        assert self._shown is not None
        self._route.begin(now, self._plan.reconnect_seconds, self._shown.host)
        self._route.failed(code, detail, retry_after_seconds)
        return self._wait_for_round(now)

    # --- which host ---------------------------------------------------------------------------

    def _dial_round(self, now: float) -> list[Step]:
        self._redirects = 0
        self._unreachable_host = ""
        return self._dial(self._route.first_of_round(now))

    def _dial(self, host: Host, redirected: bool = False) -> list[Step]:
        self.phase = Phase.DIALLING
        self._wake_at = None
        self._host = host
        return [steps.DialHost(host, redirected)]

    def _failed(
        self, code: ErrorCode, detail: str, retry_after_seconds: int, now: float
    ) -> list[Step]:
        """This try has failed, and its link is closed."""
        if not code.may_retry:
            return self._finish(code, detail)
        self._route.failed(code, detail, retry_after_seconds)
        redirected_by, self._redirected_by, self._redirect = self._redirected_by, None, None
        if redirected_by is not None and code in GONE:
            # One that waited too long for a proof is there: its user has typed slowly.
            is_there = code is ErrorCode.TIMED_OUT and self.phase is Phase.LOGON
            self._unreachable_host = "" if is_there else self._host.name
            return self._dial(redirected_by)
        if redirected_by is not None:
            self._route.end_round()  # on another host the user would get a new session
        following = self._route.next_of_round()
        return self._dial(following) if following is not None else self._wait_for_round(now)

    def _wait_for_round(self, now: float) -> list[Step]:
        assert self._route.reason is not None
        code, detail = self._route.reason
        seconds = self._route.wait(now)
        if seconds is None:
            return self._finish(code, detail)
        self.phase = Phase.WAITING
        self._wake_at, self._on_wake = now + seconds, self._dial_round
        return [Waiting(seconds, code, detail, self._route.is_reconnecting)]

    # --- what the host says -------------------------------------------------------------------

    def on_message(self, message: Message, now: float) -> list[Step]:
        """A message of the present link; one that is wrong in this phase ends the logon."""
        match self.phase, message:
            case _, NewDenyList():
                return [steps.StoreDenyList(message.signed)]
            case Phase.LICENSING, LicenseRequest():
                return [steps.ShowLicense(message)]
            case Phase.LICENSING, NewLicense():
                return [steps.StoreLicense(message.token, message.issuer_certificate)]
            case Phase.LICENSING, LicenseAccepted():
                licensed = steps.Licensed(message.kind, message.expires_at, message.notice)
                return [licensed, *self._log_on()]
            case Phase.LOGON, LogonChallenge() if self._awaits_challenge:
                return self._on_challenge(message)
            case Phase.LOGON, PamPrompt() if self._method is Method.PAM:
                return [steps.AnswerPam(message)]
            case Phase.LOGON, LogonRefused():
                return self._on_refused(message, now)
            case Phase.LOGON, Redirect():
                return self._follow(message)
            case Phase.LOGON, LogonAccepted():
                return self._on_accepted(message)
            case ((Phase.LOGON | Phase.SESSION), SessionEnded()):
                finished = self._finish(
                    ErrorCode.LOGGED_OFF, outcome=Outcome.ENDED, exit_status=message.exit_status
                )
                return [HangUp(), *finished]
            case _:
                name = type(message).__name__
                detail = f"{name} does not belong in phase {self.phase.name.lower()}"
                finished = self._finish(ErrorCode.OUT_OF_ORDER, f"{self._host}: {detail}")
                return [HangUp(ErrorCode.OUT_OF_ORDER, detail), *finished]

    def on_license_info(self, info: LicenseInfo, now: float) -> list[Step]:
        return [Send(info)]

    def on_stored(self, license_id: bytes, now: float) -> list[Step]:
        """The license is durable on the device."""
        return [Send(LicenseStored(license_id=license_id))]

    # --- logon --------------------------------------------------------------------------------

    def _log_on(self) -> list[Step]:
        """Asks the host for a challenge: to resume the session that it showed us last, to be shown
        that of a redirect, or whichever is the user's."""
        self.phase = Phase.LOGON
        session_id = attachment = 0
        assert self._seen is not None
        if self._shown is not None and self._seen.server == self._shown.server:
            session_id, attachment = self._shown.session_id, self._shown.attachment
        elif self._redirect is not None:
            session_id = self._redirect.session_id
        self._start = LogonStart(
            user_name=normal(self._plan.user_name),
            application=self._plan.application,
            session_id=session_id,
            attachment=attachment,
            key_fingerprints=list(self._keys),
        )
        self._awaits_challenge = True
        return [Send(self._start)]

    def _on_challenge(self, challenge: LogonChallenge) -> list[Step]:
        """Signs with the key of the device, of SSH or of the password, else lets PAM ask: last,
        since PAM reads what is typed."""
        assert self._seen is not None
        self._awaits_challenge, self._challenge = False, challenge
        methods = proofs.methods(self._seen, challenge)
        if challenge.resume_seconds and Methods.DEVICE in methods and self._may_resume:
            return [steps.SignWithDevice(self._statement(challenge, Method.DEVICE))]
        if challenge.key_fingerprint in self._keys and Methods.SSH_KEY in methods:
            to_sign = self._statement(challenge, Method.SSH_KEY)
            return [steps.SignWithSshKey(to_sign, challenge.key_fingerprint)]
        if Methods.PAM in methods and (self._prefers_pam or Methods.PASSWORD not in methods):
            self.phase = Phase.LOGON
            return self._prove(challenge, Method.PAM, "", b"")
        if Methods.PASSWORD in methods:
            return self._sign_with_password(challenge)
        return self._give_up(f"{self._host} offers no way to prove who you are")

    def _sign_with_password(self, challenge: LogonChallenge) -> list[Step]:
        cost = Cost(challenge.memory_kib, challenge.passes, challenge.lanes)
        try:
            cost.check()
        except CostRefused as error:
            return self._give_up(f"{self._host}: {error}")
        hashing = Hashing(challenge.salt, cost)
        assert self._seen is not None
        told = proofs.told_of_change(self._seen, self._start.user_name, hashing, self._hashing)
        self._hashing = hashing
        if self._password is not None or hashing in self._derived:
            self.phase = Phase.LOGON
            self._derived.add(hashing)
            statement = self._statement(challenge, Method.PASSWORD)
            return [*told, steps.SignWithPassword(statement, self._password)]
        self.phase = Phase.PROMPTING
        self._passwords_asked += 1
        told += proofs.told_of_pam(self._seen, challenge, self._host)
        return [*told, steps.AskPassword(again=self._passwords_asked > 1)]

    def _statement(self, challenge: LogonChallenge, method: Method) -> Statement:
        assert self._seen is not None
        self._method = method
        return proofs.statement(self._seen, self._start, challenge, self._plan.command, method)

    def on_password(self, password: bytes, now: float) -> list[Step]:
        """The password that the user typed; kept until the user is proved with it, then only its
        key, so that it is asked for once. No account has an empty one: it asks for PAM."""
        self._prefers_pam = not password
        self._password = password
        self._route.extend(now, self._plan.connect_seconds)
        if self.phase is Phase.TYPING:
            return self._dial(self._host)
        if self.phase is not Phase.PROMPTING or self._challenge is None:
            return []
        return self._on_challenge(self._challenge)

    def on_signed(self, algorithm: str, signature: bytes, now: float) -> list[Step]:
        if self.phase is not Phase.LOGON or self._challenge is None:
            return []
        return self._prove(self._challenge, self._method, algorithm, signature)

    def on_not_signed(self, fingerprint: bytes, detail: str, now: float) -> list[Step]:
        """The agent refused, or its key is gone: another way is tried."""
        self._keys = tuple(key for key in self._keys if key != fingerprint)
        said = [steps.Told(detail)]
        return [*said, *self._log_on()] if self.phase is Phase.LOGON else list(said)

    def _prove(
        self, challenge: LogonChallenge, method: Method, algorithm: str, signature: bytes
    ) -> list[Step]:
        self._method, self._challenge = method, None
        proof = proofs.proof(self._plan, method, algorithm, signature)
        avoid, redirected = self._unreachable_host, self._redirect is not None
        return [Send(msgspec.structs.replace(proof, avoid=avoid, redirected=redirected))]

    def on_pam_answers(self, round: int, answers: list[bytes], now: float) -> list[Step]:
        self._route.extend(now, self._plan.connect_seconds)
        if self.phase is not Phase.LOGON:
            return []
        return [Send(PamAnswers(round=round, answers=answers))]

    def _on_refused(self, refused: LogonRefused, now: float) -> list[Step]:
        code, stays = refused.code, refused.attempts_left > 0
        if code is ErrorCode.LOGON_FAILED:
            return self._on_wrong_proof(refused)
        if stays and code.may_retry and refused.retry_after_seconds:
            return self._log_on_later(refused, now)
        return [HangUp(), *self._failed(code, refused.detail, refused.retry_after_seconds, now)]

    def _on_wrong_proof(self, refused: LogonRefused) -> list[Step]:
        stays = refused.attempts_left > 0
        if self._method is Method.DEVICE:
            self._may_resume = False
        if self._method is Method.SSH_KEY:
            self._keys = ()
        if stays and self._method in (Method.DEVICE, Method.SSH_KEY):
            return self._log_on()
        self._password = None
        self._derived.clear()
        can_ask = self._passwords_asked < self._plan.password_attempts
        if stays and (can_ask or self._method is Method.PAM):
            return self._log_on()
        return [HangUp(), *self._finish(refused.code, refused.detail)]

    def _give_up(self, detail: str) -> list[Step]:
        return [HangUp(), *self._finish(ErrorCode.NOT_PERMITTED, detail)]

    def _log_on_later(self, refused: LogonRefused, now: float) -> list[Step]:
        """The host is busy: the link stays open, and the logon is repeated."""
        seconds = self._route.wait(now, refused.retry_after_seconds)
        if seconds is None:
            return [HangUp(), *self._finish(refused.code, refused.detail)]
        self._wake_at, self._on_wake = now + seconds, lambda now: self._log_on()
        return [Waiting(seconds, refused.code, refused.detail, self._route.is_reconnecting)]

    def _follow(self, redirect: Redirect) -> list[Step]:
        self._redirects += 1
        if self._redirects > limits.REDIRECTS_MAX:
            detail = f"redirected more than {limits.REDIRECTS_MAX} times, to {redirect.host} last"
            return [HangUp(), *self._finish(ErrorCode.UNREACHABLE, detail)]
        target = Host(redirect.address, redirect.port, redirect.host)
        self._redirected_by, self._redirect = self._redirected_by or self._host, redirect
        return [HangUp(), steps.Redirected(target), *self._dial(target, redirected=True)]

    # --- session ------------------------------------------------------------------------------

    def _on_accepted(self, accepted: LogonAccepted) -> list[Step]:
        self.phase = Phase.SESSION
        self._shown = _Shown(self._host, accepted.host, accepted.session_id, accepted.attachment)
        self._password = None  # its key is in memory
        self._may_resume = True
        self._passwords_asked = 0
        self._redirected_by = self._redirect = None
        self._unreachable_host = ""
        return [
            *self._remembered(),
            Attached(accepted.host, accepted.session_id, accepted.user_name, accepted.reattached),
        ]

    def _remembered(self) -> list[Step]:
        assert self._seen is not None
        if self._method is not Method.PASSWORD or self._hashing in (None, self._seen.hashing):
            return []
        assert self._hashing is not None
        return [steps.RememberHashing(self._hashing)]

    def resize(self, columns: int, rows: int) -> list[Step]:
        """The terminal has a new size, which is clipped to the protocol's bounds."""
        columns = min(max(columns, 1), limits.COLUMNS_MAX)
        rows = min(max(rows, 1), limits.ROWS_MAX)
        self._plan = msgspec.structs.replace(self._plan, columns=columns, rows=rows)
        resized: list[Step] = [Send(ResizeSession(columns=columns, rows=rows))]
        return resized if self.phase is Phase.SESSION else []

    def disconnect(self, now: float) -> list[Step]:
        """The user leaves the session; it goes on running."""
        if self.phase is not Phase.SESSION:
            return self.cancel()
        self.phase = Phase.LEAVING
        self._wake_at, self._on_wake = now + limits.GOODBYE_SECONDS, self._left
        return [Send(DisconnectSession())]

    def log_off(self, now: float) -> list[Step]:
        """The user ends the session; its end is reported like any other."""
        return [Send(LogoffSession())] if self.phase is Phase.SESSION else []

    def _left(self, now: float) -> list[Step]:
        return [HangUp(), *self._finish(ErrorCode.DISCONNECTED_BY_USER)]

    def cancel(self) -> list[Step]:
        if self.phase is Phase.FINISHED:
            return []
        return [HangUp(), *self._finish(ErrorCode.NORMAL, outcome=Outcome.CANCELLED)]

    # --- time and the end ---------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        return self._wake_at

    def on_deadline(self, now: float) -> list[Step]:
        if self._wake_at is None or now < self._wake_at:
            return []
        self._wake_at = None
        return self._on_wake(now)

    def _finish(
        self,
        code: ErrorCode,
        detail: str = "",
        *,
        outcome: Outcome | None = None,
        exit_status: int = 0,
    ) -> list[Step]:
        self.phase = Phase.FINISHED
        self._wake_at = None
        self._password = None
        return [Finished(outcome or steps.outcome_of(code), code, detail, exit_status)]
