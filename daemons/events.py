"""Every event that an operator may read, declared once: name, level, number, fields.

A core returns an event like any other effect, and the log shows it as one line. EVENTS.md is
generated from this file. Write `events.LicenseIssued`: some names are names of messages too.

`number` is the id of the event that Windows logs for the same fact, shown as `event_id`: sources
TermService (1003, 1004, 1011, 1028, 1280, 1281), TermServLicensing (8, 21) and TermServSessDir
(776, 1016) of Windows Server 2003. A field that holds its default is left out of the line.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from daemons.effects import Effect
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DeviceId,
    DeviceName,
    LicenseKind,
    ProductVersion,
    SessionId,
    TraceId,
    UserName,
)


class Level(IntEnum):
    """Numbers are those of Python's `logging`.

    WARNING and above: an operator must look. An ordinary refusal to a user is INFO.
    """

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


Address: TypeAlias = Annotated[str, Meta(description="IP address or host name")]
Port: TypeAlias = Annotated[int, Meta(description="TCP or UDP port")]
Code: TypeAlias = Annotated[ErrorCode, Meta(description="an error code of PROTOCOL.md")]
Detail: TypeAlias = Annotated[str, Meta(description="the cause, with expected and found values")]
Told: TypeAlias = Annotated[str, Meta(description="the text that the user or peer is told")]
NextStep: TypeAlias = Annotated[str, Meta(description="what the operator can do about it")]
ServerName: TypeAlias = Annotated[str, Meta(description="name of a terminal server")]
LicenseServerName: TypeAlias = Annotated[str, Meta(description="name of a license server")]
LicenseId: TypeAlias = Annotated[bytes, Meta(description="number of the license token")]
Kind: TypeAlias = Annotated[LicenseKind, Meta(description="TEMPORARY, FULL or GRACE")]
Product: TypeAlias = Annotated[str, Meta(description="the licensed product")]
Expires: TypeAlias = Annotated[int, Meta(description="Unix time in whole seconds")]
Found: TypeAlias = Annotated[str, Meta(description="how its address was found: list, scope, …")]
Asked: TypeAlias = Annotated[
    tuple[str, ...], Meta(description="license servers in the order they were asked")
]
Count: TypeAlias = Annotated[int, Meta(description="how many there are")]


class Event(Effect, frozen=True, kw_only=True, tag_field="event"):
    level: ClassVar[Level] = Level.INFO
    number: ClassVar[int] = 0
    """Of the event that Windows logs for this; 0 where it logs none."""

    @property
    def event(self) -> str:
        """The name, `noun.verb`."""
        return str(self.__struct_config__.tag)


NEXT_STEPS = {
    ErrorCode.UNREACHABLE: "start the daemon there, or correct its address in the configuration",
    ErrorCode.WRONG_ROLE: "compare the authority, name and role of the certificates with the"
    " configuration on both sides",
    ErrorCode.VERSION_UNSUPPORTED: "upgrade the older of the two daemons",
    ErrorCode.NOT_PERMITTED: "allow it in the configuration of the daemon that refused",
    ErrorCode.SERVER_NOT_SERVED: "allow it in the configuration of the daemon that refused",
}


class NotLinked(Event, frozen=True, kw_only=True):
    """What the events of a link that could not be made have in common."""

    level: ClassVar[Level] = Level.WARNING
    address: Address
    port: Port
    code: Code
    detail: Detail
    next_step: NextStep


def next_step(code: ErrorCode) -> str:
    """What an operator can do when a link cannot be made or a peer refuses."""
    default = "none: it is tried again" if code.may_retry else "look at the log of the other daemon"
    return NEXT_STEPS.get(code, default)


# --- every daemon -----------------------------------------------------------------------------


class DaemonReady(Event, frozen=True, kw_only=True, tag="daemon.ready"):
    """The daemon accepts connections."""

    name: Annotated[str, Meta(description="name in the daemon's certificate")]
    address: Address
    port: Port


class DaemonStopping(Event, frozen=True, kw_only=True, tag="daemon.stopping"):
    """The daemon was told to stop, or must stop for a reason logged before."""

    name: Annotated[str, Meta(description="name in the daemon's certificate")]


class DaemonMisconfigured(Event, frozen=True, kw_only=True, tag="daemon.misconfigured"):
    """The daemon cannot start with this configuration. Exit status 2."""

    level: ClassVar[Level] = Level.CRITICAL
    error: Annotated[str, Meta(description="file, key, cause and next step")]


class DaemonUnstartable(Event, frozen=True, kw_only=True, tag="daemon.unstartable"):
    """The daemon cannot use the rows in its store. Exit status 1."""

    level: ClassVar[Level] = Level.CRITICAL
    error: Detail


class DaemonBroken(Event, frozen=True, kw_only=True, tag="daemon.broken"):
    """A fault in tsfarm: please report it. The daemon stops with exit status 70."""

    level: ClassVar[Level] = Level.CRITICAL
    error: Annotated[str, Meta(description="class and text of the exception")]
    at: Annotated[list[str], Meta(description="file, line and function of each call, outer first")]


class FaultTraced(Event, frozen=True, kw_only=True, tag="fault.traced"):
    """The Python traceback of the `daemon.broken` before it."""

    level: ClassVar[Level] = Level.DEBUG
    exception: Annotated[str, Meta(description="several lines of text")]


class StoreFailed(Event, frozen=True, kw_only=True, tag="store.failed"):
    """The store cannot make anything durable. The daemon stops with exit status 1."""

    level: ClassVar[Level] = Level.CRITICAL
    error: Detail


class StoreStalled(Event, frozen=True, kw_only=True, tag="store.stalled"):
    """The daemon stopped before its last commit was durable; nothing in it was acknowledged."""

    level: ClassVar[Level] = Level.ERROR
    seconds: Annotated[float, Meta(description="how long the daemon waited for the commit")]


class LoopComplained(Event, frozen=True, kw_only=True, tag="loop.complained"):
    """The event loop met an error of the operating system that concerns no single link."""

    level: ClassVar[Level] = Level.WARNING
    message: Annotated[str, Meta(description="what the event loop was doing")]
    error: Detail


class DescriptorsLow(Event, frozen=True, kw_only=True, tag="descriptors.low"):
    """Fewer connections fit than the protocol allows: raise the limit of open files."""

    level: ClassVar[Level] = Level.WARNING
    limit: Annotated[int, Meta(description="open files that the system allows (RLIMIT_NOFILE)")]
    connections_max: Annotated[int, Meta(description="connections that fit")]


class ClockJumped(Event, frozen=True, kw_only=True, tag="clock.jumped"):
    """The system's clock was set while the daemon ran."""

    level: ClassVar[Level] = Level.ERROR
    seconds: Annotated[int, Meta(description="how far it was set; negative: back")]
    next_step: NextStep


