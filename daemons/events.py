"""Every event that an operator may read, declared once: name, level, number, fields.

A core returns an event like any other effect, and the log shows it as one line. EVENTS.md is
generated from this file. Write `events.LicenseIssued`: some names are names of messages too.

`number` is the id of the event that Windows logs for the same fact, shown as `event_id`: sources
TermService (1003, 1004, 1011, 1028, 1280, 1281), TermServLicensing (8, 21) and TermServSessDir
(776, 1016) of Windows Server 2003. A field that holds its default is left out of the line.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, ClassVar, Self, TypeAlias, dataclass_transform

from msgspec import Meta

from daemons.effects import Declared, Effect, Endpoint
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
DaysLeft: TypeAlias = Annotated[int, Meta(description="whole days until then")]
Count: TypeAlias = Annotated[int, Meta(description="how many there are")]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Event(Effect, frozen=True, tag_field="event", metaclass=Declared):
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
    ErrorCode.CERTIFICATE_REVOKED: "issue a new certificate for the daemon there, or remove it from"
    " the configuration",
    ErrorCode.VERSION_UNSUPPORTED: "upgrade the older of the two daemons",
    ErrorCode.NOT_PERMITTED: "mend what `detail` names, in the configuration or the certificate of"
    " one of the two daemons",
    ErrorCode.SERVER_NOT_SERVED: "allow it in the configuration of the daemon that refused",
}


class NotLinked(Event, level=Level.WARNING):
    address: Address
    port: Port
    code: Code
    detail: Detail
    next_step: NextStep

    @classmethod
    def to(cls, endpoint: Endpoint, code: ErrorCode, detail: str, **more: Any) -> Self:
        host, port, step = endpoint.host, endpoint.port, next_step(code)
        return cls(address=host, port=port, code=code, detail=detail, next_step=step, **more)


def next_step(code: ErrorCode) -> str:
    """What an operator can do when a link cannot be made or a peer refuses."""
    default = "none: it is tried again" if code.may_retry else "look at the log of the other daemon"
    return NEXT_STEPS.get(code, default)


# --- every daemon -----------------------------------------------------------------------------


class DaemonReady(Event, tag="daemon.ready"):
    """The daemon accepts connections."""

    name: str  # name in the daemon's certificate
    address: Address
    port: Port


class DaemonStopping(Event, tag="daemon.stopping"):
    """The daemon was told to stop, or must stop for a reason logged before."""

    name: str  # name in the daemon's certificate


class DaemonMisconfigured(Event, tag="daemon.misconfigured", level=Level.CRITICAL):
    """The daemon cannot start with this configuration. Exit status 2."""

    error: str  # file, key, cause and next step


class DaemonUnstartable(Event, tag="daemon.unstartable", level=Level.CRITICAL):
    """The daemon cannot use the rows in its store. Exit status 1."""

    error: Detail


class DaemonBroken(Event, tag="daemon.broken", level=Level.CRITICAL):
    """A fault in tsfarm: please report it. The daemon stops with exit status 70."""

    error: str  # class and text of the exception
    at: list[str]  # file, line and function of each call, outer first


class FaultTraced(Event, tag="fault.traced", level=Level.DEBUG):
    """The Python traceback of the `daemon.broken` before it."""

    exception: str  # several lines of text


class CertificateLoaded(Event, tag="certificate.loaded"):
    """The daemon has read its certificate, at its start or after a SIGHUP; new links use it."""

    fingerprint: str  # SHA-256 of its DER form, as `openssl x509 -fingerprint -sha256` prints it
    addresses: list[str]  # host names and IP addresses under which clients accept the daemon
    expires_at: Expires
    days_left: DaysLeft


class CertificateNotLoaded(Event, tag="certificate.not_loaded", level=Level.ERROR):
    """After a SIGHUP the files of the identity could not be used; nothing has changed."""

    error: Detail


class CertificateExpiring(Event, tag="certificate.expiring", level=Level.WARNING):
    """The daemon's certificate ends within 30 days: written at the start, and once a day."""

    expires_at: Expires
    days_left: DaysLeft
    next_step: NextStep


class CertificateExpired(Event, tag="certificate.expired", level=Level.ERROR):
    """The daemon's certificate has ended, and peers refuse new links: written once a day."""

    expires_at: Expires
    next_step: NextStep


