"""Vectors of deny lists: who may sign what, and what is written as one. Ed25519 signatures are
deterministic, so they are the same in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.conformance.vectors.certificates import ENDED, Certified
from tests.conformance.vectors.tokens import AUTHORITY, FARM, FOREIGN_AUTHORITY, NOW
from tsproto import limits
from tsproto.deny_list import DENY_LIST_DOMAIN, MICROSECONDS, DenyKind, DenyList
from tsproto.errors import ErrorCode

Vector = dict[str, Any]

NUMBER = NOW * MICROSECONDS
ENTRIES = sorted(hashlib.sha256(b"entry %d" % number).digest() for number in range(3))
SIGNERS = {
    "authority": AUTHORITY,
    "admin": Certified(f"tsfarm://{FARM}/administrator/alice/admin", AUTHORITY),
    "operator": Certified(f"tsfarm://{FARM}/administrator/bob/operator", AUTHORITY),
    "ended": Certified(f"tsfarm://{FARM}/administrator/carol/admin", AUTHORITY, ENDED),
    "foreign": Certified(f"tsfarm://{FARM}/administrator/dave/admin", FOREIGN_AUTHORITY),
    "server": Certified(f"tsfarm://{FARM}/terminal-server/ts1", AUTHORITY),
}

_encoder = msgspec.msgpack.Encoder()


def deny_list_vectors() -> Vector:
    return {
        "signed": "the domain, then the list as it stands in the signed one",
        "domain": DENY_LIST_DOMAIN,
        "farm": FARM,
        "held_certificates": _certificates(number=NUMBER - 1),
        "held_devices": _devices(number=NUMBER - 1),
        "now": NOW,
        "signers": {
            name: {"seed": one.seed, "public_key": one.public_key, "certificate": one.der}
            for name, one in SIGNERS.items()
        },
        "list": list(DenyList.__struct_fields__),
        "vectors": [*_good(), *_old_and_ahead(), *_forged(), *_malformed()],
    }


def _content(kind: DenyKind, **changes: Any) -> list[Any]:
    fields = {"version": 1, "farm": FARM, "kind": int(kind), "number": NUMBER, "entries": ENTRIES}
    return [*(fields | changes).values()]


def _signed(
    content: Any, by: str, shown: str | None = None, domain: bytes = DENY_LIST_DOMAIN
) -> bytes:
    encoded = _encoder.encode(content)
    shown = by if shown is None else shown
    signer = b"" if shown == "authority" else SIGNERS[shown].der
    return _encoder.encode((encoded, SIGNERS[by].key.sign(domain + encoded), signer))


def _certificates(**changes: Any) -> bytes:
    return _signed(_content(DenyKind.CERTIFICATES, **changes), "authority")


def _devices(by: str = "admin", **changes: Any) -> bytes:
    return _signed(_content(DenyKind.DEVICES, **changes), by)


def _vector(case: str, signed: bytes, code: ErrorCode = ErrorCode.NORMAL) -> Vector:
    return {"id": f"deny-list/{case}", "code": code.name, "signed": signed}


def _good() -> Iterator[Vector]:
    yield _vector("certificates", _certificates())
    yield _vector("devices", _devices())
    yield _vector("empty", _devices(entries=[]))
    newer = [*_content(DenyKind.DEVICES), "new"]
    yield _vector("more-fields", _signed(newer, "admin"))


def _old_and_ahead() -> Iterator[Vector]:
    ahead = NUMBER + limits.DENY_LIST_AHEAD_SECONDS * MICROSECONDS
    yield _vector("newest", _certificates(number=ahead))
    yield _vector("ahead", _certificates(number=ahead + 1), ErrorCode.DENY_LIST_AHEAD)
    yield _vector("equal", _certificates(number=NUMBER - 1), ErrorCode.DENY_LIST_OLD)
    yield _vector("older", _devices(number=NUMBER - 2), ErrorCode.DENY_LIST_OLD)


def _forged() -> Iterator[Vector]:
    devices, certificates = _content(DenyKind.DEVICES), _content(DenyKind.CERTIFICATES)
    forged = {
        "other-farm": _certificates(farm="elsewhere"),
        "certificates-by-admin": _signed(certificates, "admin"),
        "devices-by-authority": _signed(devices, "authority"),
        "by-operator": _devices("operator"),
        "by-ended": _devices("ended"),
        "by-foreign": _devices("foreign"),
        "by-server": _devices("server"),
        "key-of-another": _signed(devices, "operator", shown="admin"),
        "without-domain": _signed(devices, "admin", domain=b""),
    }
    for case, signed in forged.items():
        yield _vector(case, signed, ErrorCode.DENY_LIST_FORGED)


def _malformed() -> Iterator[Vector]:
    good = _devices()
    malformed = {
        "version-2": _devices(version=2),
        "kind-3": _signed([1, FARM, 3, NUMBER, ENTRIES], "admin"),
        "descending": _devices(entries=ENTRIES[::-1]),
        "twice": _devices(entries=[ENTRIES[0]] * 2),
        "short-entry": _devices(entries=[ENTRIES[0][:-1]]),
        "byte-too-many": good + b"\xc0",
        "wider-array": b"\xdc\x00\x03" + good[1:],
        "cut": good[:-1],
        "nothing": b"",
    }
    for case, signed in malformed.items():
        yield _vector(case, signed, ErrorCode.DENY_LIST_MALFORMED)
