"""The messages between the terminal server and its keeper, over a Unix socket.

One message is one packet: a msgpack array that begins with the message's number, sent with its
descriptors. Both programs run on one machine, but a keeper of an older version outlives an upgrade:
new fields go last, with a default.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tsproto.errors import ErrorCode

PACKET_BYTES = 256 * 1024  # a command of 32,768 characters takes at most 128 KiB
SESSIONS_PER_PACKET = 500


class Packet(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Any message. An answer has the `request_id` of its request."""


class Program(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """The program of a session, see `daemons.keeper.launch`.

    `shell` empty means the account's own. `arguments` start an application and are empty for a
    shell. A `command` is run by the shell on a PTY that changes no byte of its output.
    """

    session_id: int
    system_user: str
    allow_root: bool
    shell: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    command: str = ""
    folder: str = ""
    terminal: str = "xterm-256color"


class KeptSession(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`exit_status` is as a shell reports it, None while the program runs."""

    session_id: int
    pid: int
    exit_status: int | None


# From the terminal server.


class ListSessions(Packet, frozen=True, gc=False, tag=1):
    """Asks for sessions with an id above `after_id`, at most a packet; answered by SessionList."""

    request_id: int
    after_id: int


class StartSession(Packet, frozen=True, gc=False, tag=2):
    """Answered by Descriptors once the program runs, or by CannotStart."""

    request_id: int
    program: Program
    columns: int
    rows: int
    ring_bytes: int


class FetchSession(Packet, frozen=True, gc=False, tag=3):
    """Answered by Descriptors, or by CannotStart for an unknown session."""

    request_id: int
    session_id: int


class HangUp(Packet, frozen=True, gc=False, tag=4):
    """Sends SIGHUP to all programs of the session, and SIGKILL later to those that still run."""

    session_id: int


class Forget(Packet, frozen=True, gc=False, tag=5):
    """Drops the session's PTY, ring and exit status."""

    session_id: int


# From the keeper.


class SessionList(Packet, frozen=True, gc=False, tag=11):
    request_id: int
    sessions: tuple[KeptSession, ...]
    more: bool


class Descriptors(Packet, frozen=True, gc=False, tag=12):
    """Comes with two descriptors: the PTY's master and the session's ring."""

    request_id: int
    pid: int


class CannotStart(Packet, frozen=True, gc=False, tag=13):
    request_id: int
    code: ErrorCode
    detail: str


class Ended(Packet, frozen=True, gc=False, tag=14):
    """The session's program has ended; the PTY may still hold output."""

    session_id: int
    exit_status: int


Request: TypeAlias = ListSessions | StartSession | FetchSession | HangUp | Forget
Reply: TypeAlias = SessionList | Descriptors | CannotStart | Ended

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
