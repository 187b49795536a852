"""The table: every message of the protocol, declared once.

A message's class says its number (`tag`), its fields with type, bound and meaning, and its `row`:
who sends it to whom, in which state of the connection, what it leads to and how it is answered.
Encoding, validation, the order a connection enforces, the reference and the conformance cases all
come from here. Fields are positional: new ones go last, with a default; numbers are never reused.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.errors import ErrorCode


class Role(IntEnum):
    """What an end of a connection is; of all but clients it stands in the certificate."""

    CLIENT = 1
    TERMINAL_SERVER = 2
    LICENSE_SERVER = 3
    SESSION_DIRECTORY = 4
    ADMINISTRATOR = 5


class LinkState(Enum):
    """How far a connection is. A client's goes OPENING, LICENSING, LOGON, SESSION; every other one
    OPENING, SERVICE. After LEAVING only a Goodbye is lawful.
    """

    OPENING = "opening"
    SERVICE = "service"
    LICENSING = "licensing"
    LOGON = "logon"
    SESSION = "session"
    LEAVING = "leaving"
    CLOSED = "closed"


class Kind(Enum):
    """REQUEST wants an answer to its request id; ANSWER carries that id; NOTIFICATION has id 0."""

    REQUEST = "request"
    ANSWER = "answer"
    NOTIFICATION = "notification"


class Row(msgspec.Struct, frozen=True):
    """One line of the table.

    `then` is the state of the connection after this message, where it changes. `answers` names
    the messages that may answer a request; `Refused` may answer every one.
    """

    kind: Kind
    senders: frozenset[Role]
    receivers: frozenset[Role]
    states: frozenset[LinkState]
    then: LinkState | None = None
    answers: tuple[str, ...] = ()


EVERYBODY = frozenset(Role)
DAEMONS = frozenset({Role.TERMINAL_SERVER, Role.LICENSE_SERVER, Role.SESSION_DIRECTORY})
CLIENT = frozenset({Role.CLIENT})
TERMINAL_SERVER = frozenset({Role.TERMINAL_SERVER})
LICENSE_SERVER = frozenset({Role.LICENSE_SERVER})
SESSION_DIRECTORY = frozenset({Role.SESSION_DIRECTORY})
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
OPENED = frozenset(
    {
        LinkState.SERVICE,
        LinkState.LICENSING,
        LinkState.LOGON,
        LinkState.SESSION,
        LinkState.LEAVING,
    }
)


def _step(
    sender: frozenset[Role],
    receiver: frozenset[Role],
    *states: LinkState,
    then: LinkState | None = None,
) -> Row:
    return Row(Kind.NOTIFICATION, sender, receiver, frozenset(states), then)


def _request(senders: frozenset[Role], receivers: frozenset[Role], *answers: str) -> Row:
    return Row(Kind.REQUEST, senders, receivers, frozenset({LinkState.SERVICE}), None, answers)


def _answer(senders: frozenset[Role]) -> Row:
    return Row(Kind.ANSWER, senders, EVERYBODY, OPENED)


def _notice(senders: frozenset[Role], receivers: frozenset[Role]) -> Row:
    return Row(Kind.NOTIFICATION, senders, receivers, frozenset({LinkState.SERVICE}))


# --- the types of fields --------------------------------------------------------------------------
# Bounds of text count characters; a character takes at most four bytes, and the frame bounds all.

Name: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
        description="name of a daemon, farm, key pack or product",
    ),
]
OptionalName: TypeAlias = Annotated[
    str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*\Z", description="a name, or empty")
]
Host: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9.:_-]+\Z",
        description="IP address or host name that clients can reach",
    ),
]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535, description="TCP port")]
UserName: TypeAlias = Annotated[
    str,
    Meta(
        max_length=104,
        pattern=r"^[^\x00-\x1f\x7f]*\Z",
        description="user name, at most 104 characters as in [IWTSSBPlugin]; no control characters",
    ),
]
DeviceName: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[^\x00-\x1f\x7f]*\Z",
        description="what the device calls itself; no control characters",
    ),
]
DeviceId: TypeAlias = Annotated[
    bytes,
    Meta(min_length=32, max_length=32, description="SHA-256 of the device's public key"),
]
Id16: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16, description="random id")]
OptionalId16: TypeAlias = Annotated[bytes, Meta(max_length=16, description="an id, or empty")]
Seconds: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**40, description="Unix time in whole seconds; 0 means none")
]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**40, description="a number of things")]
SessionId: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**31 - 1, description="number of a session on its host; 0 means none yet")
]
Placement: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=2**53,
        description="number of a directory's reservation, above all earlier ones; it stays with the"
        " session that came of it; 0 means placed without the directory",
    ),
]
ProductVersion: TypeAlias = Annotated[int, Meta(ge=1, le=65_535, description="product version")]
Token: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.TOKEN_BYTES, description="signed license token, or empty")
]
Certificate: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.CERTIFICATE_BYTES, description="X.509 certificate, DER, or empty")
]
Columns: TypeAlias = Annotated[
    int, Meta(ge=1, le=limits.COLUMNS_MAX, description="width of the terminal in cells")
]
Rows: TypeAlias = Annotated[
    int, Meta(ge=1, le=limits.ROWS_MAX, description="height of the terminal in cells")
]
Detail: TypeAlias = Annotated[
    str, Meta(max_length=1024, description="cause and next step, for a person to read")
]
TraceId: TypeAlias = Annotated[
    str,
    Meta(max_length=32, pattern=r"^[0-9a-z-]*\Z", description="id under which every log explains"),
]
RetryAfter: TypeAlias = Annotated[
    int, Meta(ge=0, le=86_400, description="seconds to wait before trying again; 0 means any time")
]
Code: TypeAlias = ErrorCode


class LicenseKind(IntEnum):
    """What lets a device in; GRACE is no token but the terminal server's grace period."""

    NONE = 0
    TEMPORARY = 1
    FULL = 2
    GRACE = 3


