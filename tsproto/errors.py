"""Every code that the protocol can say no with, and the exceptions that carry one.

A peer's fault is a `ProtocolError`, turned into a Goodbye at one place (`tsproto.connection`).
A lawful "no" is a `Refused` answer. A fault of our own is an assertion: the process stops.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ErrorCode(IntEnum):
    """Numbers are never reused. The hundreds tell the area: 1 protocol, 2 licensing, 3 logon,
    4 ends of a session, 5 directory, 6 service, 7 deny lists. `may_retry` says whether trying again
    can help.
    """

    may_retry: bool
    meaning: str

    def __new__(cls, value: int, may_retry: bool, meaning: str) -> ErrorCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.may_retry = may_retry
        code.meaning = meaning
        return code

    NORMAL = 0, False, "nothing is wrong: the work is done"

    MALFORMED_FRAME = 100, False, "the bytes are not a frame"
    FRAME_TOO_LONG = 101, False, "the frame is longer than this connection allows now"
    UNKNOWN_FRAME_KIND = 102, False, "the frame's kind is neither message nor session bytes"
    MALFORMED_MESSAGE = 103, False, "a field has the wrong type or is out of bounds"
    UNKNOWN_MESSAGE = 104, False, "no message has this number"
    OUT_OF_ORDER = 105, False, "this message is not allowed in this state of the connection"
    WRONG_ROLE = 106, False, "this role may not send this message, or is not the certificate's"
    VERSION_UNSUPPORTED = 107, False, "no protocol version is spoken by both"
    TIMED_OUT = 108, True, "the next step of the procedure did not come in time"
    PEER_SILENT = 109, True, "three heartbeats were missed"
    TOO_MANY_REQUESTS = 110, True, "more requests in flight than allowed on one connection"
    PEER_TOO_SLOW = 111, True, "the peer does not read what it is sent"
    TOO_MANY_CONNECTIONS = 112, True, "the limit of connections is reached"
    CONNECTION_LOST = 113, True, "the connection broke without a Goodbye"
    CERTIFICATE_REVOKED = 114, True, "the certificate is on the farm's deny list"

    NO_LICENSE = 200, False, "no license token is left for this device"
    NO_LICENSE_SERVER = 201, True, "no license server answers and the grace period is over"
    LICENSE_TAMPERED = 202, False, "the license token's signature is not its issuer's"
    LICENSE_EXPIRED = 203, False, "the license token has expired and there is no new one"
    LICENSE_FOREIGN = 204, False, "the license token is of another farm or product"
    LICENSE_NOT_YOURS = 205, False, "the license token belongs to another device"
    DEVICE_PROOF_INVALID = 206, False, "the device's signature over the nonce is wrong"
    SERVER_NOT_SERVED = 207, False, "the license server does not serve this terminal server"
    LENDER_UNREACHABLE = 208, True, "the license server that lent the token does not answer"
    UNKNOWN_LICENSE = 209, False, "no such license is known here"
    KEY_PACK_CONFLICT = 210, False, "a different key pack with this id exists"
    LEDGER_FULL = 211, True, "the license server can keep no more devices"
    TOO_MANY_DEVICES = 212, True, "this terminal server brings new devices too fast"
    DEVICE_REVOKED = 213, False, "the device is on the farm's deny list"

    LOGON_FAILED = 300, True, "the proof is not this user's, or there is no such user"
    LOGON_BUSY = 301, True, "too many proofs are being checked, or were wrong"
    TOO_MANY_ATTEMPTS = 302, True, "too many wrong proofs on this connection"
    UNKNOWN_APPLICATION = 304, False, "the terminal server knows no application of this name"
    TOO_MANY_SESSIONS = 305, True, "the terminal server has as many sessions as it may"
    PROGRAM_FAILED = 306, True, "the session's program could not be started"
    ACCOUNT_UNUSABLE = 307, False, "no session may run as this account's system user"

    DISCONNECTED_BY_USER = 400, False, "the user disconnected; the session goes on"
    DISCONNECTED_BY_OTHER = 401, False, "the user's session is now shown by another client"
    LOGGED_OFF = 402, False, "the session has ended"

    DIRECTORY_UNAVAILABLE = 500, True, "the session directory does not answer"
    NOT_JOINED = 501, True, "this terminal server has not joined the session directory"

    NOT_PERMITTED = 600, False, "not allowed here"
    UNREACHABLE = 601, True, "the peer could not be reached"
    UNANSWERED = 602, True, "the request was not answered in time"
    SHUTTING_DOWN = 603, True, "the daemon is stopping"
    BUSY = 604, True, "too much is waiting; try again later"

    DENY_LIST_MALFORMED = 700, False, "the deny list cannot be read, or has too many entries"
    DENY_LIST_OLD = 701, False, "the deny list is not newer than the one held"
    DENY_LIST_AHEAD = 702, True, "the deny list's number is more than a day ahead of the clock"
    DENY_LIST_FORGED = 703, False, "the deny list is not signed by one who may sign it"


# Codes that no longer exist; their numbers are never used again.
RETIRED_CODES = {
    303: "TICKET_INVALID",
    403: "DISCONNECTED_BY_ADMINISTRATOR",
    502: "DIRECTORY_REBUILDING",
}


class TsfarmError(Exception):
    """An error that a user may see: its text says what happened and what to do next."""


class PeerError(TsfarmError):
    """A peer cannot be reached, or does not do what was asked; `code` says why."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class ProtocolError(TsfarmError):
    """The peer broke the protocol; the connection ends with `code`."""

    code: ClassVar[ErrorCode]


