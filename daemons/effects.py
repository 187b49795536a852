"""The effects that a core may decide, their outcomes, and the shape of a core.

A core is a plain object: it is told what happened and what time it is, changes its own memory, and
returns effects, small records of what is to be done. It never waits, never reads a clock, never
draws randomness that was not handed in. `daemons.switchboard` performs effects, with the hands of
`daemons.shell` under asyncio and with those of the simulator under virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import get_annotations
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, dataclass_transform

import msgspec

from tsproto.errors import ErrorCode
from tsproto.messages import AccountStatement, Message, PasswordStatement, Role
from tsproto.statements import Standing
from tsproto.user_proof import Asked, Method


class Randomness(Protocol):
    """The part of `random.Random` that cores use: `secrets.SystemRandom` in a daemon, a seeded
    `random.Random` in the simulator and in tests."""

    def randbytes(self, n: int, /) -> bytes: ...
    def randrange(self, start: int, stop: int, /) -> int: ...
    def random(self) -> float: ...


NO_CERTIFICATE = bytes(32)  # in place of a certificate's SHA-256, on a plain connection


class Endpoint(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where a daemon listens. `name` is demanded of its certificate, unless it is empty."""

    role: Role
    host: str
    port: int
    name: str = ""


class Peer(msgspec.Struct, frozen=True, gc=False):
    """The other end of one open connection; `link` is unique in this process and never reused.

    `dialled` is the endpoint that this daemon dialled, or None where the peer dialled.
    `certificate` is the SHA-256 of our own certificate's DER form as the peer saw it: devices and
    users sign it. `peer_certificate` is that of the peer's. Both are 32 zero bytes on a plain
    connection.
    """

    link: int
    role: Role
    name: str
    host: str
    port: int
    dialled: Endpoint | None = None
    certificate: bytes = NO_CERTIFICATE
    peer_certificate: bytes = NO_CERTIFICATE


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The sender of a message, to be answered; `request_id` is 0 for a notification."""

    peer: Peer
    request_id: int = 0


class Declared(msgspec.StructMeta):
    """Takes values of class variables beside a class's name: `class Row(Record, table="rows", …)`.
    The fields are keywords."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> Declared:
        kinds = [kind for base in bases for kind in base.__mro__]
        declared = {word for kind in kinds for word in get_annotations(kind)}
        said = {word: options.pop(word) for word in [*options] if word in declared}
        return super().__new__(mcs, name, bases, namespace | said, kw_only=True, **options)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, frozen=True, metaclass=Declared):
    """A durable row. A subclass names its `table` and its `key` columns; its fields are `str`,
    `int`, `float`, `bytes`, `bool` or an `IntEnum`, and become the columns."""

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]


R = TypeVar("R", bound=Record)
Records: TypeAlias = Mapping[type[Record], Sequence[Record]]


def records_of(kind: type[R], records: Records) -> list[R]:
    return [record for record in records.get(kind, ()) if isinstance(record, kind)]


class Durable(msgspec.Struct, frozen=True):
    """The state that a core has again after a crash: its rows, and values computed from them."""

    rows: frozenset[Record]
    derived: tuple[object, ...] = ()
    counters: tuple[int, ...] = ()
    """Numbers given out. A core made anew from the disk may be ahead of these, never behind."""


# --- effects ----------------------------------------------------------------------------------


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Something to be done to the world; performed in the order decided."""


class Answer(Effect, frozen=True, gc=False):
    """Answer a request; dropped in silence when the caller is gone."""

    caller: Caller
    message: Message


class Ask(Effect, frozen=True, gc=False):
    """Send a request over the one link to `endpoint`, dialling it when there is none.

    The answer, a `Refused` included, comes to `on_answer` with `question_id`; so does `Failed`,
    when the endpoint cannot be reached or does not answer within `timeout_seconds`.
    """

    endpoint: Endpoint
    message: Message
    question_id: int
    timeout_seconds: float


class Dial(Effect, frozen=True, gc=False):
    """Open the link to `endpoint` unless it is open: `on_peer_opened` follows for a new one, or
    `Failed` comes to `on_answer` with `question_id`."""

    endpoint: Endpoint
    question_id: int


class Tell(Effect, frozen=True, gc=False):
    """Send a notification, or a step of a client's procedure; dropped when the peer is gone."""

    peer: Peer
    message: Message


