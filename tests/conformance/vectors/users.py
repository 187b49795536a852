"""Vectors of users' keys and proofs: keys of passwords, signed bytes, signatures of every kind of
SSH key. Made without the product's own code for them, by that of the conformance suite."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, TypeAlias

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import asdict, replace

from clients.conformance import user
from clients.conformance.attempt import STRANGERS_KEY
from clients.conformance.user import CURVES, SshKey, Statement, User
from tsproto.errors import ErrorCode

Vector: TypeAlias = dict[str, Any]

FARM = "lab"
PASSWORD = b"correct horse battery staple"
USER = User("user1", PASSWORD, salt=bytes(range(16)))
GOOD, BAD = ErrorCode.NORMAL.name, ErrorCode.LOGON_FAILED.name
STATEMENT = Statement(
    farm=FARM,
    server="ts1",
    certificate=hashlib.sha256(b"certificate").digest(),
    nonce=bytes(range(32)),
    time=1_800_000_000,
    device_id=hashlib.sha256(b"device").digest(),
    user_name=USER.name,
    method=user.PASSWORD,
    methods=user.PASSWORD_OFFERED | user.SSH_KEY_OFFERED,
    **USER.salted,
)
RSA_EXPONENT = 65_537
# For each seed the number of bits, and how far behind their numbers the primes p and q are.
RSA = {b"one": (2048, 1610, 502), b"two": (2048, 806, 40), b"short": (1024, 100, 94)}


def user_proof_vectors() -> Vector:
    return {
        "signed": "the domain, then each value after its length; of the last four the SHA-256",
        "domain": user.PROOF_DOMAIN,
        "key_domain": user.KEY_DOMAIN,
        "derivations": list(_derivations()),
        "vectors": list(_proofs()),
    }


# --- keys of passwords ----------------------------------------------------------------------------


def _derivations() -> Iterator[Vector]:
    greek = User("Ζωή", "κωδικός ".encode() * 8, salt=USER.salt)
    yield _derivation("least-cost", FARM, USER)
    yield _derivation("default-cost", FARM, replace(USER, memory_kib=65_536, passes=3))
    yield _derivation("four-lanes", FARM, replace(USER, lanes=4))
    yield _derivation("another-farm", "elsewhere", USER)
    yield _derivation("another-user", FARM, replace(USER, name="user2"))
    yield _derivation("another-salt", FARM, replace(USER, salt=bytes(16)))
    yield _derivation("no-ascii", FARM, greek)
    yield _derivation("empty-password", FARM, replace(USER, password=b""))


def _derivation(case: str, farm: str, whose: User) -> Vector:
    cost = whose.passes, whose.memory_kib, whose.lanes
    tag = hash_secret_raw(whose.password, whose.salt, *cost, 32, Type.ID, version=0x13)
    key = whose.key(farm)
    return {
        "id": f"user-key/{case}",
        "farm": farm,
        "user_name": whose.name,
        "password": whose.password,
        **whose.salted,
        "tag": tag,
        "seed": key.private_bytes_raw(),
        "public_key": key.public_key().public_bytes_raw(),
    }


# --- proofs ---------------------------------------------------------------------------------------


def _proofs() -> Iterator[Vector]:
    for case, changes in _good_changes():
        statement = replace(STATEMENT, **changes)
        signed = replace(USER, name=statement.user_name).key(FARM).sign(statement.signed_bytes())
        yield _proof(case, GOOD, statement, signed)
    right = USER.key(FARM)
    signature = right.sign(STATEMENT.signed_bytes())
    for name, value in _other_values().items():
        wrong = replace(STATEMENT, **{name: value})
        yield _proof(f"another-{name.replace('_', '-')}", BAD, wrong, signature)
    yield _proof("another-key", BAD, STATEMENT, STRANGERS_KEY.sign(STATEMENT.signed_bytes()))
    yield _proof("no-domain", BAD, STATEMENT, right.sign(STATEMENT.signed_bytes(b"")))
    turned = signature[:-1] + bytes([signature[-1] ^ 1])
    yield _proof("changed", BAD, STATEMENT, turned)
    yield _proof("cut", BAD, STATEMENT, signature[:-1])
    yield _proof("empty", BAD, STATEMENT, b"")


def _good_changes() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "good", {}
    yield "plain-connection", {"certificate": bytes(32)}
    yield "application", {"application": "editor"}
    yield "command", {"command": "ls -l /tmp"}
    yield "resuming", {"session_id": 7, "attachment": 2}
    yield "redirected", {"session_id": 7}
    yield "no-ascii", {"user_name": "Ζωή", "command": "echo ✓"}
    yield "longest", {"command": "a" * 1_000, "time": 2**40, "attachment": 2**40}


def _other_values() -> dict[str, Any]:
    other = bytes(32)
    return {
        "farm": "elsewhere",
        "server": "ts2",
        "certificate": other,
        "nonce": other,
        "time": STATEMENT.time + 1,
        "device_id": other,
        "user_name": "user2",
        "method": 2,
        "methods": 7,
        "salt": other[:16],
        "memory_kib": STATEMENT.memory_kib + 1,
        "passes": 3,
        "lanes": 2,
        "application": "editor",
        "command": "ls",
        "session_id": 7,
        "attachment": 1,
    }


def _proof(case: str, code: str, statement: Statement, signature: bytes) -> Vector:
    """For a short statement the bytes that are signed stand beside it."""
    signed = statement.signed_bytes()
    return {
        "id": f"user-proof/{case}",
        "code": code,
        "values": asdict(statement),
        "signed": signed,
        "public_key": replace(USER, name=statement.user_name)
        .key(FARM)
        .public_key()
        .public_bytes_raw(),
        "signature": signature,
    }


# --- SSH keys -------------------------------------------------------------------------------------


def ssh_signature_vectors() -> Vector:
    message = replace(STATEMENT, method=user.SSH_KEY).signed_bytes()
    return {
        "signed": "as ssh-keygen -Y sign does it, with this namespace, and sha512",
        "namespace": user.NAMESPACE,
        "message": message,
        "vectors": list(_ssh_signatures(message)),
        "lines": list(_lines()),
    }


def _ssh_signatures(message: bytes) -> Iterator[Vector]:
    for key in _keys(b"one"):
        for algorithm in key.algorithms:
            good = key.sign(message, algorithm)
            yield _ssh(key, "good", GOOD, algorithm, good)
            yield _ssh(key, "another-message", BAD, algorithm, key.sign(b"another", algorithm))
            wrong = key.sign(message, algorithm, namespace=b"file")
            yield _ssh(key, "another-namespace", BAD, algorithm, wrong)
            yield _ssh(key, "cut", BAD, algorithm, good[:-1])
            yield _ssh(key, "longer", BAD, algorithm, good + b"\0")
            yield _ssh(key, "empty", BAD, algorithm, b"")
            other = next(each for each in _keys(b"two") if each.kind == key.kind)
            yield _ssh(key, "another-key", BAD, algorithm, other.sign(message, algorithm))
    for key in _keys(b"one"):
        yield _ssh(key, "another-algorithm", BAD, user.ED25519, key.sign(message))
        if key.kind.startswith("sk-"):
            untouched = key.sign(message, trailer=user.UNTOUCHED)
            yield _ssh(key, "untouched", BAD, key.kind, untouched)
            counted = key.sign(message, trailer=b"\x05\xff\xff\xff\xff")
            yield _ssh(key, "verified-by-its-pin", GOOD, key.kind, counted)
    rsa_key = next(key for key in _keys(b"one") if key.kind == "ssh-rsa")
    yield _ssh(rsa_key, "with-sha-1", BAD, "ssh-rsa", rsa_key.sign(message, "ssh-rsa"))


def _ssh(key: SshKey, case: str, code: str, algorithm: str, signature: bytes) -> Vector:
    return {
        "id": f"ssh-signature/{key.kind}/{algorithm}/{case}",
        "code": code,
        "line": key.line,
        "fingerprint": key.fingerprint,
        "algorithm": algorithm,
        "signature": signature,
    }


def _lines() -> Iterator[Vector]:
    """Lines of keys that may log on, and others."""
    good = _keys(b"one")[0].line
    kind, blob, _ = good.split(" ")
    for case, line, is_taken in (
        ("with-a-comment", good, True),
        ("without-a-comment", f"{kind} {blob}", True),
        ("a-comment-of-words", f"{kind} {blob} of nobody at all", True),
        ("empty", "", False),
        ("no-blob", kind, False),
        ("no-base64", f"{kind} {blob[:-4]}*", False),
        ("cut", f"{kind} {blob[:-8]}", False),
        ("another-kind", f"ssh-rsa {blob}", False),
        ("options", f"no-pty {good}", False),
        ("a-short-rsa-key", _rsa_key(b"short").line, False),
        ("dsa", "ssh-dss AAAAB3NzaC1kc3MAAAABAQAAAAEBAAAAAQEAAAABAQ==", False),
        ("a-certificate", _certificate(good), False),
    ):
        yield {"id": f"ssh-line/{case}", "line": line, "is_taken": is_taken}


def _certificate(line: str) -> str:
    kind = line.partition(" ")[0]
    return line.replace(kind, f"{kind}-cert-v01@openssh.com", 1)


def _keys(seed: bytes) -> tuple[SshKey, ...]:
    """One of every kind that may log on, always the same ones."""
    curves = {
        name: ec.derive_private_key(_number(seed, 31), curve) for name, (curve, _) in CURVES.items()
    }
    own = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
    return (
        SshKey("ssh-ed25519", own),
        *(SshKey(f"ecdsa-sha2-{name}", key) for name, key in curves.items()),
        _rsa_key(seed),
        SshKey("sk-ssh-ed25519@openssh.com", own),
        SshKey("sk-ecdsa-sha2-nistp256@openssh.com", curves["nistp256"]),
    )


def _rsa_key(seed: bytes) -> SshKey:
    bits, *behind = RSA[seed]
    p, q = (
        (_number(seed + word, bits // 16) | 3 << bits // 2 - 2 | 1) + far
        for word, far in zip((b" p", b" q"), behind, strict=True)
    )
    public = rsa.RSAPublicNumbers(RSA_EXPONENT, p * q)
    d = pow(RSA_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public
    )
    return SshKey("ssh-rsa", numbers.private_key())


def _number(seed: bytes, size: int) -> int:
    return int.from_bytes(hashlib.shake_256(seed).digest(size), "big")
