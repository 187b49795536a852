"""Two connections that talk to each other, and frames made by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from tsproto.connection import Closed, Connection, Event
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LicenseAccepted,
    LicenseKind,
    LinkState,
    LogonAccepted,
    LogonStart,
    Role,
)

NAMES = {
    Role.CLIENT: "laptop1",
    Role.TERMINAL_SERVER: "ts1",
    Role.LICENSE_SERVER: "ls1",
    Role.SESSION_DIRECTORY: "sd1",
    Role.ADMINISTRATOR: "admin",
}


def dialler(role: Role, **more: Any) -> Connection:
    return Connection(role, NAMES[role], dialling=True, now=0.0, **more)


def listener(role: Role, **more: Any) -> Connection:
    return Connection(role, NAMES[role], dialling=False, now=0.0, **more)


def opened(dialling: Role, listening: Role) -> tuple[Connection, Connection]:
    """A dialler and a listener past Hello and Welcome, at the moment 0."""
    ends = dialler(dialling), listener(listening)
    talk(*ends)
    return ends


def logged_on() -> tuple[Connection, Connection]:
    """A client and a terminal server in SESSION."""
    client, server = opened(Role.CLIENT, Role.TERMINAL_SERVER)
    server.send(LicenseAccepted(kind=LicenseKind.TEMPORARY))
    talk(server, client)
    client.send(logon_start())
    talk(client, server)
    server.send(logon_accepted())
    talk(server, client)
    assert client.state is server.state is LinkState.SESSION
    return client, server


def logon_start() -> LogonStart:
    return LogonStart(user_name="user1")


def logon_accepted() -> LogonAccepted:
    return LogonAccepted(
        host="ts1", session_id=1, user_name="user1", reattached=False, created_at=0
    )


def talk(speaker: Connection, hearer: Connection, now: float = 0.0) -> list[Event]:
    """Deliver what the speaker has to say, then what the hearer replies; the hearer's events."""
    events = hearer.receive_data(speaker.data_to_send(), now)
    speaker.receive_data(hearer.data_to_send(), now)
    return events


def frame(body: bytes, kind: int = 0) -> bytes:
    return struct.pack(">BIb", 0xC9, len(body), kind) + body


def message_frame(*fields: object) -> bytes:
    """A message as any other implementation might write it."""
    return frame(msgspec.msgpack.encode(fields))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def code_of(events: list[Event]) -> ErrorCode | None:
    """The code with which the connection ended, if it did."""
    return next((event.code for event in events if isinstance(event, Closed)), None)
