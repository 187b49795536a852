"""A user that the suite plays: their keys, and the bytes that they sign, built from the document
alone.

Nothing of `tsproto.user_proof` and `tsproto.ssh_keys` is used, so that a fault there is seen here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

PROOF_DOMAIN = b"tsfarm user proof 1\0"
KEY_DOMAIN = b"tsfarm user key 1\0"
NAMESPACE = b"logon@tsfarm"
PASSWORD, SSH_KEY, PAM, DEVICE = 1, 2, 3, 4
PASSWORD_OFFERED, SSH_KEY_OFFERED, PAM_OFFERED = 1, 2, 4
ED25519 = "ed25519"
# The least cost that clients accept: a case derives as few and as cheap keys as it can.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
TOUCHED, UNTOUCHED = b"\x01\0\0\0\x07", b"\0\0\0\0\x07"  # flags and counter of a security key


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a user signs, in their order; those of `asked` come last."""

    farm: str
    server: str
    certificate: bytes
    nonce: bytes
    time: int
    device_id: bytes
    user_name: str
    method: int
    methods: int
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    application: str = ""
    command: str = ""
    session_id: int = 0
    attachment: int = 0

    def signed_bytes(self, domain: bytes = PROOF_DOMAIN) -> bytes:
        values: Sequence[Part] = msgspec.structs.astuple(self)
        asked = hashlib.sha256(_parts(values[-4:])).digest()
        return domain + _parts([*values[:-4], asked])


Part: TypeAlias = str | bytes | int


