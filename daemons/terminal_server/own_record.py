"""The terminal server's own durable record: its grace period, and the session ids it gave out.

The grace period lets devices in while no license server answers. It runs from the first accepted
connection of any kind and ends with the first full token, or after `grace_days`, for good: that it
is over is recorded as soon as it is seen.
"""

from __future__ import annotations

from typing import Any

import msgspec

from daemons.effects import Effect, Persist
from daemons.terminal_server.records import ServerRecord
from tsproto.limits import DAY_SECONDS

# Ids are reserved so many at a time: a crash skips the rest of a block and reuses none.
SESSION_IDS_RESERVED = 64


class OwnRecord:
    def __init__(self, record: ServerRecord) -> None:
        self.record = record

    def rows(self) -> list[ServerRecord]:
        """None on a server to which nothing has happened yet."""
        return [] if self.record == ServerRecord(name=self.record.name) else [self.record]

    def change(self, **fields: Any) -> list[Effect]:
        self.record = msgspec.structs.replace(self.record, **fields)
        return [Persist(put=(self.record,))]


class GracePeriod:
    def __init__(self, own: OwnRecord, days: int) -> None:
        self._own = own
        self._seconds = days * DAY_SECONDS

    @property
    def ends_at(self) -> int:
        """Unix seconds; 0 when there is no grace period, it has not begun, or a full token ended
        it."""
        record = self._own.record
        if not self._seconds or not record.grace_started_at or record.grace_over:
            return 0
        return record.grace_started_at + self._seconds

    def left_until(self, now: float) -> int:
        """When the grace period will end if a connection is accepted now; 0 when it is over."""
        record = self._own.record
        if not self._seconds or record.grace_over:
            return 0
        ends_at = (record.grace_started_at or int(now)) + self._seconds
        return ends_at if now < ends_at else 0

    def on_connection_accepted(self, now: float) -> list[Effect]:
        """The first accepted connection begins the grace period."""
        if self._own.record.grace_started_at:
            return []
        return self._own.change(grace_started_at=int(now))

    def on_full_token(self) -> list[Effect]:
        """The first full token, seen or issued here, ends the grace period."""
        return self._end()

    def end_in_time(self, now: float) -> list[Effect]:
        """Record that the days are over: a clock that is set back begins no new ones."""
        started_at = self._own.record.grace_started_at
        if not self._seconds or not started_at or now < started_at + self._seconds:
            return []
        return self._end()

    def _end(self) -> list[Effect]:
        return [] if self._own.record.grace_over else self._own.change(grace_over=True)


class SessionIds:
    """`used` are the ids of sessions found at start: none of them is given out again."""

    def __init__(self, own: OwnRecord, used: list[int]) -> None:
        self._own = own
        self.next_id = max([own.record.next_session_id, *(each + 1 for each in used)])

    def take(self) -> tuple[int, list[Effect]]:
        taken = self.next_id
        self.next_id += 1
        if taken < self._own.record.next_session_id:
            return taken, []
        return taken, self._own.change(next_session_id=taken + SESSION_IDS_RESERVED)
