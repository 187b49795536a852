"""SSH keys and raw signatures. Signatures of every kind of key stand in the test vectors."""

from __future__ import annotations

import base64
import random

import pytest

from clients.conformance.user import SshKey, own_ssh_keys
from tests.unit.tsproto.users import SSH_KEY
from tsproto import ssh_keys
from tsproto.ssh_keys import SshKeyError
from tsproto.user_proof import prefixed

MESSAGE = b"a message"
KEYS = own_ssh_keys()
each_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: key.kind)


def blob_of(key: SshKey) -> bytes:
    return base64.b64decode(key.line.split(" ")[1])


def line_of(kind: str, blob: bytes) -> str:
    return f"{kind} {base64.b64encode(blob).decode()}"


@each_key
def test_a_key_of_every_kind_is_read_and_has_signed(key: SshKey) -> None:
    read = ssh_keys.read(key.line)
    assert (read.kind, read.fingerprint) == (key.kind, key.fingerprint)
    for algorithm in key.algorithms:
        signature = key.sign(MESSAGE, algorithm)
        assert read.is_signed(MESSAGE, algorithm, signature)
        assert not read.is_signed(MESSAGE + b"!", algorithm, signature)


@each_key
@pytest.mark.parametrize("algorithm", ["", "ed25519", "ssh-rsa", "ssh-dss", "rsa-sha2-1024"])
def test_an_algorithm_of_another_kind_is_refused(key: SshKey, algorithm: str) -> None:
    """Without an error: the keeper, which runs as root, asks with whatever came."""
    read = ssh_keys.read(key.line)
    assert not read.is_signed(MESSAGE, algorithm, key.sign(MESSAGE))


@each_key
def test_damaged_signatures_are_refused_without_an_error(key: SshKey) -> None:
    rng = random.Random(1)
    read, good = ssh_keys.read(key.line), key.sign(MESSAGE)
    for _ in range(40):
        wrong = bytearray(good)
        wrong[rng.randrange(len(wrong))] ^= 1 << rng.randrange(8)
        cut = bytes(wrong[: rng.randrange(len(wrong) + 1)])
        for signature in (bytes(wrong), cut, rng.randbytes(len(good))):
            assert not read.is_signed(MESSAGE, key.algorithms[0], signature)


@each_key
def test_damaged_keys_are_refused_in_words_or_are_other_keys(key: SshKey) -> None:
    rng = random.Random(2)
    good = blob_of(key)
    for _ in range(40):
        wrong = bytearray(good)
        wrong[rng.randrange(len(wrong))] ^= 1 << rng.randrange(8)
        for blob in (bytes(wrong), bytes(wrong[: rng.randrange(len(wrong))]), b"", bytes(40)):
            try:
                read = ssh_keys.read(line_of(key.kind, blob))
            except SshKeyError:
                continue
            assert read.fingerprint != key.fingerprint
            assert not read.is_signed(MESSAGE, key.algorithms[0], key.sign(MESSAGE))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "'' *… is no SSH public key: expected a line as in a .pub file"),
        ("ssh-ed25519", "'ssh-ed25519'… is no SSH public key"),
        ("ssh-ed25519 é", "'ssh-ed25519 é'… is no SSH public key"),
        (line_of("ssh-dss", prefixed(b"ssh-dss", b"1")), "keys of the kind 'ssh-dss' may not"),
        (
            line_of("ssh-rsa", prefixed(b"ssh-rsa", b"\x01\x00\x01", b"\x00" + b"\xff" * 128)),
            "the RSA key has 1024 bits, at least 2048 are needed",
        ),
        (line_of("ssh-rsa", blob_of(SSH_KEY)), "its name and its content differ"),
        (line_of("ssh-ed25519", blob_of(SSH_KEY)[:-1]), "it is cut short"),
    ],
    ids=["empty", "no blob", "no base64", "dsa", "short rsa", "another kind", "cut"],
)
def test_a_line_that_is_no_key_is_refused_with_its_reason(line: str, said: str) -> None:
    with pytest.raises(SshKeyError, match=said):
        ssh_keys.read(line)


# --- signatures as agents and SSHSIG have them ----------------------------------------------------


def ssh_blob(key: SshKey, algorithm: str) -> bytes:
    """The signature in SSH's framing."""
    raw = key.sign(MESSAGE, algorithm)
    raw, trailer = (raw[:-5], raw[-5:]) if key.kind.startswith("sk-") else (raw, b"")
    if "ecdsa" in key.kind:
        half = len(raw) // 2
        raw = prefixed(*(mpint(part) for part in (raw[:half], raw[half:])))
    return prefixed(algorithm.encode(), raw) + trailer


def mpint(number: bytes) -> bytes:
    bare = number.lstrip(b"\0")
    return b"\0" + bare if bare[:1] >= b"\x80" else bare


@each_key
def test_a_framed_signature_gives_the_raw_one(key: SshKey) -> None:
    for algorithm in key.algorithms:
        raw = ssh_keys.raw_signature(ssh_blob(key, algorithm))
        assert raw == (algorithm, key.sign(MESSAGE, algorithm))


@each_key
def test_a_damaged_frame_is_a_value_error(key: SshKey) -> None:
    blob = ssh_blob(key, key.algorithms[0])
    for end in range(len(blob)):
        try:
            algorithm, signature = ssh_keys.raw_signature(blob[:end])
        except ValueError:
            continue
        assert not ssh_keys.read(key.line).is_signed(MESSAGE, algorithm, signature)