def _parts(values: Sequence[Part]) -> bytes:
    """Each value after its length: text in UTF-8, a number in eight bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in map(_part, values))


def _part(value: Part) -> bytes:
    match value:
        case str():
            return value.encode()
        case int():
            return value.to_bytes(8, "big")
    return value


@lru_cache(256)
def password_key(
    farm: str,
    user_name: str,
    password: bytes,
    salt: bytes,
    memory_kib: int,
    passes: int,
    lanes: int,
) -> Ed25519PrivateKey:
    tag = hash_secret_raw(password, salt, passes, memory_kib, lanes, 32, Type.ID, version=0x13)
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(KEY_DOMAIN + _parts([farm, user_name, tag])).digest()
    )


def is_signed(key: Ed25519PublicKey, statement: Statement, signature: bytes) -> bool:
    try:
        key.verify(signature, statement.signed_bytes())
    except InvalidSignature:
        return False
    return True


# --- SSH keys -------------------------------------------------------------------------------------

PrivateKey: TypeAlias = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
RSA_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-512": hashes.SHA512(),
    "rsa-sha2-256": hashes.SHA256(),
    "ssh-rsa": hashes.SHA1(),  # noqa: S303
}


class SshKey:
    """A user's SSH key: a security key where its kind begins with `sk-`, played in software."""

    def __init__(self, kind: str, private: PrivateKey) -> None:
        self.kind = kind
        self._private = private
        self._application = b"ssh:" if kind.startswith("sk-") else b""
        blob = _parts(
            [kind, *self._public_parts(), *([self._application] * kind.startswith("sk-"))]
        )
        self.line = f"{kind} {base64.b64encode(blob).decode()} conformance"
        self.fingerprint = hashlib.sha256(blob).digest()

    @classmethod
    def read(cls, path: Path) -> SshKey:
        """From a file of ssh-keygen's. Raises ValueError, which names the file."""
        try:
            private = load_ssh_private_key(path.read_bytes(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{path}: expected an SSH key without passphrase: {error}") from None
        if not isinstance(private, PrivateKey):
            raise ValueError(f"{path}: SSH keys of this kind may not log on")
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return cls(public.split(b" ")[0].decode(), private)

    def _public_parts(self) -> list[bytes]:
        match self._private:
            case Ed25519PrivateKey() as key:
                return [key.public_key().public_bytes_raw()]
            case ec.EllipticCurvePrivateKey() as key:
                numbers = key.public_key().public_numbers()
                size = _size(key)
                point = b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
                return [_curve(self.kind).encode(), point]
            case rsa.RSAPrivateKey() as key:
                public = key.public_key().public_numbers()
                return [_mpint(public.e), _mpint(public.n)]

    def another(self) -> SshKey:
        """A key of the same kind."""
        return next(key for key in _strangers_keys() if key.kind == self.kind)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those that a host has to accept."""
        return ("rsa-sha2-512", "rsa-sha2-256") if self.kind == "ssh-rsa" else (self.kind,)

    def sign(
        self,
        message: bytes,
        algorithm: str = "",
        *,
        namespace: bytes = NAMESPACE,
        trailer: bytes = TOUCHED,
    ) -> bytes:
        """The raw signature of SSHSIG; `trailer` is a security key's flags and counter."""
        digest = hashlib.sha512(message).digest()
        data = b"SSHSIG" + _parts([namespace, b"", b"sha512", digest])
        if not self._application:
            return self._sign(data, algorithm or self.algorithms[0])
        ends = [hashlib.sha256(part).digest() for part in (self._application, data)]
        return self._sign(ends[0] + trailer + ends[1], self.kind) + trailer

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        match self._private:
            case Ed25519PrivateKey() as key:
                return key.sign(data)
            case ec.EllipticCurvePrivateKey() as key:
                hash_ = CURVES[_curve(self.kind)][1]
                signature = key.sign(data, ec.ECDSA(hash_, deterministic_signing=True))
                r, s = decode_dss_signature(signature)
                return r.to_bytes(_size(key), "big") + s.to_bytes(_size(key), "big")
            case rsa.RSAPrivateKey() as key:
                return key.sign(data, padding.PKCS1v15(), RSA_HASHES[algorithm])


def _curve(kind: str) -> str:
    return kind.removeprefix("sk-").removeprefix("ecdsa-sha2-").partition("@")[0]


def _size(key: ec.EllipticCurvePrivateKey) -> int:
    return -(-key.key_size // 8)


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


@lru_cache(1)
def own_ssh_keys() -> tuple[SshKey, ...]:
    """One of every kind that may log on, made once a process."""
    return _made()


@lru_cache(1)
def _strangers_keys() -> tuple[SshKey, ...]:
    return _made()


def _made() -> tuple[SshKey, ...]:
    curves = {name: ec.generate_private_key(curve) for name, (curve, _) in CURVES.items()}
    return (
        SshKey("ssh-ed25519", Ed25519PrivateKey.generate()),
        *(SshKey(f"ecdsa-sha2-{name}", key) for name, key in curves.items()),
        SshKey("ssh-rsa", rsa.generate_private_key(65_537, 2048)),
        SshKey("sk-ssh-ed25519@openssh.com", Ed25519PrivateKey.generate()),
        SshKey("sk-ecdsa-sha2-nistp256@openssh.com", ec.generate_private_key(ec.SECP256R1())),
    )


class User(msgspec.Struct, frozen=True):
    """A user with an account at the target, which may use `applications`, empty for all.

    Salt and cost are those of the account, as a session directory has it; a terminal server tells
    its own.
    """

    name: str
    password: bytes
    ssh_keys: tuple[SshKey, ...] = ()
    applications: tuple[str, ...] = ()
    salt: bytes = b"salt of a case  "
    memory_kib: int = MEMORY_KIB
    passes: int = PASSES
    lanes: int = LANES

    @property
    def salted(self) -> dict[str, Any]:
        """Salt and cost, by the names of LogonChallenge's fields."""
        return {
            "salt": self.salt,
            "memory_kib": self.memory_kib,
            "passes": self.passes,
            "lanes": self.lanes,
        }

    def key(self, farm: str) -> Ed25519PrivateKey:
        """The key that their password gives."""
        return password_key(farm, self.name, self.password, **self.salted)
