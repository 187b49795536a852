"""Vectors of signed things: license tokens and proofs of a device's key. Ed25519 signatures are
deterministic, so they are the same in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.conformance.vectors.certificates import ENDED, ENDED_LATELY, Certified
from tsproto import identity, limits
from tsproto.errors import ErrorCode
from tsproto.license_token import TOKEN_DOMAIN, Claims
from tsproto.messages import LicenseKind

Vector = dict[str, Any]

FARM = "lab"
NOW = 1_767_225_600  # 2026-01-01
AUTHORITY = Certified(f"tsfarm://{FARM}")
FOREIGN_AUTHORITY = Certified("tsfarm://elsewhere")
CERTIFIED = {
    "ls1": Certified(f"tsfarm://{FARM}/license-server/ls1", AUTHORITY),
    "ended": Certified(f"tsfarm://{FARM}/license-server/ended", AUTHORITY, ENDED),
    "renewed": Certified(f"tsfarm://{FARM}/license-server/renewed", AUTHORITY, ENDED_LATELY),
    "ts1": Certified(f"tsfarm://{FARM}/terminal-server/ts1", AUTHORITY),
    "other-farm": Certified("tsfarm://elsewhere/license-server/ls1", AUTHORITY),
    "foreign": Certified(f"tsfarm://{FARM}/license-server/foreign", FOREIGN_AUTHORITY),
}
DEVICE_SEED = hashlib.sha256(b"tsfarm test vector: device").digest()
DEVICE = identity.DeviceKey(DEVICE_SEED)
CLAIMS = Claims(
    farm=FARM,
    issuer="ls1",
    kind=LicenseKind.FULL,
    license_id=bytes(range(16)),
    product="terminal-server",
    product_version=2,
    device_id=DEVICE.device_id,
    device_name="laptop1",
    user_name="user1",
    issued_at=NOW,
    expires_at=NOW + limits.FULL_DAYS_MIN * limits.DAY_SECONDS,
    key_pack="pack1",
)

_encoder = msgspec.msgpack.Encoder()


def token_vectors() -> Vector:
    return {
        "signed": "the domain, then the claims as they stand in the token",
        "domain": TOKEN_DOMAIN,
        "farm": FARM,
        "authority": _shown(AUTHORITY),
        "issuers": {name: _shown(certified) for name, certified in CERTIFIED.items()},
        "claims": list(Claims.__struct_fields__),
        "vectors": [*_good_tokens(), *_other_claims(), *_other_circumstances(), *_tampered()],
    }


def _shown(certified: Certified) -> Vector:
    return {
        "seed": certified.seed,
        "public_key": certified.public_key,
        "certificate": certified.der,
    }


def _claims(**changes: Any) -> Claims:
    return msgspec.structs.replace(CLAIMS, **changes)


def _signed(encoded: bytes, issuer: str = "ls1", domain: bytes = TOKEN_DOMAIN) -> bytes:
    return _encoder.encode((encoded, CERTIFIED[issuer].key.sign(domain + encoded)))


def _token(claims: Claims, issuer: str = "ls1") -> bytes:
    return _signed(_encoder.encode(claims), issuer)


def _vector(
    case: str,
    token: bytes,
    code: ErrorCode = ErrorCode.NORMAL,
    *,
    signature_is_good: bool = True,
    issuer: str = "ls1",
    **circumstances: Any,
) -> Vector:
    """`certificate` overrides the issuer's; the rest is what the verifier is asked about."""
    return {
        "id": f"token/{case}",
        "code": code.name,
        "signature_is_good": signature_is_good,
        "issuer": issuer,
        "device_id": DEVICE.device_id,
        "product": CLAIMS.product,
        "product_version": CLAIMS.product_version,
        "now": NOW,
        "token": token,
        **circumstances,
    }


def _good_tokens() -> Iterator[Vector]:
    good = {
        "full": _claims(),
        "temporary": _claims(kind=LicenseKind.TEMPORARY, key_pack=""),
        "newer-version": _claims(product_version=3),
        "last-second": _claims(expires_at=NOW + 1),
        "unicode": _claims(user_name="Zoë", device_name="Büro \N{GRINNING FACE}"),
        "longest-user-name": _claims(user_name="u" * 104),
    }
    for case, claims in good.items():
        yield _vector(case, _token(claims), claims=_values(claims))
    former = _claims(issuer="renewed")
    token = _token(former, "renewed")
    yield _vector("issuer-ended-89-days-ago", token, issuer="renewed", claims=_values(former))
    more = _encoder.encode([*msgspec.to_builtins(CLAIMS, builtin_types=(bytes,)), "new", 1])
    yield _vector("more-claims", _signed(more), claims=_values(CLAIMS))
    fewer = _encoder.encode(msgspec.to_builtins(CLAIMS, builtin_types=(bytes,))[:-1])
    yield _vector("key-pack-missing", _signed(fewer), claims=_values(_claims(key_pack="")))


def _values(claims: Claims) -> Vector:
    values = msgspec.to_builtins(claims, builtin_types=(bytes,))
    return dict(zip(Claims.__struct_fields__, values, strict=True))