class ClockWarped(Event, frozen=True, kw_only=True, tag="clock.warped"):
    """A lab's clock was set forward."""

    now: Annotated[float, Meta(description="the daemon's time, Unix seconds")]


class DatagramUnsent(Event, frozen=True, kw_only=True, tag="datagram.unsent"):
    """A discovery datagram could not leave; discovery sends others."""

    level: ClassVar[Level] = Level.DEBUG
    address: Annotated[str, Meta(description="where to; absent: the system reported it late")] = ""
    port: Port = 0
    error: Detail


# --- terminal server: clients and licenses ----------------------------------------------------


class ClientOpened(Event, frozen=True, kw_only=True, tag="client.opened"):
    """A client connected and begins the licensing phase."""

    trace_id: TraceId
    address: Address


class DeviceEvent(Event, frozen=True, kw_only=True):
    """What the events of one device's licensing phase have in common."""

    trace_id: TraceId
    device_id: DeviceId


class LicenseAsked(DeviceEvent, frozen=True, kw_only=True, tag="license.asked"):
    """License servers are asked for a device's token."""

    need: Annotated[str, Meta(description="ACQUIRE or RENEW")]
    lapse: Annotated[str, Meta(description="why the token that was shown is not valid")] = ""


class LicenseRequest(Event, frozen=True, kw_only=True):
    """What the events of a request to a license server have in common."""

    trace_id: TraceId
    question: Annotated[str, Meta(description="the message that was sent")]
    server: LicenseServerName