class SessionState(IntEnum):
    """Numbers and words of [SESSDIRPUBLICTYPES] TSSESSION_STATE, as far as used."""

    ACTIVE = 0
    CONNECTED = 1
    DISCONNECTED = 4
    RESET = 7


class Credential(IntEnum):
    """What `LogonRequest.credential` is."""

    PASSWORD = 1
    TICKET = 2
    RECONNECT = 3


class ServerState(IntEnum):
    """A terminal server as its directory sees it."""

    SYNCHRONIZING = 1
    READY = 2
    LOST = 3


# --- values inside messages -------------------------------------------------------------------


class SessionRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A session as the directory keeps it ([Win32_SessionDirectorySession])."""

    host: Name
    session_id: SessionId
    user_name: UserName
    application: OptionalName
    state: SessionState
    created_at: Seconds
    disconnected_at: Seconds = 0
    placement: Placement = 0
    columns: Columns = 80
    rows: Rows = 24
    device_name: DeviceName = ""


class ServerRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A terminal server as the directory keeps it ([Win32_SessionDirectoryServer])."""

    name: Name
    address: Host
    port: Port
    state: ServerState
    weight: Annotated[int, Meta(ge=1, le=10_000, description="share of new sessions")] = 100
    sessions: Count = 0
    pending: Count = 0
    joined_at: Seconds = 0


class PoolRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """The tokens of one product and version at one license server.

    `available + issued + lent = total` at every instant; temporaries are counted apart.
    """

    product: Name
    product_version: ProductVersion
    total: Count
    available: Count
    issued: Count
    lent: Count
    temporary: Count = 0


class InventoryRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """What a license server tells its peers of one pool."""

    product: Name
    product_version: ProductVersion
    available: Count


class LicenseRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """An issued license as its license server logs it ([Win32_TSIssuedLicense])."""

    license_id: Id16
    kind: LicenseKind
    product: Name
    product_version: ProductVersion
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    issued_at: Seconds
    expires_at: Seconds
    validated: bool
    key_pack: OptionalName = ""
    lender: OptionalName = ""
    through: OptionalName = ""


class LicenseServerRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A license server as another daemon knows it; `found` is `list`, `workgroup`, `domain` or
    `site`."""

    name: OptionalName
    address: Host
    port: Port
    found: Annotated[str, Meta(max_length=16)]
    verified_at: Seconds
    chosen: bool = False
    inventory: Annotated[list[InventoryRow], Meta(max_length=256)] = []


# --- messages ---------------------------------------------------------------------------------


class Message(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The fields that every message starts with: `[number, request_id, …]`.

    A core leaves `request_id` alone; the connection stamps it when the message is sent.
    """

    row: ClassVar[Row]
    request_id: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0


