"""Worked examples, from keys that are given: a frame, a token, a device's proof, two datagrams."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import codec, discovery, license_token
from tsproto.identity import DEVICE_PROOF_DOMAIN
from tsproto.messages import ResizeSession
from tsproto.reference.examples import (
    ANSWER,
    CLAIMS,
    DEVICE,
    NONCE,
    QUERY,
    SERVER_CERTIFICATE,
    struct_parts,
)
from tsproto.reference.markdown import annotated

ISSUER_SEED = hashlib.sha256(b"issuer").digest()
DEVICE_SEED = hashlib.sha256(b"device").digest()
FRAMED = ResizeSession(columns=132, rows=43)


def frame() -> str:
    """One frame, drawn out byte by byte."""
    data = codec.encode(FRAMED)
    meanings = [
        "ext 32",
        *("length of the body", "", "", f"= {len(data) - codec.HEADER.size}"),
        "kind: message",
        "array of 4",
        "number: ResizeSession",
        "request id: none",
        *("columns: unsigned in 8 bits", "= 132"),
        "rows: 43",
    ]
    offsets = " ".join(f"{offset:>2}" for offset in range(len(data)))
    lines = [f"offset  {offsets}", f"bytes   {data.hex(' ')}", ""]
    for offset, (byte, meaning) in enumerate(zip(data, meanings, strict=True)):
        lines.append(f"{offset:>4}    {byte:02x}  {meaning}".rstrip())
    return "```\n" + "\n".join(lines) + "\n```"


def token() -> str:
    """A token whole: claims, what is signed, signature."""
    key = Ed25519PrivateKey.from_private_bytes(ISSUER_SEED)
    claims = msgspec.msgpack.encode(CLAIMS)
    made = license_token.issue(CLAIMS, key)
    signature = made[-64:]
    parts = [
        "Claims, " + f"{len(claims)} bytes:",
        annotated(struct_parts(CLAIMS, [])),
        "The issuer's Ed25519 private key (seed), and its public key:",
        annotated([(ISSUER_SEED, "seed"), (key.public_key().public_bytes_raw(), "public key")]),
        f"Signed are {len(license_token.TOKEN_DOMAIN)} bytes of domain and the claims:",
        annotated(
            [
                (license_token.TOKEN_DOMAIN, "tsfarm license token 1, and a zero byte"),
                (claims[:BEGINNING], f"the claims begin; {len(claims)} bytes in all"),
            ]
        ),
        "The token, " + f"{len(made)} bytes:",
        annotated(_token_parts(claims, signature)),
    ]
    return "\n\n".join(parts)


BEGINNING = 16


def _token_parts(claims: bytes, signature: bytes) -> Iterator[tuple[bytes, str]]:
    yield b"\x92", "array of 2"
    header = msgspec.msgpack.encode(claims)[: -len(claims)]
    yield header, f"bytes, {len(claims)} of them: the claims"
    for start in range(0, len(claims), 2 * BEGINNING):
        yield claims[start : start + 2 * BEGINNING], ""
    yield msgspec.msgpack.encode(signature)[:2], "bytes, 64 of them: the signature"
    yield signature[:32], "R"
    yield signature[32:], "S"


def proof() -> str:
    """A device's proof whole."""
    signature = DEVICE.prove(NONCE, SERVER_CERTIFICATE)
    parts = [
        "The device's Ed25519 private key (seed), its public key, and its id:",
        annotated(
            [
                (DEVICE_SEED, "seed"),
                (DEVICE.public_key, "public key"),
                (DEVICE.device_id, "device id: SHA-256 of the public key"),
            ]
        ),
        f"Signed are these {len(DEVICE_PROOF_DOMAIN) + 64} bytes:",
        annotated(
            [
                (DEVICE_PROOF_DOMAIN, "tsfarm device proof 1, and a zero byte"),
                (NONCE, "nonce of LicenseRequest"),
                (SERVER_CERTIFICATE, "SHA-256 of the server's certificate (DER)"),
            ]
        ),
        "The signature:",
        annotated([(signature[:32], "R"), (signature[32:], "S")]),
    ]
    return "\n\n".join(parts)


def query() -> str:
    """A query byte by byte; only its padding is cut."""
    datagram = discovery.encode_query(QUERY)
    decoded = discovery.decode_query(datagram)
    assert decoded is not None
    return annotated(struct_parts(decoded, []))


def answer() -> str:
    return annotated(struct_parts(ANSWER, []))
