"""The licensing phase of one client's link: it comes before the logon, and decides whether the
device may come in at all.

Ask for the license, prove the device, verify its token, ask a license server if the token says so,
push a new token, let the device in. A license that cannot be renewed or upgraded now is good until
it expires ([MS-RDPELE] 3.2.5.5).
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import Close, Effect, Randomness, Tell
from daemons.procedures import Procedure, Procedures
from daemons.refusal import Refusal
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.client import AcceptedLicense, Client
from daemons.terminal_server.inquiry import Verdict, inquire
from daemons.terminal_server.license_servers import KnownLicenseServers
from daemons.terminal_server.own_record import GracePeriod
from tsproto import limits
from tsproto.errors import (
    ErrorCode,
    LicenseError,
    LicenseExpired,
    LicenseOutdated,
    LicenseRevoked,
)
from tsproto.identity import verify_device_proof
from tsproto.license_token import Claims, Verifier, read_claims
from tsproto.messages import (
    AcquireLicense,
    LicenseAccepted,
    LicenseInfo,
    LicenseIssued,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    NewLicense,
    RenewLicense,
)
from tsproto.printable import detail_of

NONCE_BYTES = 32
RENEWAL_SECONDS = limits.RENEWAL_DAYS * limits.DAY_SECONDS

# The event for a device that is sent away, where it is not DeviceRefused.
REFUSALS: dict[ErrorCode, type[events.LicenseLapsed | events.LicenseRejected]] = {
    ErrorCode.LICENSE_EXPIRED: events.LicenseLapsed,
    ErrorCode.LICENSE_TAMPERED: events.LicenseRejected,
    ErrorCode.LICENSE_FOREIGN: events.LicenseRejected,
    ErrorCode.LICENSE_NOT_YOURS: events.LicenseRejected,
    ErrorCode.DEVICE_PROOF_INVALID: events.LicenseRejected,
}


class Need(Enum):
    """The request to a license server that a device's token calls for."""

    NOTHING = auto()
    ACQUIRE = auto()
    RENEW = auto()


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The LicenseInfo of a device that has proved itself. `held` is its live token; `lapse` says
    why the token that it showed is not live."""

    info: LicenseInfo
    held: Claims | None = None
    lapse: LicenseExpired | None = None

    @property
    def issuer(self) -> str:
        """The license server that knows the device, if any. An expired or outdated token is
        authentic too: dates and version are verified last."""
        return read_claims(self.info.token).issuer if self.held or self.lapse else ""

    @property
    def holding(self) -> str:
        """Why the device has no live license, as a part of a sentence."""
        match self.lapse:
            case None:
                return "it has no license"
            case LicenseOutdated():
                return "its license is for an older version"
            case LicenseRevoked():
                return "its license is of a license server whose certificate was revoked"
            case _:
                return "its license has expired"

    def need(self, now: float) -> Need:
        """A temporary token may have become a full one: only the license server knows whether a
        user logged on with it."""
        if self.held is None or self.held.kind is LicenseKind.TEMPORARY:
            return Need.ACQUIRE
        return Need.RENEW if self.held.expires_at - now <= RENEWAL_SECONDS else Need.NOTHING


class Licensing(msgspec.Struct, eq=False):
    """The licensing phase of every client."""

    name: str
    settings: TerminalServerSettings
    verifier: Verifier
    rng: Randomness
    procedures: Procedures
    servers: KnownLicenseServers
    grace: GracePeriod

    def admit(self, client: Client) -> Procedure[bool]:
        """Whether the device was let in; the link of one that was not is closed."""
        try:
            evidence = yield from self._prove_device(client)
            held, now = evidence.held, self.procedures.now
            need = evidence.need(now)
            if held is not None and need is Need.NOTHING:
                self._let_in(client, held)
                return True
            verdict = yield from self._inquire(client, evidence, need)
            now = self.procedures.now
            if verdict.answer is not None:
                self._let_in(client, (yield from self._push(client, evidence, verdict.answer)))
            elif verdict.denies_device:
                raise _refused_by_server(client, evidence, verdict)
            elif held is not None and now < held.expires_at:
                self._let_in_as_held(client, held, verdict)
            elif verdict.is_decided:
                raise _refused_by_server(client, evidence, verdict)
            elif self.grace.left_until(now):
                self._let_in_under_grace(client, verdict)
            else:
                self.procedures.do(*self.grace.end_in_time(now))
                raise self._no_server_left(client, evidence, verdict)
            return True
        except LicenseError as error:
            self._refuse(client, Refusal(error.code, f"{error}; trace {client.trace_id}"))
        except Refusal as refusal:
            self._refuse(client, refusal)
        return False

    # --- the token that the device holds ------------------------------------------------------

    def _prove_device(self, client: Client) -> Procedure[Evidence]:
        """Let the device prove which one it is, and verify the token that it shows."""
        nonce = self.rng.randbytes(NONCE_BYTES)
        request = copied(LicenseRequest, self.settings, nonce=nonce)
        self.procedures.do(Tell(client.peer, request))
        info = yield from client.inbox.hear(LicenseInfo)
        client.device_id = verify_device_proof(
            info.public_key, info.signature, nonce, client.peer.certificate
        )
        client.device_name = info.device_name
        if not info.token:
            return Evidence(info=info)
        try:
            held = self._verify(client, info.token, info.issuer_certificate)
        except LicenseExpired as lapse:
            return Evidence(info=info, lapse=lapse)
        self._end_grace_by(held)
        return Evidence(info=info, held=held)

    def _verify(self, client: Client, token: bytes, issuer_certificate: bytes) -> Claims:
        return self.verifier.verify(
            token,
            issuer_certificate,
            device_id=client.device_id,
            product=self.settings.product,
            product_version=self.settings.product_version,
            now=self.procedures.now,
        )

    def _end_grace_by(self, claims: Claims) -> None:
        if claims.kind is LicenseKind.FULL:
            self.procedures.do(*self.grace.on_full_token())

    # --- a license server ---------------------------------------------------------------------

    def _inquire(
        self, client: Client, evidence: Evidence, need: Need
    ) -> Procedure[Verdict[LicenseIssued]]:
        lapse = str(evidence.lapse or "")
        self.procedures.do(copied(events.LicenseAsked, client, need=need.name, lapse=lapse))
        question: AcquireLicense | RenewLicense
        if need is Need.RENEW and evidence.held is not None:
            question = _renewal(client, evidence.info, evidence.held)
        else:
            question = self._acquisition(client, evidence.info)
        return inquire(
            question,
            LicenseIssued,
            issuer=evidence.issuer,
            fault_of=lambda answer: self._fault_of(client, answer),
            servers=self.servers,
            procedures=self.procedures,
        )

    def _acquisition(self, client: Client, info: LicenseInfo) -> AcquireLicense:
        return AcquireLicense(
            device_id=client.device_id,
            device_name=info.device_name,
            user_name=info.user_name,
            product=self.settings.product,
            product_version=self.settings.product_version,
            trace_id=client.trace_id,
        )

    def _fault_of(self, client: Client, answer: LicenseIssued) -> str:
        """A license server's token is verified like a device's before it reaches one."""
        try:
            self._verify(client, answer.token, answer.issuer_certificate)
        except LicenseError as error:
            return f"{error.code.name}: {error}"
        return ""

    def _push(self, client: Client, evidence: Evidence, issued: LicenseIssued) -> Procedure[Claims]:
        """Let the device store the token, unless it is the one it showed."""
        claims = read_claims(issued.token)
        self._end_grace_by(claims)
        if issued.token == evidence.info.token:
            return claims
        new = NewLicense(token=issued.token, issuer_certificate=issued.issuer_certificate)
        pushed = copied(
            events.LicensePushed,
            client,
            license_id=claims.license_id,
            kind=claims.kind,
            issuer=claims.issuer,
            lender=issued.lender,
        )
        self.procedures.do(Tell(client.peer, new), pushed)
        stored = yield from client.inbox.hear(LicenseStored)
        if stored.license_id != claims.license_id:
            detail = "the device stored another license than the one pushed"
            raise Refusal(ErrorCode.OUT_OF_ORDER, detail)
        return claims

    # --- the end of the phase -----------------------------------------------------------------

    def _let_in(self, client: Client, claims: Claims, notice: str = "") -> None:
        accepted = copied(
            events.LicenseAccepted, client, kind=claims.kind, expires_at=claims.expires_at
        )
        license = AcceptedLicense(claims.kind, claims.issuer, claims.product_version)
        self._accept(client, license, claims.expires_at, notice, accepted)

    def _let_in_as_held(
        self, client: Client, held: Claims, verdict: Verdict[LicenseIssued]
    ) -> None:
        """With a token that was not renewed or upgraded. A temporary one goes on without a notice:
        only a renewal that fails is the user's worry."""
        if held.kind is LicenseKind.TEMPORARY:
            self._let_in(client, held)
            return
        why = verdict.refusal.detail if verdict.refusal else _no_server(verdict)
        notice = f"the license could not be renewed and will expire: {why}; trace {client.trace_id}"
        self._let_in(client, held, notice)
        expires_at = held.expires_at
        self.procedures.do(
            copied(events.RenewalFailed, client, expires_at=expires_at, detail=notice)
        )

    def _let_in_under_grace(self, client: Client, verdict: Verdict[LicenseIssued]) -> None:
        now = self.procedures.now
        ends_at = self.grace.left_until(now)
        left = -(-(ends_at - int(now)) // limits.DAY_SECONDS)
        notice = (
            f"{_no_server(verdict)}; {self.name} lets every device in for"
            f" {left} more days, and none without a license afterwards"
        )
        used = copied(events.GraceUsed, client, expires_at=ends_at)
        self._accept(client, AcceptedLicense(LicenseKind.GRACE), ends_at, notice, used)

    def _accept(
        self, client: Client, license: AcceptedLicense, expires_at: int, notice: str, event: Effect
    ) -> None:
        client.license = license
        accepted = LicenseAccepted(
            kind=license.kind, expires_at=expires_at, notice=detail_of(notice)
        )
        begun = self.grace.on_connection_accepted(self.procedures.now)
        self.procedures.do(*begun, Tell(client.peer, accepted), event)

    def _no_server_left(
        self, client: Client, evidence: Evidence, verdict: Verdict[LicenseIssued]
    ) -> Refusal:
        detail = (
            f"this device needs a license server: {evidence.holding}, {_no_server(verdict)}, and"
            f" {self.name} has no grace period any more; ask the administrator to start a"
            f" license server, then connect again; trace {client.trace_id}"
        )
        wait = verdict.refusal.retry_after_seconds if verdict.refusal else 0
        return Refusal(ErrorCode.NO_LICENSE_SERVER, detail, retry_after_seconds=wait)

    def _refuse(self, client: Client, refusal: Refusal) -> None:
        code, detail = refusal.code, refusal.detail
        refused = REFUSALS.get(code, events.DeviceRefused)
        self.procedures.do(
            copied(refused, client, code=code, detail=detail),
            Close(client.peer, code, detail, client.trace_id, refusal.retry_after_seconds),
        )


def _renewal(client: Client, info: LicenseInfo, held: Claims) -> RenewLicense:
    return RenewLicense(
        license_id=held.license_id,
        device_id=client.device_id,
        device_name=info.device_name,
        user_name=info.user_name,
        product=held.product,
        product_version=held.product_version,
        trace_id=client.trace_id,
    )


def _refused_by_server(
    client: Client, evidence: Evidence, verdict: Verdict[LicenseIssued]
) -> Refusal:
    assert verdict.refusal is not None
    code = ErrorCode.LICENSE_EXPIRED if _is_expired(evidence) else ErrorCode.NO_LICENSE
    if verdict.denies_device:
        code = verdict.refusal.code
    why = verdict.refusal.detail or verdict.refusal.code.meaning
    detail = (
        f"this device cannot come in: {evidence.holding}, and license server"
        f" {verdict.asked[-1]} gives it none: {why}; trace {client.trace_id}"
    )
    return Refusal(code, detail, retry_after_seconds=verdict.refusal.retry_after_seconds)


def _is_expired(evidence: Evidence) -> bool:
    lapse = evidence.lapse
    return lapse is not None and not isinstance(lapse, LicenseOutdated | LicenseRevoked)


def _no_server(verdict: Verdict[LicenseIssued]) -> str:
    """Why no license server helped, in words that go inside a sentence."""
    asked = ", ".join(verdict.asked)
    if verdict.refusal:
        why = verdict.refusal.detail or verdict.refusal.code.meaning
        return f"the license servers asked ({asked}) refused ({why})"
    return f"no license server answers ({asked or 'none was found'})"
