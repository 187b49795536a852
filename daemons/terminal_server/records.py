"""Durable rows of a terminal server: its own one, and its sessions.

A session that runs one command has no record: it ends with its connection, and with the daemon.
"""

from __future__ import annotations

from daemons.effects import Record
from daemons.statements import PasswordRecord
from tsproto.messages import SessionState


class ServerRecord(Record, table="host", key=("name",)):
    """One row. `grace_started_at` is Unix seconds, 0 before the first accepted connection;
    `grace_over` is set by the first full token, or when its days were seen to be over. Session
    ids below `next_session_id` were given out, or never will be.
    """

    name: str
    grace_started_at: int = 0
    grace_over: bool = False
    next_session_id: int = 1


class SessionRecord(Record, table="sessions", key=("session_id",)):
    """A session on a PTY. `attachment` counts how often it was shown, by `device_id` last;
    `generation` is the account's at that time. `receipt` is the directory's for this session."""

    session_id: int
    user_name: str
    system_user: str
    application: str
    state: SessionState
    created_at: int
    disconnected_at: int
    placement: int
    columns: int
    rows: int
    device_id: bytes
    device_name: str
    attachment: int
    generation: int
    receipt: bytes


RECORDS: tuple[type[Record], ...] = (ServerRecord, SessionRecord, PasswordRecord)