class StoreFailed(Event, tag="store.failed", level=Level.CRITICAL):
    """The store cannot make anything durable. The daemon stops with exit status 1."""

    error: Detail


class StoreStalled(Event, tag="store.stalled", level=Level.ERROR):
    """The daemon stopped before its last commit was durable; nothing in it was acknowledged."""

    seconds: float  # how long the daemon waited for the commit


class LoopComplained(Event, tag="loop.complained", level=Level.WARNING):
    """The event loop met an error of the operating system that concerns no single link."""

    message: str  # what the event loop was doing
    error: Detail


class DescriptorsLow(Event, tag="descriptors.low", level=Level.WARNING):
    """Fewer connections fit than the protocol allows: raise the limit of open files."""

    limit: int  # open files that the system allows (RLIMIT_NOFILE)
    connections_max: int  # connections that fit


class ClockJumped(Event, tag="clock.jumped", level=Level.ERROR):
    """The system's clock was set while the daemon ran."""

    seconds: int  # how far it was set; negative: back
    next_step: NextStep


class ClockWarped(Event, tag="clock.warped"):
    """A lab's clock was set forward."""

    now: float  # the daemon's time, Unix seconds


class DenyListTaken(Event, tag="deny_list.taken"):
    """A newer deny list counts from now on; it is handed to every peer that has an older one."""

    list: str  # `certificates` or `devices`
    list_number: int  # the signer's time, Unix microseconds
    entries: Count
    peer: str  # the daemon or administrator that sent it


class DenyListRefused(Event, tag="deny_list.refused", level=Level.WARNING):
    """A deny list that a peer sent does not count, and changes nothing."""

    peer: str  # the daemon or administrator that sent it
    code: Code
    detail: Detail


class CertificateRevoked(Event, tag="certificate.revoked", level=Level.WARNING):
    """The link to a peer is closed: its certificate is now on the deny list."""

    role: str  # of the peer
    peer: str  # name in the certificate
    fingerprint: bytes  # SHA-256 of the certificate


class DeviceRevoked(Event, tag="device.revoked", level=Level.WARNING):
    """A device on the deny list was refused, or its session is no longer shown."""

    device_id: DeviceId
    peer: str  # the device's address, or the daemon that asks for it
    trace_id: TraceId = ""


class DatagramUnsent(Event, tag="datagram.unsent", level=Level.DEBUG):
    """A discovery datagram could not leave; discovery sends others."""

    address: str = ""  # where to; absent: the system reported it late
    port: Port = 0
    error: Detail


# --- terminal server: clients and licenses ----------------------------------------------------


class ClientOpened(Event, tag="client.opened"):
    """A client connected and begins the licensing phase."""

    trace_id: TraceId
    address: Address


class DeviceEvent(Event):
    trace_id: TraceId
    device_id: DeviceId


class LicenseAsked(DeviceEvent, tag="license.asked"):
    """License servers are asked for a device's token."""

    need: str  # ACQUIRE or RENEW
    lapse: str = ""  # why the token that was shown is not valid


class LicenseRequest(Event):
    trace_id: TraceId
    question: str  # the message that was sent
    server: LicenseServerName


class LicenseRequestRefused(LicenseRequest, tag="license_request.refused"):
    """A license server refused a request."""

    code: Code


class LicenseRequestUnanswered(
    LicenseRequest, tag="license_request.unanswered", level=Level.WARNING
):
    """A license server did not answer a request."""

    code: Code
    detail: Detail = ""


class LicenseRequestAnswerUnusable(
    LicenseRequest, tag="license_request.answer_unusable", level=Level.WARNING
):
    """A license server sent a token that does not verify; it is not given to the device."""

    detail: Detail


class LicensePushed(DeviceEvent, tag="license.pushed"):
    """A device was sent a new token to store."""

    license_id: LicenseId
    kind: Kind
    issuer: LicenseServerName
    lender: str = ""  # license server whose pool it is from, if lent


class LicenseAccepted(DeviceEvent, tag="license.accepted"):
    """A device with a valid token passed the licensing phase."""

    kind: Kind
    expires_at: Expires


class GraceUsed(DeviceEvent, tag="grace.used", level=Level.WARNING):
    """A device without a token was let in, because this terminal server is in its grace period and
    no license server gave one: make a license server reachable before the period ends."""

    expires_at: int  # when the grace period ends, Unix seconds


