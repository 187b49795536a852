from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.ssh import key_file
from clients.ssh.key_file import BEGIN, END, MAGIC, KeyFileError, WrongPassphrase
from tests.unit.clients.ssh.private_keys import written
from tsproto.user_proof import prefixed


@pytest.mark.parametrize("passphrase", [b"", b"open sesame"])
def test_the_public_key_is_read_without_the_passphrase(tmp_path: Path, passphrase: bytes) -> None:
    public = written(tmp_path / "key", passphrase=passphrase)
    file = key_file.read(tmp_path / "key")
    assert (file.fingerprint, file.is_encrypted) == (public.fingerprint, bool(passphrase))
    assert not file.is_in_hardware
    key = file.load(passphrase or None)
    assert isinstance(key, Ed25519PrivateKey)
    assert key.public_key().public_bytes_raw() == public.blob[-32:]


def test_a_wrong_passphrase_can_be_corrected(tmp_path: Path) -> None:
    written(tmp_path / "key", passphrase=b"open sesame")
    with pytest.raises(WrongPassphrase, match="wrong passphrase"):
        key_file.read(tmp_path / "key").load(b"sesame")


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(KeyFileError, match=r"key is open to others \(mode 0640\).*chmod 600"):
        key_file.read(tmp_path / "key")


def framed(content: bytes) -> bytes:
    return BEGIN + b"\n" + base64.b64encode(content) + b"\n" + END + b"\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no private key in OpenSSH's form: .*ssh-keygen -p -f"),
        (b"ssh-ed25519 AAAA laptop", "no private key in OpenSSH's form"),
        (b"-----BEGIN RSA PRIVATE KEY-----", "no private key in OpenSSH's form"),
        (framed(b"nonsense"), "damaged"),
        (framed(MAGIC + prefixed(b"none")), "damaged"),
        (framed(MAGIC + prefixed(b"none", b"none", b"") + b"\0\0\0\2"), "not one key"),
        (BEGIN + b"A" + END, "damaged"),
    ],
)
def test_another_file_is_refused_with_the_next_step(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyFileError, match=why):
        key_file.read(tmp_path / "key")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        key_file.read(tmp_path / "key")


def test_a_damaged_private_part_is_found_when_it_is_loaded(tmp_path: Path) -> None:
    public = written(tmp_path / "key")
    fields = MAGIC + prefixed(b"none", b"none", b"") + b"\0\0\0\1" + prefixed(public.blob, b"gone")
    (tmp_path / "key").write_bytes(framed(fields))
    file = key_file.read(tmp_path / "key")
    assert file.fingerprint == public.fingerprint
    with pytest.raises(KeyFileError, match="is damaged"):
        file.load(None)


def test_a_security_keys_file_says_so(tmp_path: Path) -> None:
    blob = prefixed(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:")
    fields = MAGIC + prefixed(b"none", b"none", b"") + b"\0\0\0\1" + prefixed(blob, b"handle")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(framed(fields))
    assert key_file.read(tmp_path / "key").is_in_hardware