class LicenseRequestRefused(
    LicenseRequest, frozen=True, kw_only=True, tag="license_request.refused"
):
    """A license server refused a request."""

    code: Code


class LicenseRequestUnanswered(
    LicenseRequest, frozen=True, kw_only=True, tag="license_request.unanswered"
):
    """A license server did not answer a request."""

    level: ClassVar[Level] = Level.WARNING
    code: Code
    detail: Detail = ""


class LicenseRequestAnswerUnusable(
    LicenseRequest, frozen=True, kw_only=True, tag="license_request.answer_unusable"
):
    """A license server sent a token that does not verify; it is not given to the device."""

    level: ClassVar[Level] = Level.WARNING
    detail: Detail


class LicensePushed(DeviceEvent, frozen=True, kw_only=True, tag="license.pushed"):
    """A device was sent a new token to store."""

    license_id: LicenseId
    kind: Kind
    issuer: LicenseServerName
    lender: Annotated[str, Meta(description="license server whose pool it is from, if lent")] = ""


class LicenseAccepted(DeviceEvent, frozen=True, kw_only=True, tag="license.accepted"):
    """A device with a valid token passed the licensing phase."""

    kind: Kind
    expires_at: Expires


class GraceUsed(DeviceEvent, frozen=True, kw_only=True, tag="grace.used"):
    """A device without a token was let in, because this terminal server is in its grace period and
    no license server gave one: make a license server reachable before the period ends."""

    level: ClassVar[Level] = Level.WARNING
    expires_at: Annotated[int, Meta(description="when the grace period ends, Unix seconds")]


class RenewalFailed(DeviceEvent, frozen=True, kw_only=True, tag="renewal.failed"):
    """A device was let in, but its full token was not renewed and will expire."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 1028
    expires_at: Expires
    detail: Told


class Refusal(DeviceEvent, frozen=True, kw_only=True):
    """What the events of a device that was sent away have in common."""

    level: ClassVar[Level] = Level.WARNING
    code: Code
    detail: Told


class DeviceRefused(Refusal, frozen=True, kw_only=True, tag="device.refused"):
    """A device was sent away in the licensing phase."""

    number: ClassVar[int] = 1004


class LicenseLapsed(Refusal, frozen=True, kw_only=True, tag="license.lapsed"):
    """A device was sent away with LICENSE_EXPIRED: it has no token but the expired one."""

    number: ClassVar[int] = 1011


class LicenseRejected(Refusal, frozen=True, kw_only=True, tag="license.rejected"):
    """A device was sent away with LICENSE_TAMPERED, LICENSE_FOREIGN, LICENSE_NOT_YOURS or
    DEVICE_PROOF_INVALID: its token or its signature does not verify."""

    number: ClassVar[int] = 1003


class DeviceValidated(Event, frozen=True, kw_only=True, tag="device.validated"):
    """A license server marked a device's temporary token as validated, after a logon."""

    trace_id: TraceId
    asked: Asked


class DeviceNotValidated(Event, frozen=True, kw_only=True, tag="device.not_validated"):
    """A device could not be validated now; its next logon tries again."""

    trace_id: TraceId
    code: Code
    asked: Asked = ()


# --- terminal server: its license servers -----------------------------------------------------


class LicenseServerSearching(Event, frozen=True, kw_only=True, tag="license_server.searching"):
    """A broadcast asks for license servers."""


class LicenseServerInUse(Event, frozen=True, kw_only=True, tag="license_server.in_use"):
    """The first license server to answer is used before the search ends."""

    server: LicenseServerName
    found: Found


class LicenseServerChosen(Event, frozen=True, kw_only=True, tag="license_server.chosen"):
    """The search ended; this license server is asked first."""

    server: LicenseServerName
    found: Found


class LicenseServerNoneFound(Event, frozen=True, kw_only=True, tag="license_server.none_found"):
    """The search ended without a license server that could be reached."""

    level: ClassVar[Level] = Level.WARNING
    candidates: Annotated[int, Meta(description="addresses that were dialled")]