class Hello(Message, tag=1, kw_only=True):
    """First words of the end that dialled; its role must be its certificate's."""

    row: ClassVar[Row] = _step(EVERYBODY, DAEMONS, LinkState.OPENING)

    version_min: Annotated[int, Meta(ge=0, le=65_535)]
    version_max: Annotated[int, Meta(ge=0, le=65_535)]
    role: Role
    name: Annotated[str, Meta(max_length=104, description="name of the daemon, device or person")]


class Welcome(Message, tag=2, kw_only=True):
    """Answer to Hello, with the version chosen. The state that follows depends on the dialler's
    role: LICENSING for a client, SERVICE for all others."""

    row: ClassVar[Row] = _step(DAEMONS, EVERYBODY, LinkState.OPENING)

    version: Annotated[int, Meta(ge=0, le=65_535)]
    role: Role
    name: Name
    farm: OptionalName = ""


class Heartbeat(Message, tag=3, kw_only=True):
    """I am there; sent when nothing else was for HEARTBEAT_SECONDS."""

    row: ClassVar[Row] = _step(EVERYBODY, EVERYBODY, *OPENED)


class Goodbye(Message, tag=4, kw_only=True):
    """The last message of a connection, and why it ends."""

    row: ClassVar[Row] = _step(
        EVERYBODY, EVERYBODY, LinkState.OPENING, *OPENED, then=LinkState.CLOSED
    )

    code: Code
    detail: Detail = ""
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""


class Refused(Message, tag=5, kw_only=True):
    """A lawful no, as the answer to any request."""

    row: ClassVar[Row] = _answer(EVERYBODY)

    code: Code
    detail: Detail = ""
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""


class Done(Message, tag=6, kw_only=True):
    """The request has taken effect, durably where it is durable."""

    row: ClassVar[Row] = _answer(EVERYBODY)


class QueryAuthority(Message, tag=7, kw_only=True):
    """Which authority signs this farm's certificates? For a client that meets the farm first."""

    row: ClassVar[Row] = Row(
        Kind.REQUEST,
        CLIENT,
        TERMINAL_SERVER,
        frozenset({LinkState.LICENSING}),
        None,
        ("Authority",),
    )


class Authority(Message, tag=8, kw_only=True):
    """The farm's authority: a self-signed certificate that proves nothing before a person has
    compared its fingerprint."""

    row: ClassVar[Row] = _answer(TERMINAL_SERVER)

    certificate: Certificate


# Licensing phase: after Welcome the terminal server begins.


class LicenseRequest(Message, tag=10, kw_only=True):
    """Show your license: the device signs this nonce together with the server's certificate."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING)

    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]
    product: Name
    product_version: ProductVersion


class LicenseInfo(Message, tag=11, kw_only=True):
    """The device's public key, its signature over nonce and server certificate, and the token it
    holds for the product, or none."""

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.LICENSING)

    public_key: Annotated[bytes, Meta(min_length=32, max_length=32, description="Ed25519")]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64, description="Ed25519")]
    device_name: DeviceName
    user_name: UserName
    token: Token = b""
    issuer_certificate: Certificate = b""


class NewLicense(Message, tag=12, kw_only=True):
    """Store this token durably, then say LicenseStored. It replaces the one for its product."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING)

    token: Token
    issuer_certificate: Certificate


class LicenseStored(Message, tag=13, kw_only=True):
    """The pushed token is on the device's disk."""

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.LICENSING)

    license_id: Id16


class LicenseAccepted(Message, tag=14, kw_only=True):
    """The device may connect, and log on; `expires_at` is the end of what lets it in."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING, then=LinkState.LOGON)

    kind: LicenseKind
    expires_at: Seconds = 0
    notice: Detail = ""


# Logon phase.


class LogonRequest(Message, tag=15, kw_only=True):
    """Who the user is, and what is to run.

    `credential` is a UTF-8 password, a redirect's ticket, or a reconnect cookie (the latter two
    with the `session_id` they name). An empty `application` is the account's shell; a `command`
    runs apart from the user's session and ends with its connection. `unreachable_host` names the
    host of a redirect that could not be followed: the user is placed anew.
    """

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.LOGON)

    user_name: UserName
    credential_kind: Credential
    credential: Annotated[bytes, Meta(max_length=1024)]
    session_id: SessionId = 0
    application: OptionalName = ""
    command: Annotated[str, Meta(max_length=32_768)] = ""
    columns: Columns = 80
    rows: Rows = 24
    terminal: Annotated[
        str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._+-]*\Z", description="value of TERM")
    ] = "xterm-256color"
    unreachable_host: OptionalName = ""


class LogonRefused(Message, tag=16, kw_only=True):
    """Not like that. The connection stays in LOGON while `attempts_left` is not 0; every refusal
    says how many wrong passwords are left, those that count for none included."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LOGON)

    code: Code
    detail: Detail = ""
    attempts_left: Count = 0
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""


