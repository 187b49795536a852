"""Identities in a farm: its authority, the certificates of its daemons, the keys of its devices.

A daemon's role and name stand in its certificate, as the URI subject alternative name
`tsfarm://FARM/ROLE/NAME`; an administrator's has the administrator's role after it. The id of a
device is the hash of its public key, so that no device can claim another's. All keys are Ed25519.

Functions import the cryptography themselves: a client needs it only once a host has answered.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tsproto.errors import DeviceProofInvalid, TsfarmError
from tsproto.messages import AdministratorRole, Role

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DEVICE_PROOF_DOMAIN = b"tsfarm device proof 1\0"
DIGEST_BYTES = 32

# The y-coordinates of points of low order on Curve25519's Edwards form (RFC 7748, RFC 8032): a key
# that is one of them accepts signatures which nobody made.
_PRIME = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER_Y = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _ORDER_8, _PRIME - _ORDER_8})
_Y_BITS = 2**255 - 1

# A key file: RFC 7468's lines around RFC 8410's 16 bytes before the 32 of an Ed25519 key.
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
_PEM_BEGIN = [b"-----BEGIN", b"PRIVATE", b"KEY-----"]
_PEM_END = [b"-----END", b"PRIVATE", b"KEY-----"]

ROLE_WORDS: dict[Role, str] = {
    role: role.noun.replace(" ", "-") for role in Role if role is not Role.CLIENT
}
_ROLES = {word: role for role, word in ROLE_WORDS.items()}
ADMINISTRATOR_ROLES = {role.word: role for role in AdministratorRole}
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
AUTHORITY_URI = re.compile(rf"tsfarm://({_NAME})")
IDENTITY_URI = re.compile(rf"tsfarm://({_NAME})/([a-z-]+)/({_NAME})(?:/([a-z]+))?")


class IdentityError(TsfarmError):
    """A certificate, key or name cannot be used in a farm; the text says which and why."""


ASKS_SECRETS = "tsfarm:asks-secrets"  # URI in the certificate of a host whose PAM may ask users


class Identity(msgspec.Struct, frozen=True):
    """Farm, role and name in a certificate, to be believed once its signature is verified.
    `administrator_role` is None for a daemon. `asks_secrets`: its holder may ask users for secrets.
    """

    farm: str
    role: Role
    name: str
    administrator_role: AdministratorRole | None = None
    asks_secrets: bool = False

    @property
    def uri(self) -> str:
        suffix = f"/{self.administrator_role.word}" if self.administrator_role else ""
        return f"tsfarm://{self.farm}/{ROLE_WORDS[self.role]}/{self.name}{suffix}"


def identity_among(uris: Iterable[str]) -> Identity:
    """The one identity that these URIs of a certificate name; IdentityError for none or several."""
    uris = [*uris]
    found = [match for uri in uris if (match := IDENTITY_URI.fullmatch(uri))]
    if len(found) != 1 or found[0][2] not in _ROLES:
        raise IdentityError("the certificate carries no tsfarm://FARM/ROLE/NAME")
    farm, word, name, administers = found[0].groups()
    role, administrator_role = _ROLES[word], ADMINISTRATOR_ROLES.get(administers)
    if (role is Role.ADMINISTRATOR) != (administrator_role is not None):
        raise IdentityError(
            f"the certificate of {role.words} {name!r} says {administers or 'no'} role, where an"
            f" administrator's says {', '.join(ADMINISTRATOR_ROLES)} and a daemon's none: issue"
            " a new one with `tsfarm pki issue`"
        )
    return Identity(farm, role, name, administrator_role, ASKS_SECRETS in uris)


def load_key(pem: bytes) -> Ed25519PrivateKey:
    """A key file's key, unencrypted PKCS #8 in PEM form; IdentityError when it is anything else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = _seed_in(pem)
    if seed is not None:
        return Ed25519PrivateKey.from_private_bytes(seed)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise IdentityError("the file holds no unencrypted private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError("the key is not an Ed25519 key")
    return key


def _seed_in(pem: bytes) -> bytes | None:
    """The 32 secret bytes of a key file as `key_pem` writes it, or None for any other.

    The library's loader reads those too, and takes longer to import than all else a client needs
    of it.
    """
    lines = pem.split()
    if lines[:3] != _PEM_BEGIN or lines[4:] != _PEM_END:
        return None
    try:
        der = base64.b64decode(lines[3], validate=True)
    except ValueError:
        return None
    is_ours = der.startswith(_PKCS8_ED25519) and len(der) == len(_PKCS8_ED25519) + 32
    return der[len(_PKCS8_ED25519) :] if is_ours else None


def fingerprint(certificate_der: bytes) -> bytes:
    return hashlib.sha256(certificate_der).digest()


def show_fingerprint(fp: bytes) -> str:
    """As `openssl x509 -fingerprint -sha256` prints it: 32 pairs of hex digits, colons between."""
    return fp.hex(":").upper()


def shown_address(address: str) -> str:
    """The one form in which a host name or IP address is compared: names in lower case without a
    final dot; IP addresses as RFC 5952 writes them, without their interface."""
    try:
        return ipaddress.ip_address(address.strip().partition("%")[0]).compressed
    except ValueError:
        return address.lower().rstrip(".")


class DeviceKey:
    """The secret key of one device, which never leaves it: without it a copied token is useless."""

    def __init__(self, seed: bytes) -> None:
        """`seed` is the key's 32 secret random bytes."""
        self._seed = seed

    @classmethod
    def from_pem(cls, pem: bytes) -> DeviceKey:
        """As `load_key`."""
        return cls(_seed_in(pem) or load_key(pem).private_bytes_raw())

    @functools.cached_property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @functools.cached_property
    def device_id(self) -> bytes:
        return hashlib.sha256(self.public_key).digest()

    @functools.cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._seed)

    def to_pem(self) -> bytes:
        return _pem_of(self._seed)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def prove(self, nonce: bytes, server_certificate: bytes) -> bytes:
        """Sign a terminal server's nonce for this server alone; both arguments are 32 bytes,
        `server_certificate` the SHA-256 fingerprint of the certificate that the device saw."""
        return self.sign(device_proof(nonce, server_certificate))


def device_proof(nonce: bytes, server_certificate: bytes) -> bytes:
    """The bytes that a device signs. The certificate is in them so that a server in the middle
    cannot pass on a signature that was made for itself."""
    assert len(nonce) == len(server_certificate) == DIGEST_BYTES
    return DEVICE_PROOF_DOMAIN + nonce + server_certificate


def verify_device_proof(
    public_key: bytes, signature: bytes, nonce: bytes, server_certificate: bytes
) -> bytes:
    """The id of the device whose key made this proof; raises DeviceProofInvalid."""
    if not is_device_signature(public_key, signature, device_proof(nonce, server_certificate)):
        raise DeviceProofInvalid(
            "the device's signature is not of its key, this nonce and this server's certificate"
        )
    return hashlib.sha256(public_key).digest()


def is_device_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Raises DeviceProofInvalid for a key that proves nothing."""
    if int.from_bytes(public_key, "little") & _Y_BITS in _LOW_ORDER_Y:
        raise DeviceProofInvalid("the device's public key is of low order and proves nothing")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_pem(key: Ed25519PrivateKey) -> bytes:
    """Unencrypted PKCS #8 in PEM form."""
    return _pem_of(key.private_bytes_raw())


def _pem_of(seed: bytes) -> bytes:
    encoded = base64.b64encode(_PKCS8_ED25519 + seed)
    return b"\n".join([b" ".join(_PEM_BEGIN), encoded, b" ".join(_PEM_END), b""])
