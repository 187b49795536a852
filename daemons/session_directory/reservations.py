"""Reservations: sessions that are to start, and the numbers that order the directory's decisions.

A number is the time in microseconds, or one more than the last number. So numbers rise across
restarts of the directory, which remembers nothing, as long as its clock does. A restart on a clock
that is behind is made good by the numbers that terminal servers report; one of them that lies about
its numbers moves them by CLOCK_ERROR_SECONDS at most.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from daemons.session_directory import records
from daemons.session_directory.records import Reservation
from tsproto import limits
from tsproto.messages import SessionRow


class Reservations:
    """At most one reservation for a user and application; each lasts `reservation_seconds`."""

    def __init__(self, reservation_seconds: float) -> None:
        self._reservation_seconds = reservation_seconds
        self._last = 0
        # In order of expiry: all last equally long, and a renewed one goes to the end.
        self._by_number: dict[int, Reservation] = {}
        self._by_user: dict[tuple[str, str], int] = {}
        self._pending: Counter[str] = Counter()

    def is_full_for(self, server: str) -> bool:
        """Whether this terminal server has as many reservations as are free. So one alone gets half
        of RESERVATIONS_MAX, and leaves room for any other."""
        return self.pending(server) >= records.RESERVATIONS_MAX - len(self._by_number)

    def pending(self, server: str) -> int:
        """How many sessions are reserved on this terminal server."""
        return self._pending[server]

    def find(self, user_name: str, application: str) -> Reservation | None:
        number = self._by_user.get((user_name, application))
        return None if number is None else self._by_number[number]

    def reported(self, placement: int, now: float) -> None:
        """A terminal server reported this number: give only higher ones. One further ahead of the
        clock than CLOCK_ERROR_SECONDS was never given, and does not count."""
        if placement <= _number_at(now + limits.CLOCK_ERROR_SECONDS):
            self._last = max(self._last, placement)

    def reserve(self, user_name: str, application: str, server: str, now: float) -> Reservation:
        """Reserve on `server` under a new number, in place of the user's other reservation."""
        superseded = self.find(user_name, application)
        if superseded is not None:
            self._drop(superseded)
        self._last = max(self._last + 1, _number_at(now))
        reservation = Reservation(
            user_name=user_name,
            application=application,
            server=server,
            placement=self._last,
            expires_at=now + self._reservation_seconds,
        )
        self._keep(reservation)
        return reservation

    def renew(self, reservation: Reservation, now: float) -> None:
        """Another logon of the same user waits for this session: keep it as long as a new one."""
        self._drop(reservation)
        expires_at = now + self._reservation_seconds
        self._keep(msgspec.structs.replace(reservation, expires_at=expires_at))

    def fulfil(self, row: SessionRow) -> None:
        """Drop the reservation that this session was started under."""
        reservation = self._by_number.get(row.placement)
        if reservation is None or reservation.server != row.host:
            return
        if (reservation.user_name, reservation.application) == (row.user_name, row.application):
            self._drop(reservation)

    def cancel(self, server: str, placement: int) -> bool:
        """Drop a reservation that its server gives up; False when it has none of this number."""
        reservation = self._by_number.get(placement)
        if reservation is None or reservation.server != server:
            return False
        self._drop(reservation)
        return True

    def forget_server(self, server: str) -> None:
        for reservation in [r for r in self._by_number.values() if r.server == server]:
            self._drop(reservation)

    def next_deadline(self) -> float | None:
        for first in self._by_number.values():
            return first.expires_at
        return None

    def expire(self, now: float) -> list[Reservation]:
        """Drop and return the expired ones."""
        expired = []
        for reservation in self._by_number.values():
            if reservation.expires_at > now:
                break
            expired.append(reservation)
        for reservation in expired:
            self._drop(reservation)
        return expired

    def _keep(self, reservation: Reservation) -> None:
        self._by_number[reservation.placement] = reservation
        self._by_user[reservation.user_name, reservation.application] = reservation.placement
        self._pending[reservation.server] += 1

    def _drop(self, reservation: Reservation) -> None:
        del self._by_number[reservation.placement]
        del self._by_user[reservation.user_name, reservation.application]
        self._pending[reservation.server] -= 1
        if not self._pending[reservation.server]:
            del self._pending[reservation.server]


def _number_at(now: float) -> int:
    return int(now * 1_000_000)
