"""One-time tickets: a redirected user is not asked for the password again.

A ticket is 16 random bytes, the key of an entry in the directory's memory: it cannot be forged.
"""

from __future__ import annotations

from daemons.effects import Randomness
from daemons.session_directory import records
from daemons.session_directory.records import Ticket

TICKET_BYTES = 16


class Tickets:
    """Issued tickets that are not redeemed yet; each lasts `ticket_seconds`."""

    def __init__(self, ticket_seconds: float, rng: Randomness) -> None:
        self._ticket_seconds = ticket_seconds
        self._rng = rng
        # In order of expiry: all last equally long.
        self._issued: dict[bytes, Ticket] = {}

    def is_full(self) -> bool:
        return len(self._issued) >= records.TICKETS_MAX

    def issue(
        self,
        *,
        user_name: str,
        application: str,
        device_id: bytes,
        server: str,
        session_id: int,
        placement: int,
        now: float,
    ) -> bytes:
        secret = self._rng.randbytes(TICKET_BYTES)
        self._issued[secret] = Ticket(
            user_name=user_name,
            application=application,
            device_id=device_id,
            server=server,
            session_id=session_id,
            placement=placement,
            expires_at=now + self._ticket_seconds,
        )
        return secret

    def redeem(
        self, secret: bytes, *, server: str, device_id: bytes, user_name: str, now: float
    ) -> Ticket | str:
        """The ticket, or which check it failed: for the log, never for the client.

        Any attempt uses the ticket up: if another device or server shows it, it has leaked, and its
        owner can log on with the password.
        """
        ticket = self._issued.pop(secret, None)
        if ticket is None:
            return "unknown or used"
        if ticket.expires_at <= now:
            return "expired"
        if ticket.server != server:
            return "for another terminal server"
        if ticket.device_id != device_id:
            return "for another device"
        if ticket.user_name != user_name:
            return "for another user"
        return ticket

    def forget_server(self, server: str) -> None:
        self._issued = {secret: t for secret, t in self._issued.items() if t.server != server}

    def next_deadline(self) -> float | None:
        for first in self._issued.values():
            return first.expires_at
        return None

    def expire(self, now: float) -> None:
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            del self._issued[next(iter(self._issued))]
