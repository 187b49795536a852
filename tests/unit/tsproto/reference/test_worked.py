import asyncio
import hashlib
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clients.user_keys import argon2id
from tsproto import codec, discovery, limits
from tsproto.license_token import read_claims
from tsproto.messages import (
    TABLE,
    Kind,
    LicenseInfo,
    LicenseRequest,
    LogonChallenge,
    LogonProof,
    ResizeSession,
    examples,
)
from tsproto.reference import worked
from tsproto.reference.worked import ANSWER, CLAIMS, QUERY, frame_parts, struct_parts
from tsproto.user_proof import Cost

PROOF = ("device", "signed", "signature")


def shown(block: str) -> bytes:
    """The bytes of a block, without their meanings."""
    return bytes.fromhex("".join(re.findall(r"^((?:[0-9a-f]{2} ?)+)", block, re.MULTILINE)))


def test_the_frame_shown_is_one_that_decodes() -> None:
    assert worked.frame().startswith(
        "```\nc9           ext 32\n00 00 00 06  length of the body: 6\n"
    )
    ((kind, body),) = codec.FrameReader(limits.FRAME_BYTES).feed(shown(worked.frame()))
    assert kind == codec.MESSAGE_KIND
    assert codec.decode_message(body) == ResizeSession(columns=132, rows=43)


def test_the_token_shown_is_signed_by_the_key_shown() -> None:
    claims, keys, token = (shown(worked.token(part)) for part in ("claims", "keys", "whole"))
    assert read_claims(token) == CLAIMS
    assert token[3 : 3 + len(claims)] == claims
    public_key = Ed25519PrivateKey.from_private_bytes(keys[:32]).public_key()
    assert public_key.public_bytes_raw() == keys[32:]
    public_key.verify(token[-64:], b"tsfarm license token 1\0" + claims)


def test_the_proof_shown_is_of_the_device_shown() -> None:
    device, signed, signature = map(shown, map(worked.proof, PROOF))
    assert hashlib.sha256(device[32:64]).digest() == device[64:]
    assert signed.startswith(b"tsfarm device proof 1\0")
    Ed25519PublicKey.from_public_bytes(device[32:64]).verify(signature, signed)


def test_the_example_of_the_device_is_the_proof_shown() -> None:
    device, signed, signature = map(shown, map(worked.proof, PROOF))
    assert LicenseInfo.example["public_key"] == device[32:64]
    assert LicenseInfo.example["signature"] == signature
    assert LicenseRequest.example["nonce"] in signed


def test_the_users_key_shown_is_the_passwords() -> None:
    shown_ = shown(worked.user_proof("key"))
    password, salt, tag = examples.PASSWORD.encode(), examples.ARGON2["salt"], worked.TAG
    assert asyncio.run(argon2id(password, salt, Cost())) == tag
    prefixed = b"".join(len(p).to_bytes(4, "big") + p for p in (b"lab", b"user1", tag))
    seed = hashlib.sha256(b"tsfarm user key 1\0" + prefixed).digest()
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    domain = b"tsfarm user key 1\0"
    assert shown_ == password + salt + tag + domain + prefixed + seed + public_key


def test_the_users_proof_shown_is_of_the_key_shown() -> None:
    parts = ("key", "asked", "signed", "signature")
    key, asked, signed, signature = map(shown, map(worked.user_proof, parts))
    Ed25519PublicKey.from_public_bytes(key[-32:]).verify(signature, signed)
    assert signed.startswith(b"tsfarm user proof 1\0")
    assert signed.endswith(hashlib.sha256(asked).digest())
    assert signature == LogonProof.example["signature"]
    assert LogonChallenge.example["nonce"] in signed


def test_the_parts_of_an_example_are_its_frame() -> None:
    for kind in TABLE.values():
        message = kind(**kind.example)
        parts = b"".join(data for data, _ in frame_parts(message))
        decoded = codec.decode_message(parts[codec.HEADER.size :])
        assert decoded == message
        assert (decoded.request_id == 0) == (kind.entry.kind is Kind.NOTIFICATION)


def test_an_example_is_shown_with_what_its_bytes_mean() -> None:
    assert worked.example(ResizeSession) == (
        "```\n"
        "c9 00 00 00 06 00  frame: a message of 6 bytes\n"
        "94                 array of 4\n"
        "13                 number 19: ResizeSession\n"
        "00                 request_id 0\n"
        "cc 84              columns 132\n"
        "2b                 rows 43\n"
        "```"
    )


def test_long_values_are_cut_and_say_by_how_much() -> None:
    text = worked.example(TABLE[12])
    assert re.search(r"^c4 d0 .*  token: 208 bytes\n\.\.\. 194 more$", text, re.MULTILINE)


def test_the_datagrams_shown_are_datagrams() -> None:
    query = discovery.decode_query(discovery.encode_query(QUERY))
    assert query is not None
    assert len(b"".join(data for data, _ in struct_parts(query, []))) == 512
    answer = b"".join(data for data, _ in struct_parts(ANSWER, []))
    assert discovery.decode_answer(answer) == ANSWER
