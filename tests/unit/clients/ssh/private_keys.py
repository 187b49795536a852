"""SSH private keys as files, made without ssh-keygen."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tsproto import ssh_keys
from tsproto.ssh_keys import SshKey


def written(path: Path, seed: int = 1, passphrase: bytes = b"") -> SshKey:
    """Writes a private key; returns the public one."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:  # one round instead of 16, which take 0.1 s
        encryption = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(passphrase)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return ssh_keys.read(line.decode())
