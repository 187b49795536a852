"""Vectors of endorsements: an authority's signature for the next one of its farm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.vectors.certificates import ENDED, Certified
from tests.conformance.vectors.tokens import NOW
from tsproto.authorities import ENDORSEMENT_DOMAIN, endorse

Vector = dict[str, Any]

NEXT = Certified("tsfarm://lab", which=" next")
OLDER = {
    "older": Certified("tsfarm://lab"),
    "ended": Certified("tsfarm://lab", not_after=ENDED, which=" ended"),
    "other-farm": Certified("tsfarm://elsewhere"),
}


def endorsement_vectors() -> Vector:
    return {
        "signed": "the domain, then the next authority's certificate",
        "domain": ENDORSEMENT_DOMAIN,
        "authority": NEXT.der,
        "now": NOW,
        "vectors": list(_vectors()),
    }


def _vectors() -> Iterator[Vector]:
    for name, older in OLDER.items():
        yield _vector(name, older, endorse(NEXT.der, older.key), counts=name == "older")
    older = OLDER["older"]
    good = endorse(NEXT.der, older.key)
    yield _vector("none", older, b"", is_signed=False)
    yield _vector("of-itself", older, endorse(NEXT.der, NEXT.key), is_signed=False)
    yield _vector("no-domain", older, older.key.sign(NEXT.der), is_signed=False)
    yield _vector("changed", older, good[:-1] + bytes([good[-1] ^ 1]), is_signed=False)


def _vector(
    case: str, by: Certified, endorsement: bytes, *, counts: bool = False, is_signed: bool = True
) -> Vector:
    return {
        "id": f"endorsement/{case}",
        "counts": counts,
        "signature_is_good": is_signed,
        "by": by.der,
        "endorsement": endorsement,
    }
