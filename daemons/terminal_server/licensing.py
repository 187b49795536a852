"""The licensing phase of one client link: it comes before the logon, and decides whether the
device may come in at all.

Ask for the license, prove the device, look at its token, ask a license server if the token says so,
push what is new, let in. A license that cannot be renewed or upgraded now is good for as long as it
lasts ([MS-RDPELE] 3.2.5.5).
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from daemons.effects import Close, Note, Peer, Randomness, Tell
from daemons.procedures import Inbox, Procedure, Procedures
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.host import Host
from daemons.terminal_server.inquiry import Verdict, inquire
from daemons.terminal_server.license_servers import LicenseServers
from tsproto import limits
from tsproto.errors import ErrorCode, LicenseError, LicenseExpired, LicenseOutdated
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

NONCE_BYTES = 32
DETAIL_CHARACTERS = 1024  # bound of messages.Detail
RENEWAL_SECONDS = limits.RENEWAL_DAYS * limits.DAY_SECONDS


class LicensedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was let in: what the logon phase has to know of it."""

    device_id: bytes
    device_name: str
    kind: LicenseKind
    issuer: str = ""
    product_version: int = 1
    trace_id: str


class LicensingParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the licensing phases of all clients share."""

    name: str
    settings: TerminalServerSettings
    verifier: Verifier
    rng: Randomness
    procedures: Procedures
    servers: LicenseServers
    host: Host


class Need(Enum):
    """What a license server is to do for a device."""

    NOTHING = auto()
    ACQUIRE = auto()
    RENEW = auto()


class Sent(Exception):
    """The device does not come in; `detail` says why to its user."""

    def __init__(self, code: ErrorCode, detail: str, wait_seconds: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.wait_seconds = wait_seconds


def need_of(held: Claims | None, now: float) -> Need:
    """`held` is the live token that the device showed. A temporary one may have become a full one:
    only the license server knows whether a user logged on with it."""
    if held is None or held.kind is LicenseKind.TEMPORARY:
        return Need.ACQUIRE
    if held.expires_at - now <= RENEWAL_SECONDS:
        return Need.RENEW
    return Need.NOTHING


class LicensingPhase:
    """`inbox` is what the client says while the phase lasts."""

    def __init__(self, peer: Peer, trace_id: str, parts: LicensingParts) -> None:
        self.trace_id = trace_id
        self.inbox = Inbox()
        self._peer = peer
        self._parts = parts
        self._do = parts.procedures.do
        self._info: LicenseInfo
        self._device_id = b""
        self._held: Claims | None = None
        self._lapse: LicenseExpired | None = None  # why the token shown does not count any more

    def run(self) -> Procedure[LicensedDevice | None]:
        """The device that was let in; None when it was sent away."""
        try:
            yield from self._prove()
            need = need_of(self._held, self._parts.procedures.now)
            if need is Need.NOTHING:
                assert self._held is not None
                return self._let_in(self._held, "")
            verdict = yield from self._inquire(need)
            if verdict.answer is not None:
                claims = yield from self._push(verdict.answer)
                return self._let_in(claims, "")
            return self._without_answer(verdict)
        except LicenseError as error:
            self._refuse(Sent(error.code, f"{error}; trace {self.trace_id}"))
        except Sent as sent:
            self._refuse(sent)
        return None

    # --- the token that the device holds ------------------------------------------------------

    def _prove(self) -> Procedure[None]:
        """Learn which device this is, and what it holds."""
        parts, settings = self._parts, self._parts.settings
        nonce = parts.rng.randbytes(NONCE_BYTES)
        request = LicenseRequest(
            nonce=nonce, product=settings.product, product_version=settings.product_version
        )
        self._do(Tell(self._peer, request))
        info = self._info = yield from self.inbox.hear(LicenseInfo)
        self._device_id = verify_device_proof(
            info.public_key, info.signature, nonce, self._peer.certificate
        )
        if info.token:
            try:
                self._held = self._verify(info.token, info.issuer_certificate)
            except LicenseExpired as lapse:
                self._lapse = lapse
        self._see(self._held)

    def _verify(self, token: bytes, issuer_certificate: bytes) -> Claims:
        settings = self._parts.settings
        return self._parts.verifier.verify(
            token,
            issuer_certificate,
            device_id=self._device_id,
            product=settings.product,
            product_version=settings.product_version,
            now=self._parts.procedures.now,
        )

    def _see(self, claims: Claims | None) -> None:
        if claims is not None and claims.kind is LicenseKind.FULL:
            self._do(*self._parts.host.on_full_token())

    # --- a license server ---------------------------------------------------------------------

    def _inquire(self, need: Need) -> Procedure[Verdict[LicenseIssued]]:
        # An expired or outdated token is authentic too: these are looked at last.
        shown = read_claims(self._info.token) if self._held or self._lapse else None
        fields = {**self._fields(), "need": need.name, "lapse": str(self._lapse or "")}
        self._do(Note("license.asked", fields))
        return inquire(
            self._renewal(self._held) if need is Need.RENEW else self._acquisition(),
            LicenseIssued,
            issuer=shown.issuer if shown else "",
            fault_of=self._fault_of,
            servers=self._parts.servers,
            procedures=self._parts.procedures,
        )

    def _acquisition(self) -> AcquireLicense:
        settings = self._parts.settings
        return AcquireLicense(
            device_id=self._device_id,
            device_name=self._info.device_name,
            user_name=self._info.user_name,
            product=settings.product,
            product_version=settings.product_version,
            trace_id=self.trace_id,
        )

    def _renewal(self, held: Claims | None) -> RenewLicense:
        assert held is not None
        return RenewLicense(
            license_id=held.license_id,
            device_id=self._device_id,
            device_name=self._info.device_name,
            user_name=self._info.user_name,
            product=held.product,
            product_version=held.product_version,
            trace_id=self.trace_id,
        )

    def _fault_of(self, answer: LicenseIssued) -> str:
        """A license server's token is looked at like anybody's before it reaches a device."""
        try:
            self._verify(answer.token, answer.issuer_certificate)
        except LicenseError as error:
            return f"{error.code.name}: {error}"
        return ""

    def _push(self, issued: LicenseIssued) -> Procedure[Claims]:
        """Let the device store what is new to it."""
        claims = read_claims(issued.token)
        self._see(claims)
        if issued.token == self._info.token:
            return claims
        fields = {
            **self._fields(),
            "license_id": claims.license_id.hex(),
            "kind": claims.kind.name,
            "issuer": claims.issuer,
            "lender": issued.lender,
        }
        pushed = NewLicense(token=issued.token, issuer_certificate=issued.issuer_certificate)
        self._do(Tell(self._peer, pushed), Note("license.pushed", fields))
        stored = yield from self.inbox.hear(LicenseStored)
        if stored.license_id != claims.license_id:
            raise out_of_order("the device stored another license than the one pushed")
        return claims

    def _without_answer(self, verdict: Verdict[LicenseIssued]) -> LicensedDevice:
        """By what it holds, or under grace; else raise Sent."""
        parts, now = self._parts, self._parts.procedures.now
        if self._held is not None and now < self._held.expires_at:
            return self._let_in(self._held, self._kept_notice(verdict))
        if verdict.is_decided:
            raise self._device_refused(verdict)
        if parts.host.grace_left_until(now):
            return self._let_in_under_grace(verdict)
        self._do(*parts.host.end_grace_in_time(now))
        raise self._no_server_left(verdict)

    # --- the end of the phase -----------------------------------------------------------------

    def _let_in(self, claims: Claims, notice: str) -> LicensedDevice:
        device = self._device(claims.kind, claims.issuer, claims.product_version)
        return self._accepted(device, claims.expires_at, notice)

    def _let_in_under_grace(self, verdict: Verdict[LicenseIssued]) -> LicensedDevice:
        now = self._parts.procedures.now
        ends_at = self._parts.host.grace_left_until(now)
        left = -(-(ends_at - int(now)) // limits.DAY_SECONDS)
        notice = (
            f"{_no_server(verdict)}; {self._parts.name} lets every device in for"
            f" {left} more days, and none without a license afterwards"
        )
        return self._accepted(self._device(LicenseKind.GRACE), ends_at, notice)

    def _accepted(self, device: LicensedDevice, expires_at: int, notice: str) -> LicensedDevice:
        accepted = LicenseAccepted(
            kind=device.kind, expires_at=expires_at, notice=notice[:DETAIL_CHARACTERS]
        )
        fields = {**self._fields(), "kind": device.kind.name, "expires_at": expires_at}
        self._do(
            *self._parts.host.on_connection_accepted(self._parts.procedures.now),
            Tell(self._peer, accepted),
            Note("license.accepted", fields),
        )
        return device

    def _device(
        self, kind: LicenseKind, issuer: str = "", product_version: int = 1
    ) -> LicensedDevice:
        return LicensedDevice(
            device_id=self._device_id,
            device_name=self._info.device_name,
            kind=kind,
            issuer=issuer,
            product_version=product_version,
            trace_id=self.trace_id,
        )

    def _kept_notice(self, verdict: Verdict[LicenseIssued]) -> str:
        """Only whoever waits for a renewal need worry: a temporary license just goes on."""
        assert self._held is not None
        if self._held.kind is LicenseKind.TEMPORARY:
            return ""
        why = verdict.refusal.detail if verdict.refusal else _no_server(verdict)
        return f"the license could not be renewed and will expire: {why}; trace {self.trace_id}"

    def _device_refused(self, verdict: Verdict[LicenseIssued]) -> Sent:
        assert verdict.refusal is not None
        is_expired = self._lapse is not None and not isinstance(self._lapse, LicenseOutdated)
        code = ErrorCode.LICENSE_EXPIRED if is_expired else ErrorCode.NO_LICENSE
        why = verdict.refusal.detail or verdict.refusal.code.meaning
        detail = (
            f"this device cannot come in: {self._holding()}, and license server"
            f" {verdict.asked[-1]} gives it none: {why}; trace {self.trace_id}"
        )
        return Sent(code, detail, verdict.refusal.retry_after_seconds)

    def _no_server_left(self, verdict: Verdict[LicenseIssued]) -> Sent:
        detail = (
            f"this device needs a license server: {self._holding()}, {_no_server(verdict)}, and"
            f" {self._parts.name} has no grace period any more; ask the administrator to start a"
            f" license server, then connect again; trace {self.trace_id}"
        )
        wait = verdict.refusal.retry_after_seconds if verdict.refusal else 0
        return Sent(ErrorCode.NO_LICENSE_SERVER, detail, wait)

    def _holding(self) -> str:
        """What a device without a live license has, in words that go inside a sentence."""
        match self._lapse:
            case None:
                return "it has no license"
            case LicenseOutdated():
                return "its license is for an older version"
            case _:
                return "its license has expired"

    def _refuse(self, sent: Sent) -> None:
        code, detail = sent.code, str(sent)
        self._do(
            Note("license.refused", {**self._fields(), "code": code.name, "detail": detail}),
            Close(self._peer, code, detail[:DETAIL_CHARACTERS], self.trace_id, sent.wait_seconds),
        )

    def _fields(self) -> dict[str, object]:
        return {"trace_id": self.trace_id, "device_id": self._device_id.hex()}


def out_of_order(detail: str) -> Sent:
    return Sent(ErrorCode.OUT_OF_ORDER, detail)


def _no_server(verdict: Verdict[LicenseIssued]) -> str:
    """Why no license server helped, in words that go inside a sentence."""
    asked = ", ".join(verdict.asked)
    if verdict.refusal:
        why = verdict.refusal.detail or verdict.refusal.code.meaning
        return f"the license servers asked ({asked}) refused ({why})"
    return f"no license server answers ({asked or 'none was found'})"
