"""SSH public keys and their signatures in the form of SSHSIG, as `ssh-keygen -Y sign` makes them.

A signature is sent raw, without SSH's framing, in fields of fixed sizes:

- ssh-ed25519: 64 bytes
- ecdsa-sha2-nistp256, -nistp384, -nistp521: r and s, each as long as the curve's numbers
- rsa-sha2-512, rsa-sha2-256: as long as the key
- sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com: the signature, then the key's
  flags (1 byte) and counter (4 bytes); the user's presence is demanded

The source is OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f, and RFC 4253, 5656, 8332 and 8709.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tsproto.errors import TsfarmError
from tsproto.user_proof import SSH_NAMESPACE, prefixed

RSA_BITS_MIN = 2048
LINE_CHARACTERS_MAX = 4096
READ_KEYS_REMEMBERED = 16_384
PRESENT = 0x01  # flag of a security key: somebody touched it
SK_TRAILER_BYTES = 5

CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
RSA_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-512": hashes.SHA512(),
    "rsa-sha2-256": hashes.SHA256(),
}


class SshKeyError(TsfarmError):
    """The line is no SSH public key that may log on; the text says why."""


class SshKey(msgspec.Struct, frozen=True):
    """A public key. `fingerprint` is the SHA-256 of its blob; `application` that of a security
    key's, else empty."""

    kind: str
    blob: bytes
    fingerprint: bytes
    public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    application: bytes = b""

    def is_signed(self, message: bytes, algorithm: str, signature: bytes) -> bool:
        """Whether this key made the SSHSIG of the message, with the namespace logon@tsfarm."""
        try:
            self._verify(signed_by_ssh(message), algorithm, signature)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _verify(self, data: bytes, algorithm: str, signature: bytes) -> None:
        """Raises InvalidSignature."""
        # "ssh-rsa" is a kind of keys, and as an algorithm SHA-1, which is not taken.
        if algorithm not in (RSA_HASHES if self.kind == "ssh-rsa" else (self.kind,)):
            raise InvalidSignature
        if self.application:
            signature, trailer = signature[:-SK_TRAILER_BYTES], signature[-SK_TRAILER_BYTES:]
            if len(trailer) != SK_TRAILER_BYTES or not trailer[0] & PRESENT:
                raise InvalidSignature
            digests = hashlib.sha256(self.application).digest(), hashlib.sha256(data).digest()
            data = digests[0] + trailer + digests[1]
        match self.public_key:
            case ed25519.Ed25519PublicKey() as key:
                key.verify(signature, data)
            case ec.EllipticCurvePublicKey() as key:
                size = -(-key.curve.key_size // 8)
                if len(signature) != 2 * size:
                    raise InvalidSignature
                r, s = (
                    int.from_bytes(half, "big") for half in (signature[:size], signature[size:])
                )
                hash_ = next(h for curve, h in CURVES.values() if curve.name == key.curve.name)
                key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hash_))
            case rsa.RSAPublicKey() as key:
                key.verify(signature, data, padding.PKCS1v15(), RSA_HASHES[algorithm])


def signed_by_ssh(message: bytes) -> bytes:
    """The bytes that an SSH key signs for the message (PROTOCOL.sshsig)."""
    digest = hashlib.sha512(message).digest()
    return b"SSHSIG" + prefixed(SSH_NAMESPACE.encode(), b"", b"sha512", digest)


@lru_cache(READ_KEYS_REMEMBERED)
def read(line: str) -> SshKey:
    """A line of an authorized_keys or .pub file, without options. Raises SshKeyError."""
    kind, _, rest = line.strip().partition(" ")
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
        return _read_blob(kind, blob)
    except (binascii.Error, ValueError, KeyError, IndexError) as error:
        start = line.strip()[:40]
        raise SshKeyError(
            f"{start!r}… is no SSH public key: expected a line as in a .pub file ({error})"
        ) from None


def _read_blob(kind: str, blob: bytes) -> SshKey:
    """Raises ValueError and SshKeyError."""
    fields = _fields(blob)
    if fields[0].decode() != kind:
        raise ValueError("its name and its content differ")
    public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    application = b""
    match kind, fields[1:]:
        case ("ssh-ed25519", [raw]):
            public_key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        case ("sk-ssh-ed25519@openssh.com", [raw, application]):
            public_key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        case ("ssh-rsa", [e, n]):
            numbers = rsa.RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big"))
            public_key = numbers.public_key()
            if public_key.key_size < RSA_BITS_MIN:
                raise SshKeyError(
                    f"the RSA key has {public_key.key_size} bits, at least {RSA_BITS_MIN} are"
                    " needed: make another one, best with `ssh-keygen -t ed25519`"
                )
        case ("sk-ecdsa-sha2-nistp256@openssh.com", [b"nistp256", point, application]):
            public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        case (_, [curve, point]) if kind == f"ecdsa-sha2-{curve.decode()}":
            public_key = ec.EllipticCurvePublicKey.from_encoded_point(
                CURVES[curve.decode()][0], point
            )
        case _:
            raise SshKeyError(
                f"keys of the kind {kind!r} may not log on: certificates and DSA are not taken"
            )
    fingerprint = hashlib.sha256(blob).digest()
    return SshKey(kind, blob, fingerprint, public_key, application)


def _fields(blob: bytes) -> list[bytes]:
    """The strings of an SSH blob: each after its length, four bytes."""
    fields, start = [], 0
    while start < len(blob):
        end = start + 4 + int.from_bytes(blob[start : start + 4], "big")
        if end > len(blob):
            raise ValueError("it is cut short")
        fields.append(blob[start + 4 : end])
        start = end
    return fields


def raw_signature(blob: bytes) -> tuple[str, bytes]:
    """Algorithm and raw signature, of an SSH signature blob as agents and SSHSIG have it. Raises
    ValueError."""
    length = int.from_bytes(blob[:4], "big")
    algorithm = blob[4 : 4 + length].decode()
    rest = blob[4 + length :]
    size = int.from_bytes(rest[:4], "big")
    signature, trailer = rest[4 : 4 + size], rest[4 + size :]
    if algorithm.startswith(("ecdsa-", "sk-ecdsa-")):
        name = algorithm.removeprefix("sk-").removeprefix("ecdsa-sha2-").partition("@")[0]
        if name not in CURVES:
            raise ValueError(f"no signature is made with the curve {name!r}")
        size = -(-CURVES[name][0].key_size // 8)
        r, s = (number.lstrip(b"\0").rjust(size, b"\0") for number in _fields(signature))
        signature = r + s
    return algorithm, signature + trailer
