"""An example of every message, and what its bytes mean one by one.

The values tell one story: device and user of one farm, from the first connection to a lent license.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from tsproto import codec, messages
from tsproto.discovery import Answer, Query, Scope
from tsproto.errors import ErrorCode
from tsproto.identity import DeviceKey
from tsproto.license_token import Claims
from tsproto.messages import Credential, LicenseKind, Message, Role, ServerState, SessionState
from tsproto.reference.markdown import annotated

NOW = 1_800_000_000  # 15 January 2027, 08:00:00 UTC
DAY = 86_400
DEVICE = DeviceKey.from_seed(hashlib.sha256(b"device").digest())
NONCE = hashlib.sha256(b"nonce").digest()
SERVER_CERTIFICATE = hashlib.sha256(b"certificate").digest()


def _id(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()[:16]


CLAIMS = Claims(
    farm="lab",
    issuer="license-a",
    kind=LicenseKind.TEMPORARY,
    license_id=_id("license"),
    product="terminal-server",
    product_version=1,
    device_id=DEVICE.device_id,
    device_name="laptop",
    user_name="user1",
    issued_at=NOW,
    expires_at=NOW + 90 * DAY,
)
QUERY = Query(farm="lab", scope=Scope.WORKGROUP, scope_name="lab", nonce=_id("query"))
ANSWER = Answer(farm="lab", name="license-a", port=5601, nonce=_id("query"))

_SESSION = messages.SessionRow(
    host="ts1",
    session_id=7,
    user_name="user1",
    application="",
    state=SessionState.ACTIVE,
    created_at=NOW,
    placement=NOW * 1_000_000,
    device_name="laptop",
)
_DEVICE_FIELDS: dict[str, Any] = {
    "device_id": DEVICE.device_id,
    "device_name": "laptop",
    "user_name": "user1",
    "product": "terminal-server",
    "product_version": 1,
    "trace_id": "5f0c1d2e3a",
}
# Tokens and certificates of the examples are cut, and their first bytes are all that is shown.
_TOKEN = bytes.fromhex("92c48b9d01a36c6162a96c6963656e73") + bytes(192)
_CERTIFICATE = bytes.fromhex("308201a8308201" + "5aa003020102021413") + bytes(412)

# Each with its request id.
EXAMPLES: tuple[tuple[Message, int], ...] = (
    (
        messages.Hello(version_min=1, version_max=1, role=Role.CLIENT, name="laptop"),
        0,
    ),
    (messages.Welcome(version=1, role=Role.TERMINAL_SERVER, name="ts1", farm="lab"), 0),
    (messages.Heartbeat(), 0),
    (messages.Goodbye(code=ErrorCode.LOGGED_OFF, detail="the session has ended"), 0),
    (messages.Refused(code=ErrorCode.NO_LICENSE, detail="no token is left"), 5),
    (messages.Done(), 6),
    (messages.QueryAuthority(), 1),
    (messages.Authority(certificate=_CERTIFICATE), 1),
    (messages.LicenseRequest(nonce=NONCE, product="terminal-server", product_version=1), 0),
    (
        messages.LicenseInfo(
            public_key=DEVICE.public_key,
            signature=DEVICE.prove(NONCE, SERVER_CERTIFICATE),
            device_name="laptop",
            user_name="user1",
        ),
        0,
    ),
    (messages.NewLicense(token=_TOKEN, issuer_certificate=_CERTIFICATE), 0),
    (messages.LicenseStored(license_id=_id("license")), 0),
    (messages.LicenseAccepted(kind=LicenseKind.TEMPORARY, expires_at=NOW + 90 * DAY), 0),
    (
        messages.LogonRequest(
            user_name="user1", credential_kind=Credential.PASSWORD, credential=b"secret"
        ),
        0,
    ),
    (
        messages.LogonRefused(
            code=ErrorCode.LOGON_FAILED, detail="user name or password is wrong", attempts_left=2
        ),
        0,
    ),
    (
        messages.Redirect(
            host="ts2", address="192.0.2.12", port=5600, ticket=_id("ticket"), session_id=7
        ),
        0,
    ),
    (
        messages.LogonAccepted(
            host="ts1",
            session_id=7,
            user_name="user1",
            reattached=False,
            created_at=NOW,
            cookie=hashlib.sha256(b"cookie").digest(),
        ),
        0,
    ),
    (messages.ResizeSession(columns=132, rows=43), 0),
    (messages.DisconnectSession(), 0),
    (messages.LogoffSession(), 0),
    (messages.SessionEnded(exit_status=0), 0),
    (messages.AcquireLicense(**_DEVICE_FIELDS), 1),
    (messages.RenewLicense(license_id=_id("license"), **_DEVICE_FIELDS), 2),
    (
        messages.LicenseIssued(
            license_id=_id("license"),
            kind=LicenseKind.TEMPORARY,
            expires_at=NOW + 90 * DAY,
            token=_TOKEN,
            issuer_certificate=_CERTIFICATE,
        ),
        1,
    ),
    (
        messages.MarkValidated(
            device_id=DEVICE.device_id,
            product="terminal-server",
            product_version=1,
            user_name="user1",
        ),
        3,
    ),
    (
        messages.AnnounceInventory(
            inventory=[
                messages.InventoryRow(product="terminal-server", product_version=1, available=4)
            ]
        ),
        0,
    ),
    (messages.LendLicense(loan_id=_id("loan"), **_DEVICE_FIELDS), 4),
    (messages.QueryPools(), 1),
    (
        messages.Pools(
            pools=[
                messages.PoolRow(
                    product="terminal-server",
                    product_version=1,
                    total=5,
                    available=3,
                    issued=1,
                    lent=1,
                    temporary=2,
                )
            ]
        ),
        1,
    ),
    (messages.QueryLicenses(), 2),
    (
        messages.Licenses(
            licenses=[
                messages.LicenseRow(
                    license_id=_id("license"),
                    kind=LicenseKind.TEMPORARY,
                    product="terminal-server",
                    product_version=1,
                    device_id=DEVICE.device_id,
                    device_name="laptop",
                    user_name="user1",
                    issued_at=NOW,
                    expires_at=NOW + 90 * DAY,
                    validated=False,
                )
            ]
        ),
        2,
    ),
    (
        messages.AddKeyPack(
            key_pack="pack-1", product="terminal-server", product_version=1, tokens=5
        ),
        3,
    ),
    (messages.QueryLicenseServers(), 4),
    (
        messages.LicenseServers(
            servers=[
                messages.LicenseServerRow(
                    name="license-a",
                    address="192.0.2.21",
                    port=5601,
                    found="workgroup",
                    verified_at=NOW,
                    chosen=True,
                )
            ],
            grace_ends_at=NOW + 120 * DAY,
        ),
        4,
    ),
    (messages.JoinFarm(address="192.0.2.11", port=5600, incarnation=_id("incarnation")), 1),
    (messages.Joined(generation=_id("generation")), 1),
    (messages.SyncSessions(sessions=[_SESSION], last=True), 2),
    (
        messages.PlaceSession(user_name="user1", application="", device_id=DEVICE.device_id),
        3,
    ),
    (
        messages.SessionPlaced(
            placement=NOW * 1_000_000,
            host="ts2",
            address="192.0.2.12",
            port=5600,
            session_id=7,
            ticket=_id("ticket"),
        ),
        3,
    ),
    (messages.UpdateSession(session=_SESSION), 0),
    (messages.RemoveSession(session_id=7, placement=NOW * 1_000_000, user_name="user1"), 0),
    (
        messages.RedeemTicket(ticket=_id("ticket"), device_id=DEVICE.device_id, user_name="user1"),
        4,
    ),
    (
        messages.TicketRedeemed(
            user_name="user1", application="", placement=NOW * 1_000_000, session_id=7
        ),
        4,
    ),
    (messages.QuerySessions(user_name="user1"), 1),
    (messages.Sessions(sessions=[_SESSION]), 1),
    (messages.QueryServers(), 2),
    (
        messages.Servers(
            servers=[
                messages.ServerRow(
                    name="ts1",
                    address="192.0.2.11",
                    port=5600,
                    state=ServerState.READY,
                    sessions=1,
                    joined_at=NOW,
                )
            ]
        ),
        2,
    ),
    (messages.WarpClock(), 1),
)

_BY_TYPE = {type(message): (message, request_id) for message, request_id in EXAMPLES}


def example(kind: type[Message]) -> str:
    """The frame of the example, with the meaning of its parts beside them."""
    message, request_id = _BY_TYPE[kind]
    return annotated(frame_parts(message, request_id))


def frame_parts(message: Message, request_id: int) -> Iterator[tuple[bytes, str]]:
    """The parts of a message's frame, from its first byte to its last."""
    frame = codec.encode(message, request_id)
    number = message.__struct_config__.tag
    yield frame[: codec.HEADER.size], f"frame: a message of {len(frame) - codec.HEADER.size} bytes"
    yield from struct_parts(message, [(number, f"number {number}: {type(message).__name__}")])


