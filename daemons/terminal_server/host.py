"""What a host must not forget: its grace period, and which session ids it gave out.

The grace period lets devices in while no license server answers. It runs from the first accepted
connection of any kind and ends with the first full token, or after `grace_days`, for good: that it
is over is remembered as soon as it is seen.
"""

from __future__ import annotations

import msgspec

from daemons.effects import Effect, Persist
from daemons.terminal_server.records import HostRecord
from tsproto.limits import DAY_SECONDS

# Ids are reserved so many at a time: a crash skips the rest of a block and reuses none.
SESSION_IDS_RESERVED = 64


class Host:
    """`used_ids` are the sessions found at start: none of their ids is given out again."""

    def __init__(self, record: HostRecord, grace_days: int, used_ids: list[int]) -> None:
        self._record = record
        self._grace_seconds = grace_days * DAY_SECONDS
        self._next_id = max([record.next_session_id, *(used + 1 for used in used_ids)])

    @property
    def next_session_id(self) -> int:
        return self._next_id

    def rows(self) -> list[HostRecord]:
        """None for a host to which nothing has happened yet."""
        return [] if self._record == HostRecord(name=self._record.name) else [self._record]

    @property
    def grace_ends_at(self) -> int:
        """Unix seconds; 0 when there is no grace period, it has not begun, or a full token ended
        it."""
        record = self._record
        if not self._grace_seconds or not record.grace_started_at or record.grace_over:
            return 0
        return record.grace_started_at + self._grace_seconds

    def grace_left_until(self, now: float) -> int:
        """When the grace period will end if a connection is accepted now; 0 when it is over."""
        if not self._grace_seconds or self._record.grace_over:
            return 0
        ends_at = (self._record.grace_started_at or int(now)) + self._grace_seconds
        return ends_at if now < ends_at else 0

    def on_connection_accepted(self, now: float) -> list[Effect]:
        """The first accepted connection begins the grace period."""
        if self._record.grace_started_at:
            return []
        return self._change(msgspec.structs.replace(self._record, grace_started_at=int(now)))

    def on_full_token(self) -> list[Effect]:
        """The first full token, seen or issued here, ends the grace period."""
        return self._end_grace()

    def end_grace_in_time(self, now: float) -> list[Effect]:
        """Remember that the days are over: a clock that is set back begins no new ones."""
        started_at = self._record.grace_started_at
        if not self._grace_seconds or not started_at or now < started_at + self._grace_seconds:
            return []
        return self._end_grace()

    def _end_grace(self) -> list[Effect]:
        if self._record.grace_over:
            return []
        return self._change(msgspec.structs.replace(self._record, grace_over=True))

    def take_session_id(self) -> tuple[int, list[Effect]]:
        taken = self._next_id
        self._next_id += 1
        if taken < self._record.next_session_id:
            return taken, []
        reserved = taken + SESSION_IDS_RESERVED
        return taken, self._change(msgspec.structs.replace(self._record, next_session_id=reserved))

    def _change(self, record: HostRecord) -> list[Effect]:
        self._record = record
        return [Persist(put=(record,))]
