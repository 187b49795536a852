"""Files with SSH private keys, in OpenSSH's own form, which tells the public key without the
passphrase (OpenSSH's PROTOCOL.key)."""

from __future__ import annotations

import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from clients.ssh.fields import Reader
from tsproto.error_text import words_of
from tsproto.errors import TsfarmError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    PrivateKey: TypeAlias = (
        ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    )

FILE_BYTES_MAX = 64 * 1024  # an RSA key of 16,384 bits takes 13 KiB
MAGIC = b"openssh-key-v1\0"
BEGIN, END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"


class KeyFileError(TsfarmError):
    """The file's key cannot be used; the text names the file and the next step."""


class WrongPassphrase(KeyFileError):
    """Another passphrase may open the file."""


class KeyFile(msgspec.Struct, frozen=True):
    """A private key's file, and what it tells to everybody who may read it."""

    path: Path
    content: bytes
    blob: bytes
    is_encrypted: bool

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.blob).digest()

    @property
    def is_in_hardware(self) -> bool:
        return self.blob[4:].startswith(b"sk-")

    def load(self, passphrase: bytes | None) -> PrivateKey:
        """Raises KeyFileError."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        try:
            key = load_ssh_private_key(self.content, passphrase)
        except (ValueError, TypeError) as error:
            if passphrase is not None:
                raise WrongPassphrase(f"{self.path}: wrong passphrase") from None
            raise KeyFileError(f"{self.path} is damaged: {error}") from None
        except UnsupportedAlgorithm as error:
            raise KeyFileError(f"{self.path}: {error}; add it to an agent with ssh-add") from None
        if isinstance(
            key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        ):
            return key
        raise KeyFileError(f"{self.path}: DSA keys may not log on: make one with ssh-keygen")


def read(path: Path) -> KeyFile:
    """Raises KeyFileError, also when others may read the file."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"{path}: {words_of(error)}") from None
    if BEGIN not in content or END not in content:
        raise KeyFileError(
            f"{path} holds no private key in OpenSSH's form: name the private key's file, or"
            f" convert one in another form with `ssh-keygen -p -f {path}`"
        )
    if mode & 0o077:
        raise KeyFileError(
            f"{path} is open to others (mode {mode:04o}), who could log on with it: run"
            f" `chmod 600 {path}`"
        )
    try:
        encoded = content[content.index(BEGIN) + len(BEGIN) : content.index(END)]
        fields = Reader(binascii.a2b_base64(encoded))
        if fields.take(len(MAGIC)) != MAGIC:
            raise ValueError("no OpenSSH key")
        cipher, _, _ = fields.string(), fields.string(), fields.string()
        if fields.number() != 1:
            raise ValueError("not one key")
        return KeyFile(path, content, fields.string(), cipher != b"none")
    except ValueError as error:
        raise KeyFileError(f"{path} is damaged ({error}): put a copy back") from None


def sign(key: PrivateKey, data: bytes) -> tuple[str, bytes]:
    """Algorithm and raw signature, see `tsproto.ssh_keys`."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    from tsproto.ssh_keys import CURVES

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ssh-ed25519", key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        name, hash_ = next(
            (name, hash_) for name, (curve, hash_) in CURVES.items() if curve.name == key.curve.name
        )
        size = -(-key.curve.key_size // 8)
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hash_)))
        return f"ecdsa-sha2-{name}", r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return "rsa-sha2-512", key.sign(data, padding.PKCS1v15(), hashes.SHA512())
