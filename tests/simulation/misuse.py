"""What a thief has to show: tokens copied from other devices, tokens of a farm that is not this
one, tickets and cookies that were somebody else's or have been used.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.kinds import APPLICATIONS
from tsproto import certificates, identity, license_token
from tsproto.license_token import Claims
from tsproto.messages import (
    Credential,
    LicenseKind,
    LogonAccepted,
    LogonRequest,
    Message,
    Redirect,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device

YEAR_SECONDS = 365 * 86_400
KEPT = 32
FRESH = 8  # tickets expire, and are used soon

_foreign: list[tuple[bytes, bytes]] = []  # certificate (DER) and key (PEM) of a license server


def _foreign_server(farm: str, now: float) -> tuple[bytes, bytes]:
    """Of a farm of the same name with another authority; one a process."""
    if not _foreign:
        authority, key = certificates.create_authority(farm, now)
        server = certificates.issue_certificate(authority, key, Role.LICENSE_SERVER, "a", now)
        _foreign.append((certificates.certificate_der(server[0]), server[1]))
    return _foreign[0]


class Loot:
    """What thieves have found; shared by all devices of a farm."""

    def __init__(self, farm: str, now: float) -> None:
        self._farm = farm
        self._now = now
        self._tokens: list[tuple[bytes, bytes]] = []
        self._proofs: list[LogonRequest] = []
        self._cookies: dict[tuple[bytes, str], LogonRequest] = {}

    def overheard(self, device: Device, message: Message) -> None:
        """A client was told this."""
        user = device.visit.user_name
        match message:
            case Redirect(ticket=ticket, session_id=session_id):
                self._keep(user, Credential.TICKET, ticket, session_id)
            case LogonAccepted(cookie=cookie, session_id=session_id) if cookie:
                self._keep(user, Credential.RECONNECT, cookie, session_id)
                self._cookies[device.device_id, message.host] = self._proofs[-1]
                if device.token:
                    copied = device.token, device.issuer_certificate
                    self._tokens = [*self._tokens[-KEPT:], copied]

    def _keep(self, user: str, kind: Credential, proof: bytes, session_id: int) -> None:
        request = LogonRequest(
            user_name=user, credential_kind=kind, credential=proof, session_id=session_id
        )
        self._proofs = [*self._proofs[-KEPT:], request]

    def stolen(self, request: LogonRequest, rng: random.Random) -> LogonRequest:
        """A logon with a proof that somebody was given before, the thief included."""
        if not self._proofs:
            return request
        stolen = rng.choice(self._proofs[-FRESH:])
        return msgspec.structs.replace(
            request,
            user_name=stolen.user_name if rng.random() < 0.7 else request.user_name,
            credential_kind=stolen.credential_kind,
            credential=stolen.credential,
            session_id=stolen.session_id,
        )

    def twisted(self, request: LogonRequest, rng: random.Random) -> LogonRequest:
        """A ticket or cookie of one's own, with something about it that is not as it was given."""
        others = [proof.user_name for proof in self._proofs if proof.user_name != request.user_name]
        match rng.randrange(4):
            case 0 if others:
                return msgspec.structs.replace(request, user_name=rng.choice(others))
            case 1:
                secret = bytes(reversed(request.credential))
                return msgspec.structs.replace(request, credential=secret)
            case 2:
                return msgspec.structs.replace(request, application=APPLICATIONS[0])
            case _:
                return msgspec.structs.replace(request, session_id=1 + rng.randrange(4))

    def own(self, request: LogonRequest, device_id: bytes, server: str) -> LogonRequest:
        """The cookie that this device was given last by this server, in place of a password."""
        return self._cookies.get((device_id, server), request)

    def token(self, device_id: bytes, rng: random.Random) -> tuple[bytes, bytes]:
        """A token of another device, or one of this device that a foreign farm has signed."""
        if self._tokens and rng.random() < 0.5:
            return rng.choice(self._tokens)
        certificate, key = _foreign_server(self._farm, self._now)
        claims = Claims(
            farm=self._farm,
            issuer="a",
            kind=LicenseKind.FULL,
            license_id=bytes(16),
            product="terminal-server",
            product_version=2,
            device_id=device_id,
            device_name="thief",
            user_name="",
            issued_at=int(self._now),
            expires_at=int(self._now) + YEAR_SECONDS,
        )
        return license_token.issue(claims, identity.load_key(key)), certificate