class Redirect(Message, tag=17, kw_only=True):
    """The user's session is, or is to be, on another host: dial it, and log on with this ticket."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LOGON, then=LinkState.LEAVING)

    host: Name
    address: Host
    port: Port
    ticket: Id16
    session_id: SessionId


class LogonAccepted(Message, tag=18, kw_only=True):
    """The session is ACTIVE and shown here; session bytes follow in both directions."""

    row: ClassVar[Row] = _step(TERMINAL_SERVER, CLIENT, LinkState.LOGON, then=LinkState.SESSION)

    host: Name
    session_id: SessionId
    user_name: UserName
    reattached: bool
    created_at: Seconds
    cookie: Annotated[
        bytes,
        Meta(
            max_length=32, description="proves the client attached last on a reconnect; used once"
        ),
    ] = b""


# Session phase.


class ResizeSession(Message, tag=19, kw_only=True):
    """The client's terminal has a new size."""

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.SESSION)

    columns: Columns
    rows: Rows


class DisconnectSession(Message, tag=20, kw_only=True):
    """Leave the session running; answered by Goodbye with DISCONNECTED_BY_USER."""

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.SESSION, then=LinkState.LEAVING)


class LogoffSession(Message, tag=21, kw_only=True):
    """End the session and its programs; SessionEnded follows."""

    row: ClassVar[Row] = _step(CLIENT, TERMINAL_SERVER, LinkState.SESSION)


class SessionEnded(Message, tag=22, kw_only=True):
    """The session's program has ended and all its output was sent."""

    row: ClassVar[Row] = _step(
        TERMINAL_SERVER, CLIENT, LinkState.SESSION, LinkState.LOGON, then=LinkState.LEAVING
    )

    exit_status: Annotated[
        int, Meta(ge=0, le=255, description="as a shell reports it: 128 + n after signal n")
    ]


# License server: what a terminal server or a peer asks.


class AcquireLicense(Message, tag=30, kw_only=True):
    """A device needs a token: its first one is temporary, after a logon it is a full one.

    The same device and product always get the same live token, however often they ask.
    """

    row: ClassVar[Row] = _request(TERMINAL_SERVER, LICENSE_SERVER, "LicenseIssued")

    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    product: Name
    product_version: ProductVersion
    trace_id: TraceId = ""


class RenewLicense(Message, tag=31, kw_only=True):
    """A full token is near its end: a fresh expiry, without any use of the pool.

    A license server forwards it to the one that lent the token.
    """

    row: ClassVar[Row] = _request(TERMINAL_SERVER | LICENSE_SERVER, LICENSE_SERVER, "LicenseIssued")

    license_id: Id16
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    product: Name
    product_version: ProductVersion
    trace_id: TraceId = ""


class LicenseIssued(Message, tag=32, kw_only=True):
    """The token, durable at its issuer; `lender` names the peer that lent it."""

    row: ClassVar[Row] = _answer(LICENSE_SERVER)

    license_id: Id16
    kind: LicenseKind
    expires_at: Seconds
    token: Token
    issuer_certificate: Certificate
    validated: bool = False
    lender: OptionalName = ""


class MarkValidated(Message, tag=33, kw_only=True):
    """A user has logged on from this device: its temporary token may become a full one."""

    row: ClassVar[Row] = _request(TERMINAL_SERVER, LICENSE_SERVER, "Done")

    device_id: DeviceId
    product: Name
    product_version: ProductVersion
    user_name: UserName
    trace_id: TraceId = ""


class AnnounceInventory(Message, tag=34, kw_only=True):
    """What this license server has; replaces what it said before."""

    row: ClassVar[Row] = _notice(LICENSE_SERVER, LICENSE_SERVER)

    inventory: Annotated[list[InventoryRow], Meta(max_length=256)]


