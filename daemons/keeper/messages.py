"""The messages between the terminal server and its keeper, over a Unix socket.

One message is one packet: a msgpack array that begins with the message's number, sent with its
descriptors. Both programs run on one machine, but a keeper of an older version outlives an upgrade:
new fields go last, with a default.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tsproto.errors import ErrorCode
from tsproto.messages import AccountStatement, PasswordStatement
from tsproto.statements import Standing
from tsproto.user_proof import Asked

PACKET_BYTES = 256 * 1024  # a command of 32,768 characters takes at most 128 KiB
SESSIONS_PER_PACKET = 500
STATUS_UNKNOWN = 255


class Packet(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Any message. An answer has the `request_id` of its request."""


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


class Challenge(Packet, frozen=True, gc=False, tag=6):
    """Asks for a challenge for a user on a link of the terminal server; answered by Challenged or
    NotProved. `certificate` is the one that the client saw, and must be the host's; `address` is
    the client's, for PAM's rules and records. `session_id` and `attachment` are those of a session
    that the device wants to resume, 0 for none."""

    request_id: int
    user_name: str
    device_id: bytes
    certificate: bytes
    key_fingerprints: tuple[bytes, ...]
    address: str = ""
    session_id: int = 0
    attachment: int = 0


class Prove(Packet, frozen=True, gc=False, tag=7):
    """Spends the nonce; answered by Proved, Prompted (PAM) or NotProved. The keeper makes the bytes
    that should have been signed itself, from the challenge and `asked`."""

    request_id: int
    nonce: bytes
    method: int
    algorithm: str
    signature: bytes
    asked: Asked


class PamAnswer(Packet, frozen=True, gc=False, tag=8):
    """Answers of the prompts of this round; answered as Prove."""

    request_id: int
    nonce: bytes
    round: int
    answers: tuple[bytes, ...]


class StartProved(Packet, frozen=True, gc=False, tag=9):
    """Starts a session for a proof, once, within PROOF_SECONDS, for the same `asked`; answered by
    Descriptors once the program runs, or by CannotStart. Everything else about the program is the
    keeper's own configuration."""

    request_id: int
    session_id: int
    proof_id: int
    asked: Asked
    columns: int
    rows: int
    terminal: str
    lang: str
    tz: str
    colorterm: str


class Shown(Packet, frozen=True, gc=False, tag=10):
    """Spends the proof: its user's session is shown, by the proof's device, for the `attachment`th
    time. No answer."""

    session_id: int
    proof_id: int
    attachment: int


class Take(Packet, frozen=True, gc=False, tag=24):
    """Stores what a statement changes of an account, once the keeper has verified it; answered by
    Taken or NotTaken."""

    request_id: int
    statement: AccountStatement | PasswordStatement


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


class Adopt(Packet, frozen=True, gc=False, tag=20):
    """Gives a session of an earlier keeper to this one, with the two descriptors that Descriptors
    gave; answered by Adopted, or by CannotStart when the keeper's record does not confirm it."""

    request_id: int
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
    """The session's program has ended; the PTY may still hold output. STATUS_UNKNOWN for an adopted
    program, whose status only the keeper that started it could have learned."""

    session_id: int
    exit_status: int


class Challenged(Packet, frozen=True, gc=False, tag=15):
    """Fields as in LogonChallenge."""

    request_id: int
    nonce: bytes
    time: int
    methods: int
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    key_fingerprint: bytes
    resume_seconds: int


class Prompted(Packet, frozen=True, gc=False, tag=16):
    request_id: int
    round: int
    prompts: tuple[tuple[str, bool], ...]
    notices: tuple[str, ...]


class Proved(Packet, frozen=True, gc=False, tag=17):
    request_id: int
    proof_id: int
    generation: int
    system_user: str
    notices: tuple[str, ...]


class NotProved(Packet, frozen=True, gc=False, tag=18):
    request_id: int
    code: ErrorCode
    detail: str
    retry_after_seconds: int


class Adopted(Packet, frozen=True, gc=False, tag=21):
    request_id: int


class Taken(Packet, frozen=True, gc=False, tag=25):
    request_id: int
    standing: Standing


class NotTaken(Packet, frozen=True, gc=False, tag=26):
    request_id: int
    code: ErrorCode
    detail: str


Request: TypeAlias = (
    ListSessions
    | FetchSession
    | HangUp
    | Forget
    | Challenge
    | Prove
    | PamAnswer
    | StartProved
    | Shown
    | Adopt
    | Take
)
Reply: TypeAlias = (
    SessionList
    | Descriptors
    | CannotStart
    | Ended
    | Challenged
    | Prompted
    | Proved
    | NotProved
    | Adopted
    | Taken
    | NotTaken
)

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