class RenewalFailed(DeviceEvent, tag="renewal.failed", level=Level.WARNING, number=1028):
    """A device was let in, but its full token was not renewed and will expire."""

    expires_at: Expires
    detail: Told


class DeviceSentAway(DeviceEvent, level=Level.WARNING):
    code: Code
    detail: Told


class DeviceRefused(DeviceSentAway, tag="device.refused", number=1004):
    """A device was sent away in the licensing phase."""


class LicenseLapsed(DeviceSentAway, tag="license.lapsed", number=1011):
    """A device was sent away with LICENSE_EXPIRED: it has no token but the expired one."""


class LicenseRejected(DeviceSentAway, tag="license.rejected", number=1003):
    """A device was sent away with LICENSE_TAMPERED, LICENSE_FOREIGN, LICENSE_NOT_YOURS or
    DEVICE_PROOF_INVALID: its token or its signature does not verify."""


class DeviceValidated(Event, tag="device.validated"):
    """A license server marked a device's temporary token as validated, after a logon."""

    trace_id: TraceId
    asked: tuple[str, ...]  # license servers in the order they were asked


class DeviceNotValidated(Event, tag="device.not_validated"):
    """A device could not be validated now; its next logon tries again."""

    trace_id: TraceId
    code: Code
    asked: tuple[str, ...] = ()  # license servers in the order they were asked


# --- terminal server: its license servers -----------------------------------------------------


class LicenseServerSearching(Event, tag="license_server.searching"):
    """A broadcast asks for license servers."""


class LicenseServerInUse(Event, tag="license_server.in_use"):
    """The first license server to answer is used before the search ends."""

    server: LicenseServerName
    found: Found


class LicenseServerChosen(Event, tag="license_server.chosen"):
    """The search ended; this license server is asked first."""

    server: LicenseServerName
    found: Found


class LicenseServerNoneFound(Event, tag="license_server.none_found", level=Level.WARNING):
    """The search ended without a license server that could be reached."""

    candidates: int  # addresses that were dialled
    detail: Detail
    next_step: NextStep


class LicenseServerUnreachable(NotLinked, tag="license_server.unreachable"):
    """No link to a license server could be made."""


# --- terminal server: logon and session directory ---------------------------------------------


class LogonRefused(Event, tag="logon.refused"):
    """A logon was refused; the client may try again on the same connection."""

    trace_id: TraceId
    user_name: UserName
    code: Code
    detail: str  # the cause; the user may be told less


class ProofsWrong(Event, tag="proofs.wrong"):
    """Wrong passwords came from an address: one line a source and minute, for fail2ban. A source is
    an IPv4 address or an IPv6 /64."""

    address: Address
    wrong: Count  # since the last line about this source


class LogonRedirected(Event, tag="logon.redirected"):
    """A user was sent to the terminal server that has the session."""

    trace_id: TraceId
    server: ServerName
    session_id: SessionId


class DirectoryJoined(Event, tag="directory.joined", number=1281):
    """The session directory accepted this terminal server, which now sends its sessions."""

    sessions: Count


class DirectoryReady(Event, tag="directory.ready"):
    """The session directory knows every session of this terminal server, and places logons."""


class DirectoryNotJoined(NotLinked, tag="directory.not_joined", number=1280):
    """This terminal server could not join the session directory, and will try again."""

    pause_seconds: float  # time until it tries again


class DirectoryDidNotPlace(Event, tag="directory.did_not_place", level=Level.WARNING):
    """The session directory placed nobody: the logon goes on here, even if the user has a session
    elsewhere."""

    trace_id: TraceId
    code: Code
    detail: Detail = ""


class ReceiptRefused(Event, tag="receipt.refused", level=Level.WARNING):
    """The session directory gives no receipt for a session that began without it: its user is not
    led to it from other hosts before they log on here again."""

    session_id: SessionId
    code: Code
    detail: Detail = ""


# --- terminal server: sessions ----------------------------------------------------------------


class SessionEvent(Event):
    session_id: SessionId
    user_name: UserName


class SessionStarted(SessionEvent, tag="session.started"):
    """A session's program runs."""

    pid: int  # process id of the program


