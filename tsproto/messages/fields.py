"""The types of fields: each with its bounds, its unit and its meaning.

Bounds of text count characters; a character takes at most four bytes, and the frame bounds all.
"""

from enum import IntEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from tsproto import limits
from tsproto.printable import UNPRINTABLE

_PRINTABLE = rf"^[^{UNPRINTABLE}]*\Z"

Version: TypeAlias = Annotated[int, Meta(ge=0, le=65_535, description="protocol version")]
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
        max_length=limits.USER_NAME_CHARACTERS,
        pattern=_PRINTABLE,
        description="user name, at most 104 characters as in [IWTSSBPlugin]; printable",
    ),
]
DeviceName: TypeAlias = Annotated[
    str,
    Meta(
        max_length=limits.DEVICE_NAME_CHARACTERS,
        pattern=_PRINTABLE,
        description="what the device calls itself, for people to read; printable",
    ),
]
DeviceId: TypeAlias = Annotated[
    bytes, Meta(min_length=32, max_length=32, description="SHA-256 of the device's public key")
]
Id16: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16, description="random id")]
OptionalId16: TypeAlias = Annotated[bytes, Meta(max_length=16, description="an id, or empty")]
Seconds: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**40, description="Unix time in whole seconds; 0 means none")
]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**40, description="a number of things")]
Weight: TypeAlias = Annotated[
    int, Meta(ge=1, le=10_000, description="share of new sessions, which no directory heeds yet")
]
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
Attachment: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=2**40,
        description="how often the session was shown, this time included; 0 means not resuming",
    ),
]
Nonce: TypeAlias = Annotated[
    bytes, Meta(min_length=32, max_length=32, description="32 random bytes, used once")
]
Fingerprint: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32, description="SHA-256")]
OptionalFingerprint: TypeAlias = Annotated[
    bytes, Meta(max_length=32, description="SHA-256, or empty")
]
Receipt: TypeAlias = Annotated[
    bytes,
    Meta(
        max_length=32,
        description="the directory's word that it saw the user's proof for this session, made and"
        " checked by the directory alone; empty for none",
    ),
]
Salt: TypeAlias = Annotated[
    bytes, Meta(min_length=16, max_length=16, description="salt of argon2id")
]
MethodNumber: TypeAlias = Annotated[
    int, Meta(ge=1, le=4, description="1 password, 2 SSH key, 3 PAM, 4 device")
]
MethodFlags: TypeAlias = Annotated[
    int, Meta(ge=1, le=15, description="sum of 1 password, 2 SSH key, 4 PAM, 8 device")
]
MemoryKib: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**32 - 1, description="memory of argon2id in KiB")
]
Passes: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1, description="passes of argon2id")]
Lanes: TypeAlias = Annotated[int, Meta(ge=0, le=255, description="lanes of argon2id")]
Algorithm: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[a-z0-9@.-]*\Z",
        description="ed25519 for a password or device; else the name of an SSH signature",
    ),
]
Signature: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.SIGNATURE_BYTES, description="signature, or empty")
]
PublicKey: TypeAlias = Annotated[
    bytes, Meta(min_length=32, max_length=32, description="Ed25519 public key")
]
Ed25519Signature: TypeAlias = Annotated[
    bytes, Meta(min_length=64, max_length=64, description="Ed25519 signature")
]
Generation: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=2**53,
        description="when an account was changed, in microseconds since 1970; 0 means never",
    ),
]
EnvironmentValue: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[A-Za-z0-9/@._+:,-]*\Z",
        description="value of an environment variable, or empty",
    ),
]
DenyNumber: TypeAlias = Annotated[
    int,
    Meta(
        ge=0, le=2**53, description="number of a deny list: Unix time in microseconds, 0 for none"
    ),
]
ProductVersion: TypeAlias = Annotated[int, Meta(ge=1, le=65_535, description="product version")]
Token: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.TOKEN_BYTES, description="signed license token, or empty")
]
Certificate: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.CERTIFICATE_BYTES, description="X.509 certificate, DER, or empty")
]
Endorsement: TypeAlias = Annotated[
    bytes, Meta(max_length=64, description="Ed25519 signature of 64 bytes, or empty")
]
Columns: TypeAlias = Annotated[
    int, Meta(ge=1, le=limits.COLUMNS_MAX, description="width of the terminal in cells")
]
Rows: TypeAlias = Annotated[
    int, Meta(ge=1, le=limits.ROWS_MAX, description="height of the terminal in cells")
]
Detail: TypeAlias = Annotated[
    str,
    Meta(
        max_length=limits.DETAIL_CHARACTERS,
        pattern=_PRINTABLE,
        description="cause and next step, for a person to read; printable",
    ),
]
TraceId: TypeAlias = Annotated[
    str,
    Meta(
        max_length=32,
        pattern=r"^[0-9a-z-]*\Z",
        description="id that every log line about this carries; empty for none",
    ),
]
RetryAfter: TypeAlias = Annotated[
    int, Meta(ge=0, le=86_400, description="seconds to wait before trying again; 0 means any time")
]


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


class ServerState(IntEnum):
    """A terminal server as its directory sees it."""

    SYNCHRONIZING = 1
    READY = 2
    LOST = 3