class LicenseServerUnreachable(
    NotLinked, frozen=True, kw_only=True, tag="license_server.unreachable"
):
    """No link to a license server could be made."""


# --- terminal server: logon and session directory ---------------------------------------------


class LogonRefused(Event, frozen=True, kw_only=True, tag="logon.refused"):
    """A logon was refused; the client may try again on the same connection."""

    trace_id: TraceId
    user_name: UserName
    code: Code
    detail: Annotated[str, Meta(description="the cause; the user may be told less")]


class LogonRedirected(Event, frozen=True, kw_only=True, tag="logon.redirected"):
    """A user was sent to the terminal server that has the session."""

    trace_id: TraceId
    server: ServerName
    session_id: SessionId


class DirectoryJoined(Event, frozen=True, kw_only=True, tag="directory.joined"):
    """The session directory accepted this terminal server, which now sends its sessions."""

    number: ClassVar[int] = 1281
    sessions: Count


class DirectoryReady(Event, frozen=True, kw_only=True, tag="directory.ready"):
    """The session directory knows every session of this terminal server, and places logons."""


class DirectoryNotJoined(NotLinked, frozen=True, kw_only=True, tag="directory.not_joined"):
    """This terminal server could not join the session directory, and will try again."""

    number: ClassVar[int] = 1280
    pause_seconds: Annotated[float, Meta(description="time until it tries again")]


class DirectoryDidNotPlace(Event, frozen=True, kw_only=True, tag="directory.did_not_place"):
    """The session directory placed nobody: the logon goes on here, even if the user has a session
    elsewhere."""

    level: ClassVar[Level] = Level.WARNING
    trace_id: TraceId
    code: Code
    detail: Detail = ""


# --- terminal server: sessions ----------------------------------------------------------------


class SessionEvent(Event, frozen=True, kw_only=True):
    """What the events of one session have in common."""

    session_id: SessionId
    user_name: UserName


class SessionStarted(SessionEvent, frozen=True, kw_only=True, tag="session.started"):
    """A session's program runs."""

    pid: Annotated[int, Meta(description="process id of the program")]


class SessionNotStarted(SessionEvent, frozen=True, kw_only=True, tag="session.not_started"):
    """A session's program could not be started."""

    level: ClassVar[Level] = Level.WARNING
    detail: Detail


class SessionShown(SessionEvent, frozen=True, kw_only=True, tag="session.shown"):
    """A client shows a session."""

    trace_id: TraceId
    fresh: Annotated[bool, Meta(description="true: just started, no screen to restore")]


class SessionDisconnected(SessionEvent, frozen=True, kw_only=True, tag="session.disconnected"):
    """No client shows the session any more; its program goes on."""


class SessionLoggedOff(SessionEvent, frozen=True, kw_only=True, tag="session.logged_off"):
    """A session's programs are told to end."""


class SessionEnded(SessionEvent, frozen=True, kw_only=True, tag="session.ended"):
    """A session's program has ended."""

    exit_status: Annotated[int, Meta(description="as a shell reports it: 128 + n after signal n")]


class SessionKept(SessionEvent, frozen=True, kw_only=True, tag="session.kept"):
    """A session outlived a restart of the terminal server."""


class SessionLost(Event, frozen=True, kw_only=True, tag="session.lost"):
    """A recorded session no longer runs after a restart of the terminal server."""

    level: ClassVar[Level] = Level.WARNING
    session_id: SessionId


class SessionUnrecorded(Event, frozen=True, kw_only=True, tag="session.unrecorded"):
    """The keeper runs a session without a record; it is ended."""

    level: ClassVar[Level] = Level.WARNING
    session_id: SessionId


class SessionUnreachable(Event, frozen=True, kw_only=True, tag="session.unreachable"):
    """A session that runs cannot be taken up from the keeper yet; it is tried again."""

    level: ClassVar[Level] = Level.ERROR
    session_id: SessionId
    detail: Detail


class KeeperLost(Event, frozen=True, kw_only=True, tag="keeper.lost"):
    """The connection to the keeper broke; sessions go on."""

    level: ClassVar[Level] = Level.WARNING
    sessions: Count


