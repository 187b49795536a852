"""The licensing phase of one client link: it comes before the logon, and decides whether the
device may come in at all.

Ask for the license, prove the device, look at its token, ask a license server if the token says so,
push what is new, let in. A license that cannot be renewed or upgraded now is good for as long as it
lasts ([MS-RDPELE] 3.2.5.5).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import msgspec

from daemons.effects import Close, Effect, Note, Peer, Randomness, Tell
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.host import Host
from daemons.terminal_server.inquiry import Inquiry, Verdict
from daemons.terminal_server.license_servers import LicenseServers
from daemons.terminal_server.tickets import Tickets
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
    Message,
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
    tickets: Tickets
    servers: LicenseServers
    host: Host


class Step(Enum):
    """What this phase waits for."""

    INFO = auto()
    LICENSE_SERVER = auto()
    STORED = auto()
    NOTHING = auto()


class Need(Enum):
    """What a license server is to do for a device."""

    NOTHING = auto()
    ACQUIRE = auto()
    RENEW = auto()


def need_of(held: Claims | None, now: float) -> Need:
    """`held` is the live token that the device showed. A temporary one may have become a full one:
    only the license server knows whether a user logged on with it."""
    if held is None or held.kind is LicenseKind.TEMPORARY:
        return Need.ACQUIRE
    if held.expires_at - now <= RENEWAL_SECONDS:
        return Need.RENEW
    return Need.NOTHING


class LicensingPhase:
    """`accept` is told of the device once it is let in."""

    def __init__(
        self,
        peer: Peer,
        trace_id: str,
        parts: LicensingParts,
        accept: Callable[[Peer, LicensedDevice], None],
    ) -> None:
        self._peer = peer
        self.trace_id = trace_id
        self._parts = parts
        self._accept = accept
        self._step = Step.NOTHING
        self._nonce = b""
        self._info: LicenseInfo
        self._device_id = b""
        self._held: Claims | None = None
        self._lapse: LicenseExpired | None = None  # why the token shown does not count any more
        self._pushed: Claims
        self._inquiry: Inquiry | None = None

    def begin(self) -> list[Effect]:
        self._step = Step.INFO
        self._nonce = self._parts.rng.randbytes(NONCE_BYTES)
        settings = self._parts.settings
        request = LicenseRequest(
            nonce=self._nonce,
            product=settings.product,
            product_version=settings.product_version,
        )
        return [Tell(self._peer, request)]

    def on_message(self, message: Message, now: float) -> list[Effect]:
        match message:
            case LicenseInfo() if self._step is Step.INFO:
                return self._on_info(message, now)
            case LicenseStored() if self._step is Step.STORED:
                return self._on_stored(message, now)
            case _:
                return self._refuse(
                    ErrorCode.OUT_OF_ORDER,
                    f"{type(message).__name__} does not come now in the licensing phase",
                )

    def on_lost(self, now: float) -> list[Effect]:
        """What a license server issues from now on reaches the device at its next connection."""
        self._step = Step.NOTHING
        if self._inquiry:
            self._inquiry.abandoned = True
        return []

    # --- the token that the device holds ------------------------------------------------------

    def _on_info(self, info: LicenseInfo, now: float) -> list[Effect]:
        self._info = info
        try:
            self._device_id = verify_device_proof(
                info.public_key, info.signature, self._nonce, self._peer.certificate
            )
            self._held = self._read_held(info, now)
        except LicenseError as error:
            return self._refuse(error.code, f"{error}; trace {self.trace_id}")
        effects = self._seen(self._held)
        need = need_of(self._held, now)
        if need is Need.NOTHING:
            assert self._held is not None
            return [*effects, *self._let_in(self._held, "", now)]
        return [*effects, *self._inquire(need, now)]

    def _read_held(self, info: LicenseInfo, now: float) -> Claims | None:
        if not info.token:
            return None
        try:
            return self._verify(info.token, info.issuer_certificate, now)
        except LicenseExpired as lapse:
            self._lapse = lapse
            return None

    def _verify(self, token: bytes, issuer_certificate: bytes, now: float) -> Claims:
        settings = self._parts.settings
        return self._parts.verifier.verify(
            token,
            issuer_certificate,
            device_id=self._device_id,
            product=settings.product,
            product_version=settings.product_version,
            now=now,
        )

    # --- a license server ---------------------------------------------------------------------

    def _inquire(self, need: Need, now: float) -> list[Effect]:
        self._step = Step.LICENSE_SERVER
        # An expired or outdated token is authentic too: these are looked at last.
        shown = read_claims(self._info.token) if self._held or self._lapse else None
        self._inquiry = Inquiry(
            self._renewal(self._held) if need is Need.RENEW else self._acquisition(),
            servers=self._parts.servers,
            tickets=self._parts.tickets,
            issuer=shown.issuer if shown else "",
            check=self._fault_of,
            finish=self._on_verdict,
        )
        fields = {**self._fields(), "need": need.name, "lapse": str(self._lapse or "")}
        return [Note("license.asked", fields), *self._inquiry.begin(now)]

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

    def _fault_of(self, answer: Message, now: float) -> str:
        """A license server's token is looked at like anybody's before it reaches a device."""
        if not isinstance(answer, LicenseIssued):
            return f"{type(answer).__name__} answers no question of this kind"
        try:
            self._verify(answer.token, answer.issuer_certificate, now)
        except LicenseError as error:
            return f"{error.code.name}: {error}"
        return ""

    def _on_verdict(self, verdict: Verdict, now: float) -> list[Effect]:
        if isinstance(verdict.answer, LicenseIssued):
            return self._on_issued(verdict.answer, now)
        if self._held is not None and now < self._held.expires_at:
            return self._let_in(self._held, self._kept_notice(verdict), now)
        if verdict.is_decided:
            return self._refuse_device(verdict)
        if self._parts.host.grace_left_until(now):
            return self._let_in_under_grace(verdict, now)
        return [*self._parts.host.end_grace_in_time(now), *self._refuse_without_server(verdict)]

    def _on_issued(self, issued: LicenseIssued, now: float) -> list[Effect]:
        claims = read_claims(issued.token)
        effects = self._seen(claims)
        if issued.token == self._info.token:
            return [*effects, *self._let_in(claims, "", now)]
        self._step = Step.STORED
        self._pushed = claims
        pushed = NewLicense(token=issued.token, issuer_certificate=issued.issuer_certificate)
        fields = {
            **self._fields(),
            "license_id": claims.license_id.hex(),
            "kind": claims.kind.name,
            "issuer": claims.issuer,
            "lender": issued.lender,
        }
        return [*effects, Tell(self._peer, pushed), Note("license.pushed", fields)]

    def _on_stored(self, stored: LicenseStored, now: float) -> list[Effect]:
        if stored.license_id != self._pushed.license_id:
            return self._refuse(
                ErrorCode.OUT_OF_ORDER, "the device stored another license than the one pushed"
            )
        return self._let_in(self._pushed, "", now)

    def _seen(self, claims: Claims | None) -> list[Effect]:
        is_full = claims is not None and claims.kind is LicenseKind.FULL
        return self._parts.host.on_full_token() if is_full else []

    # --- the end of the phase -----------------------------------------------------------------

    def _let_in(self, claims: Claims, notice: str, now: float) -> list[Effect]:
        device = self._device(claims.kind, claims.issuer, claims.product_version)
        return self._accepted(device, claims.expires_at, notice, now)

    def _let_in_under_grace(self, verdict: Verdict, now: float) -> list[Effect]:
        ends_at = self._parts.host.grace_left_until(now)
        left = -(-(ends_at - int(now)) // limits.DAY_SECONDS)
        notice = (
            f"{_no_server(verdict)}; {self._parts.name} lets every device in for"
            f" {left} more days, and none without a license afterwards"
        )
        return self._accepted(self._device(LicenseKind.GRACE), ends_at, notice, now)

    def _accepted(
        self, device: LicensedDevice, expires_at: int, notice: str, now: float
    ) -> list[Effect]:
        self._step = Step.NOTHING
        self._accept(self._peer, device)
        accepted = LicenseAccepted(
            kind=device.kind, expires_at=expires_at, notice=notice[:DETAIL_CHARACTERS]
        )
        fields = {**self._fields(), "kind": device.kind.name, "expires_at": expires_at}
        return [
            *self._parts.host.on_connection_accepted(now),
            Tell(self._peer, accepted),
            Note("license.accepted", fields),
        ]

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

    def _kept_notice(self, verdict: Verdict) -> str:
        """Only whoever waits for a renewal need worry: a temporary license just goes on."""
        assert self._held is not None
        if self._held.kind is LicenseKind.TEMPORARY:
            return ""
        why = verdict.refusal.detail if verdict.refusal else _no_server(verdict)
        return f"the license could not be renewed and will expire: {why}; trace {self.trace_id}"

    def _refuse_device(self, verdict: Verdict) -> list[Effect]:
        assert verdict.refusal is not None
        is_expired = self._lapse is not None and not isinstance(self._lapse, LicenseOutdated)
        code = ErrorCode.LICENSE_EXPIRED if is_expired else ErrorCode.NO_LICENSE
        why = verdict.refusal.detail or verdict.refusal.code.meaning
        detail = (
            f"this device cannot come in: {self._holding()}, and license server"
            f" {verdict.asked[-1]} gives it none: {why}; trace {self.trace_id}"
        )
        return self._refuse(code, detail, verdict.refusal.retry_after_seconds)

    def _refuse_without_server(self, verdict: Verdict) -> list[Effect]:
        detail = (
            f"this device needs a license server: {self._holding()}, {_no_server(verdict)}, and"
            f" {self._parts.name} has no grace period any more; ask the administrator to start a"
            f" license server, then connect again; trace {self.trace_id}"
        )
        wait = verdict.refusal.retry_after_seconds if verdict.refusal else 0
        return self._refuse(ErrorCode.NO_LICENSE_SERVER, detail, wait)

    def _holding(self) -> str:
        """What a device without a live license has, in words that go inside a sentence."""
        match self._lapse:
            case None:
                return "it has no license"
            case LicenseOutdated():
                return "its license is for an older version"
            case _:
                return "its license has expired"

    def _refuse(self, code: ErrorCode, detail: str, wait_seconds: int = 0) -> list[Effect]:
        self._step = Step.NOTHING
        if self._inquiry:
            self._inquiry.abandoned = True
        return [
            Note("license.refused", {**self._fields(), "code": code.name, "detail": detail}),
            Close(self._peer, code, detail[:DETAIL_CHARACTERS], self.trace_id, wait_seconds),
        ]

    def _fields(self) -> dict[str, object]:
        return {"trace_id": self.trace_id, "device_id": self._device_id.hex()}


def _no_server(verdict: Verdict) -> str:
    """Why no license server helped, in words that go inside a sentence."""
    asked = ", ".join(verdict.asked)
    if verdict.refusal:
        why = verdict.refusal.detail or verdict.refusal.code.meaning
        return f"the license servers asked ({asked}) refused ({why})"
    return f"no license server answers ({asked or 'none was found'})"