class SessionNotStarted(SessionEvent, tag="session.not_started", level=Level.WARNING):
    """A session's program could not be started."""

    detail: Detail


class SessionShown(SessionEvent, tag="session.shown"):
    """A client shows a session."""

    trace_id: TraceId
    fresh: bool  # true: just started, no screen to restore


class SessionDisconnected(SessionEvent, tag="session.disconnected"):
    """No client shows the session any more; its program goes on."""


class SessionLoggedOff(SessionEvent, tag="session.logged_off"):
    """A session's programs are told to end."""


class SessionEnded(SessionEvent, tag="session.ended"):
    """A session's program has ended."""

    exit_status: int  # as a shell reports it: 128 + n after signal n


class SessionKept(SessionEvent, tag="session.kept"):
    """A session outlived a restart of the terminal server."""


class SessionLost(Event, tag="session.lost", level=Level.WARNING):
    """A recorded session no longer runs after a restart of the terminal server."""

    session_id: SessionId


class SessionUnrecorded(Event, tag="session.unrecorded", level=Level.WARNING):
    """The keeper runs a session without a record; it is ended."""

    session_id: SessionId


class SessionUnreachable(Event, tag="session.unreachable", level=Level.ERROR):
    """A session that runs cannot be taken up from the keeper yet; it is tried again."""

    session_id: SessionId
    detail: Detail


class KeeperLost(Event, tag="keeper.lost", level=Level.WARNING):
    """The connection to the keeper broke: another keeper is asked to adopt the sessions."""

    sessions: Count


class KeeperFound(Event, tag="keeper.found", level=Level.WARNING):
    """A keeper answers again. If it is another one, it adopted sessions: when their programs end,
    the exit status told is 255, for it cannot be known. Those that it could not adopt end when this
    server stops."""

    adopted: Count
    not_adopted: Count


class KeeperUnreachable(Event, tag="keeper.unreachable", level=Level.ERROR):
    """The keeper cannot be reached: no session can start until it can."""

    detail: Detail


class AccountStated(Event, tag="account.stated"):
    """An administrator's statement has changed an account of this host."""

    administrator: str  # name in the administrator's certificate


class AccountRefused(Event, tag="account.refused", level=Level.WARNING):
    """A statement about an account counts for nothing: its signature, signer or time is wrong."""

    peer: str  # who sent it
    code: Code
    detail: Detail


class PasswordChanged(Event, tag="password.changed"):
    """A user has changed their password, here or at another host that told it."""

    user_name: UserName


class PasswordRefused(Event, tag="password.refused", level=Level.WARNING):
    """Another daemon told a change of a password that does not fit this host's account: the host
    may have missed one before it. `tsfarm user push` brings the account up to date."""

    user_name: UserName
    code: Code
    detail: Detail


class AccountsUnreadable(Event, tag="accounts.unreadable", level=Level.ERROR):
    """The changed accounts file cannot be used; the accounts read before stay valid."""

    detail: Detail


# --- license server ---------------------------------------------------------------------------


class ClockSetBack(Event, tag="clock.set_back", level=Level.ERROR):
    """At its start the license server's clock is behind the newest entry of its journal."""

    seconds: int  # how far it is behind


class PackAdded(Event, tag="pack.added"):
    """A key pack was added to its pool."""

    key_pack: str  # id of the key pack
    product: Product
    product_version: ProductVersion
    tokens: Count


class LicenseChanged(Event):
    license_id: LicenseId
    kind: Kind
    product: Product
    product_version: ProductVersion
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName
    expires_at: Expires
    through: str = ""  # license server that it was lent to, if any
    lender: str = ""  # license server whose pool it is from, if lent
    trace_id: TraceId = ""


class LicenseIssued(LicenseChanged, tag="license.issued"):
    """A device was issued a temporary or a full token."""


class LicenseValidated(LicenseChanged, tag="license.validated"):
    """A user logged on from a device with a temporary token: it may be upgraded."""


class LicenseRenewed(LicenseChanged, tag="license.renewed"):
    """A full token has a new end."""


class LicenseLent(LicenseChanged, tag="license.lent"):
    """A token of this license server's pool was issued through another license server."""


class LicenseBorrowed(LicenseChanged, tag="license.borrowed"):
    """A device was issued a token from another license server's pool."""