class Persist(Effect, frozen=True, gc=False):
    """Commit these records together. Effects decided later wait until they are durable."""

    put: tuple[Record, ...] = ()
    delete: tuple[Record, ...] = ()


class Close(Effect, frozen=True, gc=False):
    """Say Goodbye with this code and hang up; `on_peer_lost` does not follow."""

    peer: Peer
    code: ErrorCode
    detail: str = ""
    trace_id: str = ""
    retry_after_seconds: int = 0


class HangUp(Effect, frozen=True, gc=False):
    """As Close, but decided by the switchboard: `on_peer_lost` follows for the core."""

    peer: Peer
    code: ErrorCode
    detail: str = ""
    retry_after_seconds: int = 0


class Warp(Effect, frozen=True, gc=False):
    """Follow the lab's clock file, and answer WarpClock when everything due by then has happened.
    The switchboard decides it: no core is told of WarpClock."""

    caller: Caller


class Broadcast(Effect, frozen=True, gc=False):
    """Send a discovery datagram to the daemon's broadcast address and discovery port."""

    datagram: bytes


class SendDatagram(Effect, frozen=True, gc=False):
    """Send a discovery datagram to one address."""

    host: str
    port: int
    datagram: bytes


Performers = Mapping[type[Effect], Callable[[Any], None]]  # who performs which effects


# The terminal server's own effects, performed by its sessions (daemons.program_runner).


class Challenge(Effect, frozen=True, gc=False):
    """Have the keeper make a challenge for a user and device on a link from `address` that shows
    `certificate`;
    `Challenged` or `NotProved` comes to `on_answer` with `question_id`."""

    user_name: str
    device_id: bytes
    certificate: bytes
    key_fingerprints: tuple[bytes, ...]
    question_id: int
    address: str = ""
    session_id: int = 0
    attachment: int = 0


class Prove(Effect, frozen=True, gc=False):
    """Have the keeper check a proof of the challenge with this nonce, which is spent either way;
    `Proved` or `NotProved` comes to `on_answer` with `question_id`. With PAM `Prompted` may come
    first: a PamAnswer is owed then."""

    nonce: bytes
    method: Method
    algorithm: str
    signature: bytes
    asked: Asked
    question_id: int


class PamAnswer(Effect, frozen=True, gc=False):
    """Give the keeper what a user typed at its PAM prompts; outcomes as for Prove."""

    nonce: bytes
    round: int
    answers: tuple[bytes, ...]
    question_id: int


class Take(Effect, frozen=True, gc=False):
    """Verify a statement about an account, and store what it changes; `Taken` or `NotTaken` comes
    to `on_answer` with `question_id`."""

    statement: AccountStatement | PasswordStatement
    question_id: int


class StartProgram(Effect, frozen=True, gc=False):
    """Start the session that a proof was given for, on a new PTY through the keeper;
    `ProgramStarted` or `ProgramFailed` comes to `on_answer` with `question_id`.

    The proof `proof_id` is used up. `asked` repeats what was signed: its `application` names an
    entry of the keeper's configuration, empty means the account's shell; its `command` is run by
    the shell on a PTY without echo and without translation of its output.
    """

    session_id: int
    proof_id: int
    asked: Asked
    columns: int
    rows: int
    terminal: str
    lang: str
    tz: str
    colorterm: str
    question_id: int


class NoteShown(Effect, frozen=True, gc=False):
    """Tell the keeper that the device of this proof shows the session: it may resume it."""

    session_id: int
    proof_id: int
    attachment: int