class LendLicense(Message, tag=35, kw_only=True):
    """A peer's pool is empty: issue a full token of yours to this device.

    The same `loan_id` always gets the same token, and so does the same device and product.
    """

    row: ClassVar[Row] = _request(LICENSE_SERVER, LICENSE_SERVER, "LicenseIssued")

    loan_id: Id16
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    product: Name
    product_version: ProductVersion
    trace_id: TraceId = ""


# License server: administration.


class QueryPools(Message, tag=40, kw_only=True):
    """The pools of this license server."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, LICENSE_SERVER, "Pools")


class Pools(Message, tag=41, kw_only=True):
    row: ClassVar[Row] = _answer(LICENSE_SERVER)

    pools: Annotated[list[PoolRow], Meta(max_length=limits.PAGE_ROWS)]


class QueryLicenses(Message, tag=42, kw_only=True):
    """Issued licenses in the order of their ids, those after `after`, a page at a time."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, LICENSE_SERVER, "Licenses")

    after: OptionalId16 = b""
    device_id: Annotated[bytes, Meta(max_length=32, description="only this device's, or empty")] = (
        b""
    )


class Licenses(Message, tag=43, kw_only=True):
    row: ClassVar[Row] = _answer(LICENSE_SERVER)

    licenses: Annotated[list[LicenseRow], Meta(max_length=limits.PAGE_ROWS)]
    more: bool = False


class AddKeyPack(Message, tag=44, kw_only=True):
    """Add tokens to a pool. The same pack twice is one pack; another one with its id is refused
    with KEY_PACK_CONFLICT."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, LICENSE_SERVER, "Done")

    key_pack: Name
    product: Name
    product_version: ProductVersion
    tokens: Annotated[int, Meta(ge=1, le=limits.KEY_PACK_TOKENS_MAX)]


class QueryLicenseServers(Message, tag=45, kw_only=True):
    """Which license servers do you know, and how did you find them?"""

    row: ClassVar[Row] = _request(ADMINISTRATOR, TERMINAL_SERVER | LICENSE_SERVER, "LicenseServers")


class LicenseServers(Message, tag=46, kw_only=True):
    row: ClassVar[Row] = _answer(TERMINAL_SERVER | LICENSE_SERVER)

    servers: Annotated[list[LicenseServerRow], Meta(max_length=256)]
    grace_ends_at: Seconds = 0


# Session directory: what a terminal server says and asks.


class JoinFarm(Message, tag=50, kw_only=True):
    """A terminal server's link is up: it stands under its certificate's name, SYNCHRONIZING until
    the last of its sessions was sent. What was known of it stands until then."""

    row: ClassVar[Row] = _request(TERMINAL_SERVER, SESSION_DIRECTORY, "Joined")

    address: Host
    port: Port
    incarnation: Id16
    weight: Annotated[int, Meta(ge=1, le=10_000)] = 100
    sessions_max: Count = limits.SESSIONS_PER_SERVER_MAX


class Joined(Message, tag=51, kw_only=True):
    """Send your sessions now. `generation` is new with each start of the directory."""

    row: ClassVar[Row] = _answer(SESSION_DIRECTORY)

    generation: Id16


class SyncSessions(Message, tag=52, kw_only=True):
    """A part of the whole list; with `last` the list is complete and replaces the rows that were
    known."""

    row: ClassVar[Row] = _request(TERMINAL_SERVER, SESSION_DIRECTORY, "Done")

    sessions: Annotated[list[SessionRow], Meta(max_length=limits.SESSIONS_PER_MESSAGE)]
    last: bool


class PlaceSession(Message, tag=53, kw_only=True):
    """An authenticated user is here: where does their session for this application belong?
    Decided and reserved in one step, so that two logons in one instant get one answer.

    `avoid` names a host that could not be reached: the user is placed anew.
    """

    row: ClassVar[Row] = _request(TERMINAL_SERVER, SESSION_DIRECTORY, "SessionPlaced")

    user_name: UserName
    application: OptionalName
    device_id: DeviceId
    avoid: OptionalName = ""
    trace_id: TraceId = ""


class SessionPlaced(Message, tag=54, kw_only=True):
    """The user's session is or will be on `host`. On the asking host itself `ticket` is empty;
    `session_id` 0 means that it is not there yet: start it, or wait for its start."""

    row: ClassVar[Row] = _answer(SESSION_DIRECTORY)

    placement: Placement
    host: Name
    address: Host
    port: Port
    session_id: SessionId = 0
    ticket: OptionalId16 = b""
    others: Annotated[list[SessionRow], Meta(max_length=limits.SESSIONS_PER_MESSAGE)] = []


class UpdateSession(Message, tag=55, kw_only=True):
    """A session of the sender was added or has changed. An update with a lower placement than the
    row's is ignored, and so is one that is not about a session of a host that has joined."""

    row: ClassVar[Row] = _notice(TERMINAL_SERVER, SESSION_DIRECTORY)

    session: SessionRow