class LicenseReclaimed(LicenseChanged, tag="license.reclaimed"):
    """A full token expired and is back in its pool."""


class LicenseExpired(LicenseChanged, tag="license.expired"):
    """A borrowed token expired; it is back in its lender's pool."""


class Shortage(Event, level=Level.WARNING, number=21):
    device_id: DeviceId
    device_name: DeviceName
    product: Product
    product_version: ProductVersion
    pools: list[str]  # this server's pools, with what they hold
    peers: list[str]  # other license servers, with their answers
    reason: str  # why there is no full token
    trace_id: TraceId


class LicenseRefused(Shortage, tag="license.refused"):
    """A device without a valid token was refused one: see `reason`. If none is left, add a pack."""


class LicenseNotUpgraded(Shortage, tag="license.not_upgraded"):
    """A validated device keeps its temporary token: see `reason`. If none is left, add a pack."""


class RequestRefused(Event, tag="request.refused"):
    """A request was refused for another reason than a shortage of tokens."""

    code: Code
    request: str  # the message
    peer: str  # the daemon that sent it
    detail: Told
    trace_id: TraceId = ""


class PeerLinked(Event, tag="peer.linked"):
    """A link to another license server is open."""

    peer: LicenseServerName
    found: Found


class PeerLost(Event, tag="peer.lost", level=Level.WARNING):
    """The link to another license server broke."""

    peer: LicenseServerName


class PeerUnreachable(NotLinked, tag="peer.unreachable", number=8):
    """No link to another license server could be made."""

    peer: str = ""  # its name, where known


class LoanFailed(Event, tag="loan.failed", level=Level.WARNING, number=8):
    """Another license server lent no token."""

    peer: LicenseServerName
    reason: str  # an error code, or what was wrong with the answer
    device_id: DeviceId
    trace_id: TraceId


class LicenseNotRenewed(Event, tag="license.not_renewed", level=Level.WARNING, number=8):
    """The lender of a token did not renew it; the token expires if it does not do so in time."""

    peer: LicenseServerName
    code: Code
    detail: Detail = ""
    license_id: LicenseId
    trace_id: TraceId


# --- session directory ------------------------------------------------------------------------


class ServerJoined(Event, tag="server.joined", number=776):
    """A terminal server joined the farm, and begins to send its sessions."""

    server: ServerName
    restarted: bool  # true: it is a new process of a known name


class JoinRefused(Event, tag="join.refused", level=Level.WARNING, number=1016):
    """A terminal server may not join."""

    server: ServerName
    code: Code
    detail: Told


class ServerReady(Event, tag="server.ready"):
    """All sessions of a terminal server are known; users are led to them."""

    server: ServerName
    sessions: Count


class ServerLost(Event, tag="server.lost", level=Level.WARNING):
    """The link to a terminal server broke; nobody is led there until it joins again."""

    server: ServerName


class ServerRemoved(Event, tag="server.removed", level=Level.WARNING):
    """A lost terminal server did not join again in time; its sessions are forgotten."""

    server: ServerName


class Placed(Event):
    user_name: UserName
    application: str  # name of the application, empty: the shell
    asking: str  # terminal server that the user landed on
    server: str  # terminal server of the session
    session_id: SessionId
    placement: int  # number of the reservation
    trace_id: TraceId


class SessionPlaced(Placed, tag="session.placed"):
    """A user was given a place for a new session, or led to one on another terminal server."""


class SessionPlacedUnsure(Placed, tag="session.placed_unsure", level=Level.WARNING):
    """A user was given a place for a new session soon after the directory's start: a session on a
    terminal server that has not joined yet may have been missed."""


class PlacementRefused(Event, tag="placement.refused"):
    """There is no place for a user's session."""

    user_name: UserName
    asking: str  # terminal server that the user landed on
    code: Code
    trace_id: TraceId


class SessionSeveral(Event, tag="session.several"):
    """A user has several sessions; the first is offered."""

    user_name: UserName
    sessions: list[str]  # each `server:session`, the best first


class SessionIgnored(Event, tag="session.ignored"):
    """A terminal server's news of a session was not taken."""

    server: ServerName
    session_id: SessionId
    reason: str  # why it does not count


class ReservationExpired(Event, tag="reservation.expired"):
    """No session came of a placement in time."""

    server: ServerName
    user_name: UserName
