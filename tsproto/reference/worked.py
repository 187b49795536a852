"""Examples byte by byte: every message, a token, a device's and a user's proof, two datagrams.

Keys are given, so that a reader can make the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from enum import Enum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import codec, discovery, license_token
from tsproto.discovery import Answer, Query, Scope
from tsproto.identity import DEVICE_PROOF_DOMAIN, DeviceKey
from tsproto.license_token import Claims
from tsproto.messages import Kind, LicenseKind, Message, ResizeSession, examples, number_of
from tsproto.reference.markdown import annotated
from tsproto.user_proof import (
    KEY_DOMAIN,
    PROOF_DOMAIN,
    Asked,
    Cost,
    Method,
    Methods,
    Statement,
    key_of_tag,
    prefixed,
)

ISSUER_SEED = hashlib.sha256(b"issuer").digest()
DEVICE_SEED = hashlib.sha256(b"device").digest()
DEVICE = DeviceKey(DEVICE_SEED)
SERVER_CERTIFICATE = hashlib.sha256(b"certificate").digest()
BEGINNING = 16  # bytes of a long value that are shown
CLAIMS = Claims(
    farm="lab",
    issuer="license-a",
    kind=LicenseKind.TEMPORARY,
    license_id=examples.LICENSE_ID,
    **examples.PRODUCT,
    device_id=DEVICE.device_id,
    device_name="laptop",
    user_name="user1",
    issued_at=examples.NOW,
    expires_at=examples.NOW + 90 * examples.DAY,
)
# argon2id of examples.PASSWORD: the protocol's code derives no tags.
TAG = bytes.fromhex("cae5404a73d3a80b8d95ab2e06d2fce3b5c8321a7f37471d3d2c3299a3a9199b")
STATEMENT = Statement(
    farm="lab",
    server="ts1",
    certificate=SERVER_CERTIFICATE,
    nonce=examples.NONCE,
    time=examples.NOW,
    device_id=examples.DEVICE_ID,
    user_name="user1",
    method=Method.PASSWORD,
    methods=Methods.PASSWORD | Methods.SSH_KEY,
    salt=examples.ARGON2["salt"],
    cost=Cost(),
    asked=Asked(),
)
QUERY_NONCE = bytes.fromhex("a8b771920b8319e47251d1360f5e880b")
QUERY = Query(farm="lab", scope=Scope.WORKGROUP, scope_name="lab", nonce=QUERY_NONCE)
ANSWER = Answer(farm="lab", name="license-a", port=5601, nonce=QUERY_NONCE)


# The values that are signed, in their order, and those of `asked`, none of which is asked for here.
SIGNED = (
    *("farm", "server", "certificate", "nonce", "time", "device", "user", "method", "methods"),
    *("salt", "memory", "passes", "lanes", "asked: the SHA-256 of the bytes above"),
)
ASKED = prefixed(b"", b"", bytes(8), bytes(8))


def example(kind: type[Message]) -> str:
    return annotated(frame_parts(kind(**kind.example)))


def frame_parts(message: Message) -> Iterator[tuple[bytes, str]]:
    """The parts of a message's frame, from its first byte to its last; a request and its answer
    have the id 1."""
    frame = codec.encode(message, 0 if message.entry.kind is Kind.NOTIFICATION else 1)
    number = number_of(type(message))
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
            label = f"{name}: " if name else ""
            yield header[0], f"{label}{type(value).__name__}, {header[1]}"
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


def frame() -> str:
    (header, _), *body = frame_parts(ResizeSession(**ResizeSession.example))
    length = int.from_bytes(header[1:5], "big")
    parts = [(header[:1], "ext 32"), (header[1:5], f"length of the body: {length}")]
    return annotated([*parts, (header[5:], "kind 0: a message"), *body])


def token(part: str) -> str:
    """One part of the example token, as a table of bytes: its `claims`, its issuer's `keys`, the
    `signed` bytes, or the `whole` token."""
    key = Ed25519PrivateKey.from_private_bytes(ISSUER_SEED)
    claims = msgspec.msgpack.encode(CLAIMS)
    parts: dict[str, Iterable[tuple[bytes, str]]] = {
        "claims": struct_parts(CLAIMS, []),
        "keys": [(ISSUER_SEED, "seed"), (key.public_key().public_bytes_raw(), "public key")],
        "signed": [
            (license_token.TOKEN_DOMAIN, "tsfarm license token 1, and a zero byte"),
            (claims[:BEGINNING], f"the claims begin; {len(claims)} bytes in all"),
        ],
        "whole": _token_parts(claims, license_token.issue(CLAIMS, key)[-64:]),
    }
    return annotated(parts[part])


def _token_parts(claims: bytes, signature: bytes) -> Iterator[tuple[bytes, str]]:
    yield b"\x92", "array of 2"
    header = msgspec.msgpack.encode(claims)[: -len(claims)]
    yield header, f"bytes, {len(claims)} of them: the claims"
    for start in range(0, len(claims), 2 * BEGINNING):
        yield claims[start : start + 2 * BEGINNING], ""
    yield msgspec.msgpack.encode(signature)[:2], "bytes, 64 of them: the signature"
    yield signature[:32], "R"
    yield signature[32:], "S"


def proof(part: str) -> str:
    """One part of the example proof, as a table of its bytes: the `device` (its keys and id), the
    `signed` bytes, or the `signature`."""
    signature = DEVICE.prove(examples.NONCE, SERVER_CERTIFICATE)
    parts = {
        "device": [
            (DEVICE_SEED, "seed"),
            (DEVICE.public_key, "public key"),
            (DEVICE.device_id, "device id: SHA-256 of the public key"),
        ],
        "signed": [
            (DEVICE_PROOF_DOMAIN, "tsfarm device proof 1, and a zero byte"),
            (examples.NONCE, "nonce of LicenseRequest"),
            (SERVER_CERTIFICATE, "SHA-256 of the server's certificate (DER)"),
        ],
        "signature": [(signature[:32], "R"), (signature[32:], "S")],
    }
    return annotated(parts[part])


def user_proof(part: str) -> str:
    """One part of the example of a user's proof, as a table of its bytes: the `key` that the
    password gives, what is `asked` for, the `signed` bytes, or the `signature`."""
    key = key_of_tag(STATEMENT.farm, STATEMENT.user_name, TAG)
    signed = STATEMENT.signed_bytes()
    signature = key.sign(signed)
    seeded = prefixed(STATEMENT.farm.encode(), STATEMENT.user_name.encode(), TAG)
    parts: dict[str, list[tuple[bytes, str]]] = {
        "key": [
            (examples.PASSWORD.encode(), f"the password, {examples.PASSWORD!r}"),
            (STATEMENT.salt, "salt"),
            (TAG, "tag: argon2id with 65536 KiB, 3 passes, 1 lane"),
            (KEY_DOMAIN, "tsfarm user key 1, and a zero byte"),
            *_prefixed_parts(seeded, ["farm", "user", "tag"]),
            (key.private_bytes_raw(), "seed: SHA-256 of domain, farm, user and tag"),
            (key.public_key().public_bytes_raw(), "public key"),
        ],
        "asked": list(_prefixed_parts(ASKED, Asked.__struct_fields__)),
        "signed": [
            (PROOF_DOMAIN, "tsfarm user proof 1, and a zero byte"),
            *_prefixed_parts(signed[len(PROOF_DOMAIN) :], SIGNED),
        ],
        "signature": [(signature[:32], "R"), (signature[32:], "S")],
    }
    return annotated(parts[part])


def _prefixed_parts(data: bytes, names: Iterable[str]) -> Iterator[tuple[bytes, str]]:
    """Each part with its length before it, and its name beside it."""
    for name in names:
        length = int.from_bytes(data[:4], "big")
        yield data[:4], f"{length} bytes" if length else f"{name}: empty"
        if length:
            yield data[4 : 4 + length], name
        data = data[4 + length :]
    assert not data


def query() -> str:
    """A query byte by byte; only its padding is cut."""
    datagram = discovery.encode_query(QUERY)
    decoded = discovery.decode_query(datagram)
    assert decoded is not None
    return annotated(struct_parts(decoded, []))


def answer() -> str:
    return annotated(struct_parts(ANSWER, []))
