"""What a thief has to show: tokens copied from other devices, tokens of a farm that is not this
one, proofs that others or the thief gave before, sessions that others were shown.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.simulation.kinds import APPLICATIONS
from tsproto import certificates, identity, license_token
from tsproto.license_token import Claims
from tsproto.messages import (
    LicenseKind,
    LogonAccepted,
    LogonProof,
    LogonStart,
    Message,
    Redirect,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device

YEAR_SECONDS = 365 * 86_400
KEPT = 32
FRESH = 8  # challenges expire, and sessions are shown anew

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
        self._proofs: list[LogonProof] = []
        self._starts: list[LogonStart] = []

    def overheard(self, device: Device, message: Message) -> None:
        """A client was told this."""
        user = device.visit.user_name
        match message:
            case Redirect(session_id=session_id):
                self._keep(LogonStart(user_name=user, session_id=session_id))
            case LogonAccepted(session_id=session_id, attachment=attachment) if attachment:
                self._keep(LogonStart(user_name=user, session_id=session_id, attachment=attachment))
                if device.token:
                    copied = device.token, device.issuer_certificate
                    self._tokens = [*self._tokens[-KEPT:], copied]

    def _keep(self, start: LogonStart) -> None:
        self._starts = [*self._starts[-KEPT:], start]

    def keep_proof(self, proof: LogonProof) -> None:
        """Somebody has signed this."""
        self._proofs = [*self._proofs[-KEPT:], proof]

    def proof(self, own: LogonProof, rng: random.Random) -> LogonProof:
        """One that was given before, by somebody or by the thief; or the thief's own with another
        command than was signed, or damaged."""
        match rng.randrange(4):
            case 0:
                return replace(own, command="id")
            case 1:
                return replace(own, signature=bytes(reversed(own.signature)))
            case _:
                stolen = rng.choice(self._proofs[-FRESH:])
                return replace(stolen, redirected=own.redirected, avoid=own.avoid)

    def start(self, own: LogonStart, rng: random.Random) -> LogonStart:
        """As another user, to a session that somebody was shown, or to another application than is
        signed."""
        stolen = rng.choice(self._starts[-FRESH:] or [own])
        match rng.randrange(4):
            case 0:
                return replace(own, user_name=stolen.user_name)
            case 1:
                return replace(own, application=APPLICATIONS[0])
            case 2:
                return replace(own, session_id=1 + rng.randrange(4))
            case _:
                resumed = stolen.session_id, stolen.attachment
                return replace(own, session_id=resumed[0], attachment=resumed[1])

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
