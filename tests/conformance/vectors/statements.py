"""Vectors of statements about accounts: the bytes signed, and whose signature counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.conformance.vectors.deny_lists import SIGNERS
from tests.conformance.vectors.tokens import FARM, NOW
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.statements import ACCOUNT_DOMAIN, MICROSECONDS, PASSWORD_DOMAIN
from tsproto.user_proof import prefixed

Vector = dict[str, Any]

USER = "zo\u00eb"
GENERATION = NOW * MICROSECONDS
AHEAD = GENERATION + limits.GENERATION_AHEAD_SECONDS * MICROSECONDS
PRESENT_SEED, NEW_SEED, OTHER_SEED = (bytes([number]) * 32 for number in (0x51, 0x52, 0x53))


def _key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


PASSWORD = PasswordKey(
    public_key=_key(PRESENT_SEED).public_key().public_bytes_raw(),
    salt=bytes(range(16)),
    memory_kib=limits.ARGON2_MEMORY_KIB,
    passes=limits.ARGON2_PASSES,
    lanes=1,
    given=GENERATION - 2,
)
KNOWN = Account(name=USER, generation=GENERATION - 2, system_user="zoe", password=PASSWORD)
NEW: Vector = {
    "generation": GENERATION,
    "public_key": _key(NEW_SEED).public_key().public_bytes_raw(),
    "salt": bytes(range(16, 32)),
    "memory_kib": limits.ARGON2_MEMORY_KIB_MIN,
    "passes": limits.ARGON2_PASSES_MIN,
    "lanes": 1,
}


def statement_vectors() -> Vector:
    return {
        "farm": FARM,
        "now": NOW,
        "known": msgspec.json.encode(KNOWN).decode(),
        "present_seed": PRESENT_SEED,
        "new_seed": NEW_SEED,
        "signers": {
            name: {"seed": one.seed, "public_key": one.public_key, "certificate": one.der}
            for name, one in SIGNERS.items()
        },
        "account_domain": ACCOUNT_DOMAIN,
        "accounts": [*_accounts()],
        "password_domain": PASSWORD_DOMAIN,
        "passwords": [*_passwords()],
    }


def _accounts() -> Iterator[Vector]:
    later = msgspec.structs.replace(KNOWN, generation=GENERATION, disabled=True)
    yield _account("disabled", later)
    yield _account("without-password", msgspec.structs.replace(later, password=None))
    yield _account("removed", Account(name=USER, generation=GENERATION, removed=True))
    yield _account("unknown-user", Account(name="new", generation=GENERATION))
    yield _account("unknown-member", '{"name":"new","generation":1,"later":[{}]}')
    yield _account("older", msgspec.structs.replace(KNOWN, generation=GENERATION - 3))
    yield _account("newest", msgspec.structs.replace(later, generation=AHEAD))
    refused = ErrorCode.NOT_PERMITTED
    yield _account("ahead", msgspec.structs.replace(later, generation=AHEAD + 1), refused)
    for by in ("operator", "ended", "foreign", "server"):
        yield _account(f"by-{by}", later, refused, by=by)
    yield _account("key-of-another", later, refused, by="operator", shown="admin")
    yield _account("other-farm", later, refused, farm="elsewhere")
    yield _account("without-domain", later, refused, domain=b"")
    yield _account("no-json", "{", refused)
    yield _account("no-name", '{"generation":1}', refused)
    yield _account("control-character", '{"name":"a\\u0000","generation":1}', refused)


def _account(
    case: str,
    account: Account | str,
    code: ErrorCode = ErrorCode.NORMAL,
    *,
    by: str = "admin",
    shown: str = "",
    farm: str = FARM,
    domain: bytes = ACCOUNT_DOMAIN,
) -> Vector:
    text = account if isinstance(account, str) else msgspec.json.encode(account).decode()
    signed = domain + prefixed(farm.encode(), text.encode())
    return {
        "id": f"account-statement/{case}",
        "code": code.name,
        "account": text,
        "signer": SIGNERS[shown or by].der,
        "signature": SIGNERS[by].key.sign(signed),
    }


def _passwords() -> Iterator[Vector]:
    failed, refused = ErrorCode.LOGON_FAILED, ErrorCode.NOT_PERMITTED
    yield _password("changed")
    yield _password("newest", generation=AHEAD)
    yield _password("ahead", refused, generation=AHEAD + 1)
    yield _password("clock-behind", refused, generation=GENERATION - 2)
    yield _password("least-memory-and-one-less", refused, memory_kib=NEW["memory_kib"] - 1)
    yield _password("too-many-lanes", refused, lanes=limits.ARGON2_LANES_MAX + 1)
    yield _password("wrong-password", failed, seed=OTHER_SEED)
    yield _password("unknown-user", failed, user_name="nobody")
    yield _password("other-farm", failed, farm="elsewhere")
    yield _password("without-domain", failed, domain=b"")
    for field, value in (("generation", GENERATION + 1), ("salt", bytes(16)), ("passes", 3)):
        yield {**_password(f"other-{field}", failed), field: value}


def _password(
    case: str,
    code: ErrorCode = ErrorCode.NORMAL,
    *,
    user_name: str = USER,
    seed: bytes = PRESENT_SEED,
    farm: str = FARM,
    domain: bytes = PASSWORD_DOMAIN,
    **changes: int,
) -> Vector:
    fields = NEW | changes
    numbers = (fields[name].to_bytes(8, "big") for name in ("memory_kib", "passes", "lanes"))
    signed = domain + prefixed(
        farm.encode(),
        user_name.encode(),
        fields["generation"].to_bytes(8, "big"),
        fields["public_key"],
        fields["salt"],
        *numbers,
    )
    return {
        "id": f"password-statement/{case}",
        "code": code.name,
        "user_name": user_name,
        **fields,
        "signed": signed,
        "signature": _key(seed).sign(signed),
    }
