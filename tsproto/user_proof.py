"""A user's proof: a signature over one host's challenge, which each host checks itself.

The key is one that the client derives from the password, or an SSH key. The signed bytes name the
host, its certificate, its nonce and what is asked for, so that a proof is good at one host, once,
for one thing. No host is ever given a secret.
"""

from __future__ import annotations

import hashlib
import unicodedata
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

import msgspec

from tsproto import limits
from tsproto.errors import TsfarmError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The cryptography is imported where it is used: a client that has not reached a host needs none.

PROOF_DOMAIN = b"tsfarm user proof 1\0"
KEY_DOMAIN = b"tsfarm user key 1\0"
SALT_DOMAIN = b"tsfarm salt of nobody 1\0"
SSH_NAMESPACE = "logon@tsfarm"
ED25519 = "ed25519"  # algorithm of a password's key, and of a device's


class Method(IntEnum):
    """How a user proves who they are."""

    PASSWORD = 1
    SSH_KEY = 2
    PAM = 3
    DEVICE = 4
    """By the key of the device that showed the session last, on the session's host."""


class Methods(IntFlag):
    """The methods that a host offers: the same for every name."""

    PASSWORD = 1
    SSH_KEY = 2
    PAM = 4
    DEVICE = 8


class CostRefused(TsfarmError):
    """A salt or cost of a challenge is out of bounds: no password is hashed with it."""


class Cost(msgspec.Struct, frozen=True, gc=False):
    """The parameters of argon2id, version 0x13, with a tag of 32 bytes."""

    memory_kib: int = limits.ARGON2_MEMORY_KIB
    passes: int = limits.ARGON2_PASSES
    lanes: int = 1

    def check(self) -> None:
        """Raises CostRefused. A host that may choose a cheap cost could guess the password from
        one proof; a monstrous one would stop the client."""
        for name, value, least, most in (
            ("memory", self.memory_kib, limits.ARGON2_MEMORY_KIB_MIN, limits.ARGON2_MEMORY_KIB_MAX),
            ("passes", self.passes, limits.ARGON2_PASSES_MIN, limits.ARGON2_PASSES_MAX),
            ("lanes", self.lanes, 1, limits.ARGON2_LANES_MAX),
        ):
            if not least <= value <= most:
                raise CostRefused(
                    f"the host asks for {name} {value} to hash the password with, allowed are"
                    f" {least} to {most}: tell the farm's administrator"
                )


class Asked(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the proof is given for. `session_id` and `attachment` name a session that the device
    showed, both 0 for none; `session_id` alone is the hint of a redirect."""

    application: str = ""
    command: str = ""
    session_id: int = 0
    attachment: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user signs. `certificate` is the SHA-256 of the host's certificate as the client saw
    it, 32 zero bytes without TLS; `time` the host's, in Unix seconds; `methods` those that it
    offered; salt and cost as it said them."""

    farm: str
    server: str
    certificate: bytes
    nonce: bytes
    time: int
    device_id: bytes
    user_name: str
    method: Method
    methods: Methods
    salt: bytes
    cost: Cost
    asked: Asked

    def signed_bytes(self) -> bytes:
        asked = (
            _text(self.asked.application),
            _text(self.asked.command),
            _number(self.asked.session_id),
            _number(self.asked.attachment),
        )
        return PROOF_DOMAIN + prefixed(
            _text(self.farm),
            _text(self.server),
            self.certificate,
            self.nonce,
            _number(self.time),
            self.device_id,
            _text(normal(self.user_name)),
            _number(self.method),
            _number(self.methods),
            self.salt,
            _number(self.cost.memory_kib),
            _number(self.cost.passes),
            _number(self.cost.lanes),
            hashlib.sha256(prefixed(*asked)).digest(),
        )


def normal(user_name: str) -> str:
    """The form of a user's name in which it is compared and signed: NFC."""
    return unicodedata.normalize("NFC", user_name)


def prefixed(*parts: bytes) -> bytes:
    """Each part after its length, a big-endian number of four bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _text(text: str) -> bytes:
    return text.encode()


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


# --- a password's key -----------------------------------------------------------------------------


def key_of_tag(farm: str, user_name: str, tag: bytes) -> Ed25519PrivateKey:
    """The user's key, from the tag of argon2id over the password, as in Keybase's "pdpka5"."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    named = prefixed(_text(farm), _text(normal(user_name)), tag)
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(KEY_DOMAIN + named).digest())


def salt_of_nobody(secret: bytes, user_name: str) -> bytes:
    """The salt that every host of the farm says for a name without an account."""
    import hmac

    named = SALT_DOMAIN + _text(normal(user_name))
    return hmac.digest(secret, named, "sha256")[: limits.SALT_BYTES]


def is_signed(public_key: bytes, statement: Statement, signature: bytes) -> bool:
    """Whether this Ed25519 key, of 32 bytes, signed the statement."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True