def _other_claims() -> Iterator[Vector]:
    foreign = ErrorCode.LICENSE_FOREIGN
    other_device = hashlib.sha256(b"another device").digest()
    yield _vector("expired", _token(_claims(expires_at=NOW)), ErrorCode.LICENSE_EXPIRED)
    yield _vector("not-yours", _token(_claims(device_id=other_device)), ErrorCode.LICENSE_NOT_YOURS)
    yield _vector(
        "not-yours-and-expired",
        _token(_claims(device_id=other_device, expires_at=NOW)),
        ErrorCode.LICENSE_NOT_YOURS,
    )
    yield _vector("other-product", _token(_claims(product="editor")), foreign)
    yield _vector("older-version", _token(_claims(product_version=1)), ErrorCode.LICENSE_EXPIRED)
    yield _vector("other-farm", _token(_claims(farm="elsewhere")), foreign)
    yield _vector("other-issuer", _token(_claims(issuer="ls2")), foreign)
    for kind in (LicenseKind.NONE, LicenseKind.GRACE):
        case = f"kind-{kind.name.lower()}"
        yield _vector(case, _token(_claims(kind=kind)), ErrorCode.LICENSE_TAMPERED)
    values = msgspec.to_builtins(CLAIMS, builtin_types=(bytes,))
    next_version = _signed(_encoder.encode([2, *values[1:]]))
    yield _vector("version-2", next_version, ErrorCode.LICENSE_TAMPERED)
    no_array = _signed(_encoder.encode("claims"))
    yield _vector("claims-are-no-array", no_array, ErrorCode.LICENSE_TAMPERED)


def _other_circumstances() -> Iterator[Vector]:
    foreign = ErrorCode.LICENSE_FOREIGN
    for issuer in ("ended", "ts1", "other-farm", "foreign"):
        token = _token(_claims(issuer=issuer), issuer)
        yield _vector(f"issuer-{issuer}", token, foreign, issuer=issuer)
    yield _vector(
        "no-certificate",
        _token(CLAIMS),
        ErrorCode.LICENSE_TAMPERED,
        certificate=b"no certificate",
    )


def _tampered() -> Iterator[Vector]:
    encoded = _encoder.encode(CLAIMS)
    token = _signed(encoded)
    signature = CERTIFIED["ls1"].key.sign(TOKEN_DOMAIN + encoded)
    turned = signature[:-1] + bytes([signature[-1] ^ 1])
    longer = _encoder.encode(_claims(expires_at=CLAIMS.expires_at + 1))
    unsigned = {
        "signature-changed": _encoder.encode((encoded, turned)),
        "claims-changed": _encoder.encode((longer, signature)),
        "signature-missing": _encoder.encode((encoded, b"")),
        "without-domain": _signed(encoded, domain=b""),
        "domain-of-device-proofs": _signed(encoded, domain=identity.DEVICE_PROOF_DOMAIN),
        "signed-by-another": _signed(encoded, issuer="ts1"),
    }
    for case, tampered in unsigned.items():
        yield _vector(case, tampered, ErrorCode.LICENSE_TAMPERED, signature_is_good=False)
    # One token has one encoding: these say the same, and count for nothing.
    wide = b"\xc5" + len(encoded).to_bytes(2, "big") + encoded
    otherwise = {
        "wider-length": b"\x92" + wide + _encoder.encode(signature),
        "wider-array": b"\xdc\x00\x02" + token[1:],
        "byte-too-many": token + b"\xc0",
        "cut": token[:-1],
        "text": b"\x92" + _encoder.encode("claims") + _encoder.encode(signature),
        "empty": b"",
        "too-long": _signed(encoded + bytes(limits.TOKEN_BYTES)),
    }
    for case, tampered in otherwise.items():
        yield _vector(case, tampered, ErrorCode.LICENSE_TAMPERED)


def device_proof_vectors() -> Vector:
    return {
        "signed": "the domain, the nonce, the SHA-256 of the server's certificate",
        "domain": identity.DEVICE_PROOF_DOMAIN,
        "seed": DEVICE_SEED,
        "public_key": DEVICE.public_key,
        "device_id": DEVICE.device_id,
        "vectors": list(_device_proofs()),
    }


def _device_proofs() -> Iterator[Vector]:
    nonce, server, plain = bytes(range(32)), hashlib.sha256(b"certificate").digest(), bytes(32)
    key = Certified("tsfarm://another-device").key
    signature = DEVICE.prove(nonce, server)
    signatures = {
        "good": (signature, server),
        "plain-connection": (DEVICE.prove(nonce, plain), plain),
        "other-nonce": (DEVICE.prove(nonce[::-1], server), server),
        "other-server": (signature, plain),
        "other-key": (key.sign(identity.device_proof(nonce, server)), server),
        "changed": (signature[:-1] + bytes([signature[-1] ^ 1]), server),
        "empty": (bytes(64), server),
    }
    for case, (shown, certificate) in signatures.items():
        good = case in ("good", "plain-connection")
        yield {
            "id": f"device-proof/{case}",
            "code": (ErrorCode.NORMAL if good else ErrorCode.DEVICE_PROOF_INVALID).name,
            "nonce": nonce,
            "server_certificate": certificate,
            "signature": shown,
        }
