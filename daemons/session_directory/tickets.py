"""One-time tickets: a redirected user is not asked for the password again.

A ticket is 16 random bytes that stand for what the directory remembers; there is nothing to forge.
"""

from __future__ import annotations

from daemons.effects import Randomness
from daemons.session_directory import records
from daemons.session_directory.records import Ticket

TICKET_BYTES = 16


class Tickets:
    """Tickets that were issued and not yet shown; each lasts `ticket_seconds`."""

    def __init__(self, ticket_seconds: float, rng: Randomness) -> None:
        self._ticket_seconds = ticket_seconds
        self._rng = rng
        # In the order of expiry: all last equally long.
        self._issued: dict[bytes, Ticket] = {}

    def is_full(self) -> bool:
        return len(self._issued) >= records.TICKETS_MAX

    def issue(
        self,
        *,
        user_name: str,
        application: str,
        device_id: bytes,
        host: str,
        session_id: int,
        placement: int,
        now: float,
    ) -> bytes:
        secret = self._rng.randbytes(TICKET_BYTES)
        self._issued[secret] = Ticket(
            user_name=user_name,
            application=application,
            device_id=device_id,
            host=host,
            session_id=session_id,
            placement=placement,
            expires_at=now + self._ticket_seconds,
        )
        return secret

    def redeem(
        self, secret: bytes, *, host: str, device_id: bytes, user_name: str, now: float
    ) -> Ticket | str:
        """The ticket, or which check it failed: for the log, never for the one who asks.

        Any attempt uses the ticket up. One that is shown by the wrong device, or at the wrong host,
        has leaked, and its owner has a password.
        """
        ticket = self._issued.pop(secret, None)
        if ticket is None:
            return "unknown or used"
        if ticket.expires_at <= now:
            return "expired"
        if ticket.host != host:
            return "for another host"
        if ticket.device_id != device_id:
            return "for another device"
        if ticket.user_name != user_name:
            return "for another user"
        return ticket

    def forget_host(self, host: str) -> None:
        self._issued = {secret: t for secret, t in self._issued.items() if t.host != host}

    def next_deadline(self) -> float | None:
        for first in self._issued.values():
            return first.expires_at
        return None

    def expire(self, now: float) -> None:
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            del self._issued[next(iter(self._issued))]
