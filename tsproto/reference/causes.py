"""Who sends an error code, in what, and when: for the chapters on codes and on messages alike."""

from __future__ import annotations

from enum import Enum

import msgspec

from tsproto.errors import ErrorCode
from tsproto.messages import (
    DAEMONS,
    EVERYBODY,
    LICENSE_SERVER,
    SESSION_DIRECTORY,
    TERMINAL_SERVER,
    Role,
)


class Carrier(Enum):
    """The message that carries a code."""

    GOODBYE = "Goodbye"
    REFUSED = "Refused"
    LOGON_REFUSED = "LogonRefused"
    NONE = "none"


class Cause(msgspec.Struct, frozen=True):
    """`after` names the messages that it follows; empty where it may follow any, or none."""

    code: ErrorCode
    carrier: Carrier
    senders: frozenset[Role]
    when: str
    after: tuple[str, ...] = ()


_GOODBYE, _REFUSED = Carrier.GOODBYE, Carrier.REFUSED
_LOGON_REFUSED, _NONE = Carrier.LOGON_REFUSED, Carrier.NONE
_FOR_A_DEVICE = ("AcquireLicense", "RenewLicense", "MarkValidated")

CAUSES: tuple[Cause, ...] = (
    Cause(ErrorCode.NORMAL, _GOODBYE, EVERYBODY, "it has all that it wanted, or was redirected"),
    Cause(ErrorCode.MALFORMED_FRAME, _GOODBYE, EVERYBODY, "another byte where a frame begins"),
    Cause(ErrorCode.FRAME_TOO_LONG, _GOODBYE, EVERYBODY, "a header says more than is allowed now"),
    Cause(ErrorCode.UNKNOWN_FRAME_KIND, _GOODBYE, EVERYBODY, "a header says a kind above 1"),
    Cause(
        ErrorCode.MALFORMED_MESSAGE,
        _GOODBYE,
        EVERYBODY,
        "a body, a field or a request id is not as the table says",
    ),
    Cause(ErrorCode.UNKNOWN_MESSAGE, _GOODBYE, EVERYBODY, "a number that is not in the table"),
    Cause(
        ErrorCode.OUT_OF_ORDER,
        _GOODBYE,
        EVERYBODY,
        "a message not in this state or step, an answer that nobody waits for, session bytes"
        " outside SESSION",
    ),
    Cause(
        ErrorCode.WRONG_ROLE,
        _GOODBYE,
        EVERYBODY,
        "a message that this role never sends, a role or name that is not the certificate's or not"
        " the one dialled, a role that has nothing to ask here",
    ),
    Cause(
        ErrorCode.VERSION_UNSUPPORTED,
        _GOODBYE,
        EVERYBODY,
        "no version in both ranges, or one that was not offered",
        ("Hello", "Welcome"),
    ),
    Cause(ErrorCode.TIMED_OUT, _GOODBYE, EVERYBODY, "a state lasted longer than it may"),
    Cause(ErrorCode.PEER_SILENT, _GOODBYE, EVERYBODY, "nothing came for SILENT_SECONDS"),
    Cause(
        ErrorCode.TOO_MANY_REQUESTS,
        _GOODBYE,
        EVERYBODY,
        "a request while REQUESTS_IN_FLIGHT are unanswered",
    ),
    Cause(ErrorCode.PEER_TOO_SLOW, _GOODBYE, EVERYBODY, "more than OUTBOX_BYTES wait for the peer"),
    Cause(
        ErrorCode.TOO_MANY_CONNECTIONS,
        _GOODBYE,
        DAEMONS,
        "a connection above a limit, of all or of one address",
    ),
    Cause(ErrorCode.CONNECTION_LOST, _NONE, EVERYBODY, "what an end calls it that saw no Goodbye"),
    Cause(
        ErrorCode.NO_LICENSE,
        _REFUSED,
        LICENSE_SERVER,
        "the device has no live token and can get none",
        ("AcquireLicense", "LendLicense"),
    ),
    Cause(
        ErrorCode.NO_LICENSE,
        _GOODBYE,
        TERMINAL_SERVER,
        "the device showed no token, or one for a lower version, and a license server refused it"
        " one",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.NO_LICENSE_SERVER,
        _GOODBYE,
        TERMINAL_SERVER,
        "the device has no live token, no license server decides, and there is no grace period",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.LICENSE_TAMPERED,
        _GOODBYE,
        TERMINAL_SERVER,
        "the token shown cannot be read, or its signature is wrong",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.LICENSE_EXPIRED,
        _GOODBYE,
        TERMINAL_SERVER,
        "the device showed an expired token, and a license server refused it a new one",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.LICENSE_FOREIGN,
        _GOODBYE,
        TERMINAL_SERVER,
        "the token shown is of another farm, issuer or product",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.LICENSE_NOT_YOURS,
        _GOODBYE,
        TERMINAL_SERVER,
        "the token shown is of another device",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.DEVICE_PROOF_INVALID,
        _GOODBYE,
        TERMINAL_SERVER,
        "the signature is not over this nonce and this certificate",
        ("LicenseInfo",),
    ),
    Cause(
        ErrorCode.SERVER_NOT_SERVED,
        _REFUSED,
        LICENSE_SERVER,
        "the configuration does not name this terminal server",
        _FOR_A_DEVICE,
    ),
    Cause(
        ErrorCode.LENDER_UNREACHABLE,
        _REFUSED,
        LICENSE_SERVER,
        "a lent token is to be renewed, and its lender does not answer",
        ("RenewLicense",),
    ),
    Cause(
        ErrorCode.UNKNOWN_LICENSE,
        _REFUSED,
        LICENSE_SERVER,
        "no such live token of this device, or no license of it at all",
        ("RenewLicense", "MarkValidated"),
    ),
    Cause(
        ErrorCode.KEY_PACK_CONFLICT,
        _REFUSED,
        LICENSE_SERVER,
        "a key pack of this id has another content",
        ("AddKeyPack",),
    ),
    Cause(
        ErrorCode.LEDGER_FULL,
        _REFUSED,
        LICENSE_SERVER,
        "one device, pool or key pack more than can be kept",
        ("AcquireLicense", "LendLicense", "AddKeyPack"),
    ),
    Cause(
        ErrorCode.TOO_MANY_DEVICES,
        _REFUSED,
        LICENSE_SERVER,
        "the terminal server brought too many new devices within a minute",
        ("AcquireLicense",),
    ),
    Cause(
        ErrorCode.LOGON_FAILED,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "user name or password is wrong",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.LOGON_BUSY,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "too many passwords are being checked",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.TOO_MANY_ATTEMPTS,
        _GOODBYE,
        TERMINAL_SERVER,
        "the last wrong password, or one LogonRequest more than 16",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.TICKET_INVALID,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "ticket or cookie was not accepted; the log alone says why",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.TICKET_INVALID,
        _REFUSED,
        SESSION_DIRECTORY,
        "unknown, used, too old, or for another device, user or host",
        ("RedeemTicket",),
    ),
    Cause(
        ErrorCode.UNKNOWN_APPLICATION,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "the host has no such application",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.TOO_MANY_SESSIONS,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "a new session would be one too many on this host",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.TOO_MANY_SESSIONS,
        _REFUSED,
        SESSION_DIRECTORY,
        "the asking host has as many sessions and reservations as its sessions_max",
        ("PlaceSession",),
    ),
    Cause(
        ErrorCode.TOO_MANY_SESSIONS,
        _REFUSED,
        SESSION_DIRECTORY,
        "the list is longer than the directory can keep of one host, a bound of its own",
        ("SyncSessions",),
    ),
    Cause(
        ErrorCode.PROGRAM_FAILED,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "the session's program could not be started",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.ACCOUNT_UNUSABLE,
        _LOGON_REFUSED,
        TERMINAL_SERVER,
        "no session may run as the account's system user",
        ("LogonRequest",),
    ),
    Cause(
        ErrorCode.DISCONNECTED_BY_USER,
        _GOODBYE,
        TERMINAL_SERVER,
        "the client asked for it",
        ("DisconnectSession",),
    ),
    Cause(
        ErrorCode.DISCONNECTED_BY_OTHER,
        _GOODBYE,
        TERMINAL_SERVER,
        "another client of the user is shown the session now",
    ),
    Cause(
        ErrorCode.LOGGED_OFF,
        _GOODBYE,
        TERMINAL_SERVER,
        "the session's program has ended; SessionEnded came before",
        ("LogoffSession",),
    ),
    Cause(
        ErrorCode.DIRECTORY_UNAVAILABLE,
        _NONE,
        TERMINAL_SERVER,
        "what a terminal server calls it that cannot ask its directory",
    ),
    Cause(
        ErrorCode.NOT_JOINED,
        _REFUSED,
        SESSION_DIRECTORY,
        "the terminal server is not READY, or sends a list that nobody waits for; a ticket is as"
        " good as before",
        ("SyncSessions", "PlaceSession", "RedeemTicket"),
    ),
    Cause(
        ErrorCode.NOT_JOINED,
        _GOODBYE,
        SESSION_DIRECTORY,
        "the same terminal server, by name, address and port, has joined over a newer connection",
    ),
    Cause(
        ErrorCode.NOT_PERMITTED,
        _REFUSED,
        SESSION_DIRECTORY,
        "the configuration does not name this terminal server, another one of its name has joined"
        " from elsewhere, or it reports a session that is not its own, has no number or a placement"
        " above 2^52",
        ("JoinFarm", "SyncSessions"),
    ),
    Cause(ErrorCode.NOT_PERMITTED, _REFUSED, DAEMONS, "the daemon runs in no lab", ("WarpClock",)),
    Cause(ErrorCode.UNREACHABLE, _NONE, EVERYBODY, "what an end calls it that could not dial"),
    Cause(ErrorCode.UNANSWERED, _NONE, EVERYBODY, "what an end calls it that waited for an answer"),
    Cause(ErrorCode.SHUTTING_DOWN, _GOODBYE, DAEMONS, "the daemon is being stopped"),
    Cause(
        ErrorCode.BUSY,
        _REFUSED,
        DAEMONS,
        "too much waits already: for the disk, for other license servers, or in a table of the"
        " directory's, which keeps PAGE_ROWS terminal servers; or it has no higher placement to"
        " give",
    ),
    Cause(
        ErrorCode.BUSY,
        _GOODBYE,
        TERMINAL_SERVER,
        "too much waits for the disk, or more input came than the session's program reads",
    ),
)