class RemoveSession(Message, tag=56, kw_only=True):
    """A session of the sender has ended, or (`session_id` 0) a placement came to nothing: only the
    host on which it was reserved gives it up, by its exact number."""

    row: ClassVar[Row] = _notice(TERMINAL_SERVER, SESSION_DIRECTORY)

    session_id: SessionId
    placement: Placement
    user_name: UserName


class RedeemTicket(Message, tag=57, kw_only=True):
    """A redirected client showed this ticket; the device was proved in the licensing phase."""

    row: ClassVar[Row] = _request(TERMINAL_SERVER, SESSION_DIRECTORY, "TicketRedeemed")

    ticket: Id16
    device_id: DeviceId
    user_name: UserName


class TicketRedeemed(Message, tag=58, kw_only=True):
    """The ticket was good, and is now used up."""

    row: ClassVar[Row] = _answer(SESSION_DIRECTORY)

    user_name: UserName
    application: OptionalName
    placement: Placement
    session_id: SessionId


class QuerySessions(Message, tag=60, kw_only=True):
    """Sessions ordered by host and id, those after (`after_host`, `after_id`), a page at a time."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, SESSION_DIRECTORY | TERMINAL_SERVER, "Sessions")

    user_name: UserName = ""
    after_host: OptionalName = ""
    after_id: SessionId = 0


class Sessions(Message, tag=61, kw_only=True):
    row: ClassVar[Row] = _answer(SESSION_DIRECTORY | TERMINAL_SERVER)

    sessions: Annotated[list[SessionRow], Meta(max_length=limits.PAGE_ROWS)]
    more: bool = False


class QueryServers(Message, tag=62, kw_only=True):
    """The terminal servers that the directory knows."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, SESSION_DIRECTORY, "Servers")


class Servers(Message, tag=63, kw_only=True):
    row: ClassVar[Row] = _answer(SESSION_DIRECTORY)

    servers: Annotated[list[ServerRow], Meta(max_length=limits.PAGE_ROWS)]


# Every daemon: administration.


class WarpClock(Message, tag=80, kw_only=True):
    """Read the lab's clock file again. NOT_PERMITTED unless the configuration names one."""

    row: ClassVar[Row] = _request(ADMINISTRATOR, DAEMONS, "Done")


AnyMessage: TypeAlias = (
    Hello
    | Welcome
    | Heartbeat
    | Goodbye
    | Refused
    | Done
    | QueryAuthority
    | Authority
    | LicenseRequest
    | LicenseInfo
    | NewLicense
    | LicenseStored
    | LicenseAccepted
    | LogonRequest
    | LogonRefused
    | Redirect
    | LogonAccepted
    | ResizeSession
    | DisconnectSession
    | LogoffSession
    | SessionEnded
    | AcquireLicense
    | RenewLicense
    | LicenseIssued
    | MarkValidated
    | AnnounceInventory
    | LendLicense
    | QueryPools
    | Pools
    | QueryLicenses
    | Licenses
    | AddKeyPack
    | QueryLicenseServers
    | LicenseServers
    | JoinFarm
    | Joined
    | SyncSessions
    | PlaceSession
    | SessionPlaced
    | UpdateSession
    | RemoveSession
    | RedeemTicket
    | TicketRedeemed
    | QuerySessions
    | Sessions
    | QueryServers
    | Servers
    | WarpClock
)

# Numbers of messages that once were: never to be used again.
RETIRED: tuple[int, ...] = ()

TABLE: dict[int, type[Message]] = {cls.__struct_config__.tag: cls for cls in AnyMessage.__args__}