class Attach(Effect, frozen=True, gc=False):
    """Show a session to this client: restore its screen unless it is `fresh`, then pump bytes both
    ways until Detach, the program's end, or the loss of either side."""

    peer: Peer
    session_id: int
    columns: int
    rows: int
    fresh: bool


class Detach(Effect, frozen=True, gc=False):
    """Stop showing a session; its program goes on, its output is still read."""

    session_id: int


class Resize(Effect, frozen=True, gc=False):
    session_id: int
    columns: int
    rows: int


class EndProgram(Effect, frozen=True, gc=False):
    """Hang up on a session's programs (SIGHUP, then SIGKILL); `on_program_ended` follows."""

    session_id: int


# --- what comes back to on_answer besides messages ---------------------------------------------


class Failed(msgspec.Struct, frozen=True, gc=False):
    """An Ask got no answer, or a Dial no link: UNREACHABLE, UNANSWERED, BUSY, CONNECTION_LOST, a
    certificate's fault, or the code of the peer's Goodbye."""

    code: ErrorCode
    detail: str = ""


class Challenged(msgspec.Struct, frozen=True, gc=False):
    """The keeper's challenge; fields as in LogonChallenge."""

    nonce: bytes
    time: int
    methods: int
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    key_fingerprint: bytes = b""
    resume_seconds: int = 0


class Prompted(msgspec.Struct, frozen=True, gc=False):
    """PAM asks the user; fields as in PamPrompt."""

    round: int
    prompts: tuple[tuple[str, bool], ...]
    notices: tuple[str, ...] = ()


class Proved(msgspec.Struct, frozen=True, gc=False):
    """The user is proved. One session may be started with `proof_id`, within PROOF_SECONDS.
    `generation` is that of the account, whose sessions run as `system_user`."""

    proof_id: int
    generation: int
    system_user: str
    notices: tuple[str, ...] = ()


class NotProved(msgspec.Struct, frozen=True, gc=False):
    """LOGON_FAILED: an unknown user and a wrong proof are alike. LOGON_BUSY: nothing was checked.
    ACCOUNT_UNUSABLE: the proof was good, and no session may run as the account's system user."""

    code: ErrorCode
    detail: str = ""
    retry_after_seconds: int = 0


class Taken(msgspec.Struct, frozen=True, gc=False):
    """The statement is stored, if it is not overtaken."""

    standing: Standing


class NotTaken(msgspec.Struct, frozen=True, gc=False):
    """LOGON_FAILED: the signature is not this user's, or there is no such user with a password.
    NOT_PERMITTED: something else of the statement is wrong. BUSY: it was not looked at."""

    code: ErrorCode
    detail: str


class ProgramStarted(msgspec.Struct, frozen=True, gc=False):
    pid: int


class ProgramFailed(msgspec.Struct, frozen=True, gc=False):
    detail: str
    code: ErrorCode = ErrorCode.PROGRAM_FAILED


Outcome: TypeAlias = (
    Message
    | Failed
    | Challenged
    | Prompted
    | Proved
    | NotProved
    | Taken
    | NotTaken
    | ProgramStarted
    | ProgramFailed
)


class Core(Protocol):
    """The shape that all daemons share.

    Every `on_…` is given `now`, Unix seconds that never go backwards within a process, and returns
    the effects of what it decided. `next_deadline` says when `on_deadline` is to be called.
    """

    def on_start(self, now: float) -> list[Effect]: ...
    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]: ...
    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]: ...
    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]: ...
    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]: ...
    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]: ...
    def next_deadline(self) -> float | None: ...
    def on_deadline(self, now: float) -> list[Effect]: ...


def earliest(*deadlines: float | None) -> float | None:
    """The first of these to come; None stands for never."""
    found = None
    for deadline in deadlines:
        if deadline is not None and (found is None or deadline < found):
            found = deadline
    return found