class KeeperUnreachable(Event, frozen=True, kw_only=True, tag="keeper.unreachable"):
    """The keeper cannot be reached: no session can start until it can."""

    level: ClassVar[Level] = Level.ERROR
    detail: Detail


class AccountsUnreadable(Event, frozen=True, kw_only=True, tag="accounts.unreadable"):
    """The changed accounts file cannot be used; the accounts read before stay valid."""

    level: ClassVar[Level] = Level.ERROR
    detail: Detail


# --- license server ---------------------------------------------------------------------------


class ClockSetBack(Event, frozen=True, kw_only=True, tag="clock.set_back"):
    """At its start the license server's clock is behind the newest entry of its journal."""

    level: ClassVar[Level] = Level.ERROR
    seconds: Annotated[int, Meta(description="how far it is behind")]


class PackAdded(Event, frozen=True, kw_only=True, tag="pack.added"):
    """A key pack was added to its pool."""

    key_pack: Annotated[str, Meta(description="id of the key pack")]
    product: Product
    product_version: ProductVersion
    tokens: Count


class LicenseChanged(Event, frozen=True, kw_only=True):
    """What the events of one token have in common."""

    license_id: LicenseId
    kind: Kind
    product: Product
    product_version: ProductVersion
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    expires_at: Expires
    through: Annotated[str, Meta(description="license server that it was lent to, if any")] = ""
    lender: Annotated[str, Meta(description="license server whose pool it is from, if lent")] = ""
    trace_id: TraceId = ""


class LicenseIssued(LicenseChanged, frozen=True, kw_only=True, tag="license.issued"):
    """A device was issued a temporary or a full token."""


class LicenseValidated(LicenseChanged, frozen=True, kw_only=True, tag="license.validated"):
    """A user logged on from a device with a temporary token: it may be upgraded."""


class LicenseRenewed(LicenseChanged, frozen=True, kw_only=True, tag="license.renewed"):
    """A full token has a new end."""


class LicenseLent(LicenseChanged, frozen=True, kw_only=True, tag="license.lent"):
    """A token of this license server's pool was issued through another license server."""


class LicenseBorrowed(LicenseChanged, frozen=True, kw_only=True, tag="license.borrowed"):
    """A device was issued a token from another license server's pool."""


class LicenseReclaimed(LicenseChanged, frozen=True, kw_only=True, tag="license.reclaimed"):
    """A full token expired and is back in its pool."""


class LicenseExpired(LicenseChanged, frozen=True, kw_only=True, tag="license.expired"):
    """A borrowed token expired; it is back in its lender's pool."""


class Shortage(Event, frozen=True, kw_only=True):
    """What the events of a device without a full token have in common."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 21
    device_id: DeviceId
    device_name: DeviceName
    product: Product
    product_version: ProductVersion
    pools: Annotated[list[str], Meta(description="this server's pools, with what they hold")]
    peers: Annotated[list[str], Meta(description="other license servers, with their answers")]
    reason: Annotated[str, Meta(description="why there is no full token")]
    trace_id: TraceId


class LicenseRefused(Shortage, frozen=True, kw_only=True, tag="license.refused"):
    """A device without a valid token was refused one (NO_LICENSE): add a key pack."""


class LicenseNotUpgraded(Shortage, frozen=True, kw_only=True, tag="license.not_upgraded"):
    """A validated device keeps its temporary token, because no full one is left: add a key pack."""


class RequestRefused(Event, frozen=True, kw_only=True, tag="request.refused"):
    """A request was refused for another reason than a shortage of tokens."""

    code: Code
    request: Annotated[str, Meta(description="the message")]
    peer: Annotated[str, Meta(description="the daemon that sent it")]
    detail: Told
    trace_id: TraceId = ""


class PeerLinked(Event, frozen=True, kw_only=True, tag="peer.linked"):
    """A link to another license server is open."""

    peer: LicenseServerName
    found: Found


class PeerLost(Event, frozen=True, kw_only=True, tag="peer.lost"):
    """The link to another license server broke."""

    level: ClassVar[Level] = Level.WARNING
    peer: LicenseServerName


class PeerUnreachable(NotLinked, frozen=True, kw_only=True, tag="peer.unreachable"):
    """No link to another license server could be made."""

    number: ClassVar[int] = 8
    peer: Annotated[str, Meta(description="its name, where known")] = ""


class LoanFailed(Event, frozen=True, kw_only=True, tag="loan.failed"):
    """Another license server lent no token."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 8
    peer: LicenseServerName
    reason: Annotated[str, Meta(description="an error code, or what was wrong with the answer")]
    device_id: DeviceId
    trace_id: TraceId