class MalformedFrame(ProtocolError):
    code = ErrorCode.MALFORMED_FRAME


class FrameTooLong(ProtocolError):
    code = ErrorCode.FRAME_TOO_LONG


class UnknownFrameKind(ProtocolError):
    code = ErrorCode.UNKNOWN_FRAME_KIND


class MalformedMessage(ProtocolError):
    code = ErrorCode.MALFORMED_MESSAGE


class UnknownMessage(ProtocolError):
    code = ErrorCode.UNKNOWN_MESSAGE


class OutOfOrder(ProtocolError):
    code = ErrorCode.OUT_OF_ORDER


class WrongRole(ProtocolError):
    code = ErrorCode.WRONG_ROLE


class VersionUnsupported(ProtocolError):
    code = ErrorCode.VERSION_UNSUPPORTED


class TooManyRequests(ProtocolError):
    code = ErrorCode.TOO_MANY_REQUESTS


class CertificateRevoked(ProtocolError):
    code = ErrorCode.CERTIFICATE_REVOKED


class DenyListError(TsfarmError):
    """A deny list does not count, and `code` says why."""

    code: ClassVar[ErrorCode]


class DenyListMalformed(DenyListError):
    code = ErrorCode.DENY_LIST_MALFORMED


class DenyListOld(DenyListError):
    code = ErrorCode.DENY_LIST_OLD


class DenyListAhead(DenyListError):
    code = ErrorCode.DENY_LIST_AHEAD


class DenyListForged(DenyListError):
    code = ErrorCode.DENY_LIST_FORGED


class LicenseError(TsfarmError):
    """A license token does not count, and `code` says why."""

    code: ClassVar[ErrorCode]


class LicenseTampered(LicenseError):
    code = ErrorCode.LICENSE_TAMPERED


class LicenseExpired(LicenseError):
    code = ErrorCode.LICENSE_EXPIRED


class LicenseOutdated(LicenseExpired):
    """The token is for an older version than the terminal server's. Like an expired one it does
    not count any more, and the license server may have one that does."""


class LicenseRevoked(LicenseExpired):
    """The certificate of the token's issuer is on the deny list. Like an expired token it does not
    count any more, and a license server may give another."""


class LicenseForeign(LicenseError):
    code = ErrorCode.LICENSE_FOREIGN


class LicenseNotYours(LicenseError):
    code = ErrorCode.LICENSE_NOT_YOURS


class DeviceProofInvalid(LicenseError):
    code = ErrorCode.DEVICE_PROOF_INVALID
