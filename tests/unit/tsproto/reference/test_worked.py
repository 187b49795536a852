import hashlib
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tsproto import codec, limits
from tsproto.license_token import read_claims
from tsproto.messages import ResizeSession
from tsproto.reference import worked
from tsproto.reference.examples import CLAIMS


def blocks(text: str) -> list[bytes]:
    """The bytes of each block, without what they mean."""
    found = re.findall(r"```\n(.*?)\n```", text, re.DOTALL)
    return [
        bytes.fromhex("".join(re.findall(r"^((?:[0-9a-f]{2} ?)+)", block, re.M))) for block in found
    ]


def test_the_frame_shown_is_one_that_decodes() -> None:
    shown = re.search(r"^bytes   (.*)$", worked.frame(), re.MULTILINE)
    assert shown is not None
    ((kind, body),) = codec.FrameReader(limits.FRAME_BYTES).feed(bytes.fromhex(shown[1]))
    assert kind == codec.MESSAGE_KIND
    assert codec.decode_message(body) == ResizeSession(columns=132, rows=43)


def test_the_token_shown_is_signed_by_the_key_shown() -> None:
    claims, keys, _, token = blocks(worked.token())
    assert read_claims(token) == CLAIMS
    assert token[3 : 3 + len(claims)] == claims
    public_key = Ed25519PrivateKey.from_private_bytes(keys[:32]).public_key()
    assert public_key.public_bytes_raw() == keys[32:]
    public_key.verify(token[-64:], b"tsfarm license token 1\0" + claims)


def test_the_proof_shown_is_of_the_device_shown() -> None:
    device, signed, signature = blocks(worked.proof())
    assert hashlib.sha256(device[32:64]).digest() == device[64:]
    assert signed.startswith(b"tsfarm device proof 1\0")
    Ed25519PublicKey.from_public_bytes(device[32:64]).verify(signature, signed)
