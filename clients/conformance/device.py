"""A device that the suite plays, its tokens, and deny lists: built and signed from the document
alone."""

from __future__ import annotations

import hashlib
import random

import msgpack
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tsproto.messages import LicenseInfo, LicenseKind, LicenseRequest, NewLicense

PROOF_DOMAIN = b"tsfarm device proof 1\0"
TOKEN_DOMAIN = b"tsfarm license token 1\0"
DENY_DOMAIN = b"tsfarm deny list 1\0"
CERTIFICATES, DEVICES = 1, 2  # kinds of deny lists
DAY = 86_400


class Device:
    """Its key, and the token that it holds, if any."""

    def __init__(self, rng: random.Random, name: str = "device") -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self.public_key).digest()
        self.token = b""
        self.issuer_certificate = b""

    def prove(self, nonce: bytes, certificate: bytes, domain: bytes = PROOF_DOMAIN) -> bytes:
        return self._key.sign(domain + nonce + certificate)

    def show(self, request: LicenseRequest, certificate: bytes) -> LicenseInfo:
        """LicenseInfo for this request, on a link to the server with this certificate."""
        return LicenseInfo(
            public_key=self.public_key,
            signature=self.prove(request.nonce, certificate),
            device_name=self.name,
            user_name="user",
            token=self.token,
            issuer_certificate=self.issuer_certificate,
        )

    def store(self, pushed: NewLicense) -> TokenClaims:
        self.token, self.issuer_certificate = pushed.token, pushed.issuer_certificate
        return read_token(pushed.token)


class TokenClaims(msgspec.Struct, kw_only=True, frozen=True):
    """The claims of a token, in their order; the defaults are those of a valid full one."""

    version: int = 1
    farm: str
    issuer: str
    kind: int = LicenseKind.FULL
    license_id: bytes
    product: str
    product_version: int = 1
    device_id: bytes
    device_name: str = "device"
    user_name: str = "user"
    issued_at: int
    expires_at: int
    key_pack: str = ""


def sign_token(claims: TokenClaims, key_pem: bytes, domain: bytes = TOKEN_DOMAIN) -> bytes:
    values = msgspec.structs.astuple(claims)
    return sign_encoded(msgpack.packb(values), key_pem, domain)


def sign_encoded(encoded: bytes, key_pem: bytes, domain: bytes = TOKEN_DOMAIN) -> bytes:
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    token: bytes = msgpack.packb([encoded, key.sign(domain + encoded)])
    return token


def read_token(token: bytes) -> TokenClaims:
    """The claims of a token, unverified."""
    encoded, _ = msgpack.unpackb(token)
    values = msgpack.unpackb(encoded)
    names = TokenClaims.__struct_fields__
    return TokenClaims(**dict(zip(names, values, strict=False)))


class DenyList(msgspec.Struct, kw_only=True, frozen=True):
    """A deny list, its fields in their order."""

    version: int = 1
    farm: str
    kind: int
    number: int
    entries: list[bytes]


def sign_deny_list(
    content: DenyList, key_pem: bytes, signer: bytes = b"", domain: bytes = DENY_DOMAIN
) -> bytes:
    ordered = msgspec.structs.replace(content, entries=sorted(content.entries))
    encoded, signature = msgpack.unpackb(
        sign_encoded(msgpack.packb(msgspec.structs.astuple(ordered)), key_pem, domain)
    )
    signed: bytes = msgpack.packb([encoded, signature, signer])
    return signed


def read_deny_list(signed: bytes) -> DenyList:
    """A signed list, unverified."""
    values = msgpack.unpackb(msgpack.unpackb(signed)[0])
    return DenyList(**dict(zip(DenyList.__struct_fields__, values, strict=False)))
