"""What the terminal server and its keeper say to each other over a Unix socket.

One message is one packet: a msgpack array that begins with the message's number. Descriptors
travel beside it. Only these two programs of one machine and one release line speak it, but an old
keeper outlives an upgrade: new fields go last, with a default.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tsproto.errors import ErrorCode

PACKET_BYTES = 256 * 1024  # a command of 32,768 characters takes at most 128 KiB
SESSIONS_PER_PACKET = 500


class Packet(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message of either side; `request_id` of an answer is its request's."""


class Program(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """What is to run, and as whom; `daemons.keeper.launch` gives it its meaning.

    `shell` empty means the account's own. `arguments` are an application's, and empty for a shell;
    `command` is run by the shell on a PTY that changes no byte of its output.
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
    """The sessions with an id above `after_id`, a packet's worth; answered by SessionList."""

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
    """SIGHUP to all programs of the session, SIGKILL to those that are left a little later."""

    session_id: int


class Forget(Packet, frozen=True, gc=False, tag=5):
    """The session's end is known: its PTY, ring and exit status are no longer needed."""

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
    """The program that began the session has ended; output may still be in the PTY."""

    session_id: int
    exit_status: int


Request: TypeAlias = ListSessions | StartSession | FetchSession | HangUp | Forget
Reply: TypeAlias = SessionList | Descriptors | CannotStart | Ended

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