def struct_parts(
    struct: msgspec.Struct, before: list[tuple[object, str]]
) -> Iterator[tuple[bytes, str]]:
    """The parts of an array that begins with the values of `before`, each with its meaning."""
    names = struct.__struct_fields__
    yield _array_header(len(before) + len(names)), f"array of {len(before) + len(names)}"
    for value, meaning in before:
        yield msgspec.msgpack.encode(value), meaning
    for name in names:
        yield from _value_parts(name, getattr(struct, name))


def _value_parts(name: str, value: object) -> Iterator[tuple[bytes, str]]:
    match value:
        case msgspec.Struct():
            header, *fields = struct_parts(value, [])
            yield header[0], f"{name}: {type(value).__name__}, {header[1]}"
            yield from ((data, f"  {meaning}") for data, meaning in fields)
        case list():
            yield _array_header(len(value)), f"{name}: list of {len(value)}"
            for each in value:
                yield from _value_parts("", each)
        case _:
            yield msgspec.msgpack.encode(value), f"{name}{_shown(value)}"


def _shown(value: object) -> str:
    match value:
        case Enum():
            return f" {value.value}: {value.name}"
        case bytes():
            return f": {len(value)} bytes" if value else ": empty"
        case str():
            return f' "{value}"' if value else ": empty"
        case bool():
            return f" {str(value).lower()}"
    return f" {value}"


def _array_header(length: int) -> bytes:
    return bytes([0x90 | length]) if length < 16 else b"\xdc" + length.to_bytes(2, "big")