class LicenseNotRenewed(Event, frozen=True, kw_only=True, tag="license.not_renewed"):
    """The lender of a token did not renew it; the token expires if it does not do so in time."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 8
    peer: LicenseServerName
    code: Code
    detail: Detail = ""
    license_id: LicenseId
    trace_id: TraceId


# --- session directory ------------------------------------------------------------------------


class ServerJoined(Event, frozen=True, kw_only=True, tag="server.joined"):
    """A terminal server joined the farm, and begins to send its sessions."""

    number: ClassVar[int] = 776
    server: ServerName
    restarted: Annotated[bool, Meta(description="true: it is a new process of a known name")]


class JoinRefused(Event, frozen=True, kw_only=True, tag="join.refused"):
    """A terminal server may not join."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 1016
    server: ServerName
    code: Code
    detail: Told


class ServerReady(Event, frozen=True, kw_only=True, tag="server.ready"):
    """All sessions of a terminal server are known; users are led to them."""

    server: ServerName
    sessions: Count


class ServerLost(Event, frozen=True, kw_only=True, tag="server.lost"):
    """The link to a terminal server broke; nobody is led there until it joins again."""

    level: ClassVar[Level] = Level.WARNING
    server: ServerName


class ServerRemoved(Event, frozen=True, kw_only=True, tag="server.removed"):
    """A lost terminal server did not join again in time; its sessions are forgotten."""

    level: ClassVar[Level] = Level.WARNING
    server: ServerName


class Placed(Event, frozen=True, kw_only=True):
    """What the events of one placement have in common."""

    user_name: UserName
    application: Annotated[str, Meta(description="name of the application, empty: the shell")]
    asking: Annotated[str, Meta(description="terminal server that the user landed on")]
    server: Annotated[str, Meta(description="terminal server of the session")]
    session_id: SessionId
    placement: Annotated[int, Meta(description="number of the reservation")]
    trace_id: TraceId


class SessionPlaced(Placed, frozen=True, kw_only=True, tag="session.placed"):
    """A user was given a place for a new session, or led to one on another terminal server."""


class SessionPlacedUnsure(Placed, frozen=True, kw_only=True, tag="session.placed_unsure"):
    """A user was given a place for a new session soon after the directory's start: a session on a
    terminal server that has not joined yet may have been missed."""

    level: ClassVar[Level] = Level.WARNING


class PlacementRefused(Event, frozen=True, kw_only=True, tag="placement.refused"):
    """There is no place for a user's session."""

    user_name: UserName
    asking: Annotated[str, Meta(description="terminal server that the user landed on")]
    code: Code
    trace_id: TraceId


class SessionSeveral(Event, frozen=True, kw_only=True, tag="session.several"):
    """A user has several sessions; the first is offered."""

    user_name: UserName
    sessions: Annotated[list[str], Meta(description="each `server:session`, the best first")]


class SessionIgnored(Event, frozen=True, kw_only=True, tag="session.ignored"):
    """A terminal server's news of a session was not taken."""

    server: ServerName
    session_id: SessionId
    reason: Annotated[str, Meta(description="why it does not count")]


class TicketRefused(Event, frozen=True, kw_only=True, tag="ticket.refused"):
    """A ticket that a client showed after a redirect is not valid."""

    server: ServerName
    user_name: UserName
    reason: Annotated[str, Meta(description="which check failed; the user is not told")]


class ReservationExpired(Event, frozen=True, kw_only=True, tag="reservation.expired"):
    """No session came of a placement in time."""

    server: ServerName
    user_name: UserName
