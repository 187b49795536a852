"""Says how long a daemon's certificate is still valid, and warns in time before its end."""

from __future__ import annotations

from daemons import events
from daemons.effects import Effect
from tsproto import certificates, identity, limits

WARNING_SECONDS = limits.CERTIFICATE_WARNING_DAYS * limits.DAY_SECONDS


class CertificateWatch:
    """Watches one certificate (DER); a renewed one gets a watch of its own."""

    def __init__(self, name: str, certificate: bytes) -> None:
        parsed = certificates.parse_certificate(certificate)
        self._name = name
        self._fingerprint = identity.show_fingerprint(identity.fingerprint(certificate))
        self._addresses = certificates.addresses_in(parsed)
        self._ends = certificates.seconds_left(parsed, 0.0)
        self._next = self._ends - WARNING_SECONDS

    def loaded(self, now: float) -> list[Effect]:
        """The events of the start, or of a SIGHUP."""
        loaded = events.CertificateLoaded(
            fingerprint=self._fingerprint,
            addresses=self._addresses,
            expires_at=int(self._ends),
            days_left=self._days_left(now),
        )
        return [loaded, *self.on_deadline(now)]

    def next_deadline(self) -> float:
        return self._next

    def on_deadline(self, now: float) -> list[Effect]:
        """A warning a day from CERTIFICATE_WARNING_DAYS before the end, an error a day after it."""
        if now < self._next:
            return []
        self._next = now + limits.DAY_SECONDS
        renew = f"run `tsfarm pki renew {self._name}`, and send the daemon SIGHUP"
        ends = int(self._ends)
        if now >= self._ends:
            return [events.CertificateExpired(expires_at=ends, next_step=renew)]
        self._next = min(self._next, self._ends)
        left = self._days_left(now)
        return [events.CertificateExpiring(expires_at=ends, days_left=left, next_step=renew)]

    def _days_left(self, now: float) -> int:
        return int((self._ends - now) // limits.DAY_SECONDS)
