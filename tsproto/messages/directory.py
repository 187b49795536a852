"""What a terminal server tells its session directory, and asks of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *


class SessionRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A session as the directory keeps it ([Win32_SessionDirectorySession])."""

    host: Name  # terminal server that the session runs on
    session_id: SessionId  # number of the session on its host, never 0
    user_name: UserName  # whose session it is
    application: OptionalName  # which application it runs; empty for a shell
    state: SessionState  # what it does now
    created_at: Seconds  # when it began
    disconnected_at: Seconds = 0  # since when no client shows it; 0 while one does
    placement: Placement = 0  # the highest placement that led to it; 0 for none
    columns: Columns = 80
    rows: Rows = 24
    device_name: DeviceName = ""  # device that shows it, or showed it last
    # the directory's for this session; a row without one is named to its user, and nobody is led
    # to it unasked
    receipt: Receipt = b""


EXAMPLE_SESSION = SessionRow(
    host="ts1",
    session_id=7,
    user_name="user1",
    application="",
    state=SessionState.ACTIVE,
    created_at=examples.NOW,
    placement=examples.PLACEMENT,
    device_name="laptop",
)


class UserProof(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A user's proof as a terminal server got it, for a directory that has the accounts: with its
    own farm, the asking host's name and certificate, user and application it gives the bytes that
    the user signed. Nobody keeps, logs or shows it."""

    nonce: Nonce
    time: Seconds
    device_id: DeviceId
    method: MethodNumber
    methods: MethodFlags
    salt: Salt
    memory_kib: MemoryKib
    passes: Passes
    lanes: Lanes
    session_id: SessionId  # as in LogonStart
    attachment: Attachment  # as in LogonStart
    key_fingerprint: OptionalFingerprint  # of the SSH key that signed; empty for none
    algorithm: Algorithm
    signature: Signature


EXAMPLE_PROOF = UserProof(
    nonce=examples.NONCE,
    time=examples.NOW,
    device_id=examples.DEVICE_ID,
    method=1,
    methods=3,
    **examples.ARGON2,
    session_id=0,
    attachment=0,
    key_fingerprint=b"",
    algorithm="ed25519",
    signature=examples.USER_SIGNATURE,
)


class JoinFarm(Message, tag=50, kw_only=True):
    """A terminal server's link is up: it stands under its certificate's name, SYNCHRONIZING until
    the last of its sessions was sent. What was known of it stands until then."""

    entry = Entry.request(TERMINAL_SERVER, SESSION_DIRECTORY, "Joined")

    address: Host  # where clients reach the terminal server
    port: Port  # TCP port there
    # random, new with each start of the terminal server: tells a restart from a broken link, for
    # people to read; nothing is decided by it
    incarnation: Id16
    weight: Weight = 100
    # how many sessions it may have; with 0 none is placed on it
    sessions_max: Count = limits.SESSIONS_PER_SERVER_MAX

    example = {
        "address": "192.0.2.11",
        "port": 5600,
        "incarnation": bytes.fromhex("bd2ceedb65d8f3d242d3d2cce5cc36f1"),
    }


class Joined(Message, tag=51, kw_only=True):
    """The terminal server sends its sessions now."""

    entry = Entry.answer(SESSION_DIRECTORY)

    generation: Id16  # random, new with each start of the directory

    example = {"generation": bytes.fromhex("e661f4c935e8a5a83349afb5e347695c")}


class SyncSessions(Message, tag=52, kw_only=True):
    """A part of the whole list; with `last` the list is complete and replaces the rows that were
    known."""

    entry = Entry.request(TERMINAL_SERVER, SESSION_DIRECTORY, "Done")

    # a part of the sender's sessions
    sessions: Annotated[list[SessionRow], Meta(max_length=limits.SESSIONS_PER_MESSAGE)]
    last: bool  # whether the list is complete with this part

    example = {"sessions": [EXAMPLE_SESSION], "last": True}


class PlaceSession(Message, tag=53, kw_only=True):
    """A user is here, with this proof: where does their session for this application belong?
    Decided and reserved in one step, so that two logons in one instant get one answer."""

    entry = Entry.request(TERMINAL_SERVER, SESSION_DIRECTORY, "SessionPlaced")

    user_name: UserName  # who has logged on
    application: OptionalName  # what is to run; empty for a shell
    # host that the client could not reach, so that the user is placed anew; empty for none
    avoid: OptionalName = ""
    trace_id: TraceId = ""
    # the user's proof; none where PAM or a device proved the user
    proof: Annotated[list[UserProof], Meta(max_length=1)] = []
    # with `redirected` the session that the Redirect named; else a session of the sender for which
    # it wants a receipt; 0 for none
    session_id: SessionId = 0
    redirected: bool = False  # whether a Redirect led the client here

    example = {"user_name": "user1", "application": "", "proof": [EXAMPLE_PROOF]}


class SessionPlaced(Message, tag=54, kw_only=True):
    """The user's session is or will be on `host`. With `session_id` 0 it is not there yet: start
    it, or wait for its start."""

    entry = Entry.answer(SESSION_DIRECTORY)

    # for a session that is there its row's, which may be 0; else the reservation's, which goes into
    # the session's row
    placement: Placement
    host: Name  # terminal server that the user belongs on
    address: Host  # where clients reach it
    port: Port  # TCP port there
    session_id: SessionId = 0  # the session there; 0 when it is still to start
    receipt: Receipt = b""  # for the row of the session; empty when it is on another host
    # the user's other sessions for this application, on any host
    others: Annotated[list[SessionRow], Meta(max_length=limits.SESSIONS_PER_MESSAGE)] = []

    example = {
        "placement": examples.PLACEMENT,
        "host": "ts2",
        "address": "192.0.2.12",
        "port": 5600,
        "session_id": 7,
    }


class UpdateSession(Message, tag=55, kw_only=True):
    """A session of the sender was added or has changed. An update with a lower placement than the
    row's is ignored, and so is one that is not about a session of a host that has joined."""

    entry = Entry.notice(TERMINAL_SERVER, SESSION_DIRECTORY)

    session: SessionRow  # the session as it is now

    example = {"session": EXAMPLE_SESSION}


class RemoveSession(Message, tag=56, kw_only=True):
    """A session of the sender has ended, or (`session_id` 0) a placement came to nothing: only the
    host on which it was reserved gives it up, by its exact number."""

    entry = Entry.notice(TERMINAL_SERVER, SESSION_DIRECTORY)

    session_id: SessionId  # the session that has ended; 0 when a placement came to nothing
    placement: Placement  # as in its row, or the placement that came to nothing
    user_name: UserName  # whose session it was, for people to read; it is not compared

    example = {"session_id": 7, "placement": examples.PLACEMENT, "user_name": "user1"}
