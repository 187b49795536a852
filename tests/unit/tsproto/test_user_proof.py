"""What a user signs, with which key, and which costs are refused. Whole values stand in the test
vectors."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.tsproto.users import KEY, STATEMENT
from tsproto import limits
from tsproto.user_proof import (
    Asked,
    Cost,
    CostRefused,
    Method,
    Methods,
    is_signed,
    key_of_tag,
    normal,
    prefixed,
    salt_of_nobody,
)

COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"
PUBLIC_KEY = KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "changes",
    [
        {"farm": "another"},
        {"server": "ts2"},
        {"certificate": b"\x01" * 32},
        {"nonce": b"\x01" * 32},
        {"time": 1},
        {"device_id": b"\x01" * 32},
        {"user_name": "user2"},
        {"method": Method.SSH_KEY},
        {"methods": Methods.PASSWORD},
        {"salt": bytes(16)},
        {"cost": Cost(memory_kib=32 * 1024)},
        {"cost": Cost(passes=4)},
        {"cost": Cost(lanes=2)},
        {"asked": Asked(application="editor")},
        {"asked": Asked(command="ls")},
        {"asked": Asked(session_id=1)},
        {"asked": Asked(attachment=1)},
    ],
    ids=str,
)
def test_every_value_is_signed(changes: dict[str, Any]) -> None:
    signature = KEY.sign(STATEMENT.signed_bytes())
    assert is_signed(PUBLIC_KEY, STATEMENT, signature)
    assert not is_signed(PUBLIC_KEY, replace(STATEMENT, **changes), signature)


def test_no_value_runs_into_the_next() -> None:
    one = replace(STATEMENT, farm="ab", server="c").signed_bytes()
    assert one != replace(STATEMENT, farm="a", server="bc").signed_bytes()
    asked = replace(STATEMENT, asked=Asked(application="ab")).signed_bytes()
    assert asked != replace(STATEMENT, asked=Asked(application="a", command="b")).signed_bytes()


def test_a_name_is_signed_in_one_form() -> None:
    assert normal(DECOMPOSED) == COMPOSED
    signed = [replace(STATEMENT, user_name=name).signed_bytes() for name in (COMPOSED, DECOMPOSED)]
    assert signed[0] == signed[1]


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)], ids=len)
def test_what_is_no_signature_is_none(signature: bytes) -> None:
    assert not is_signed(PUBLIC_KEY, STATEMENT, signature)


def test_bytes_that_are_no_public_key_have_signed_nothing() -> None:
    assert not is_signed(b"", STATEMENT, KEY.sign(STATEMENT.signed_bytes()))


def test_a_part_stands_after_its_length() -> None:
    assert prefixed(b"ab", b"") == b"\0\0\0\x02ab\0\0\0\0"


# --- a password's key -----------------------------------------------------------------------------


def test_the_key_is_of_one_farm_and_user() -> None:
    keys = {
        key_of_tag(farm, user, tag).private_bytes_raw()
        for farm in ("lab", "other")
        for user in ("user1", "user2")
        for tag in (bytes(32), b"\x01" * 32)
    }
    assert len(keys) == 8
    same = [key_of_tag("lab", name, b"").private_bytes_raw() for name in (COMPOSED, DECOMPOSED)]
    assert same[0] == same[1]


def test_the_salt_of_an_unknown_name_is_the_farms_own() -> None:
    salt = salt_of_nobody(b"secret", "nobody")
    assert salt == salt_of_nobody(b"secret", "nobody")
    assert len(salt) == limits.SALT_BYTES
    others = {salt_of_nobody(b"secret", "nobody2"), salt_of_nobody(b"another", "nobody")}
    assert len(others | {salt}) == 3
    assert salt_of_nobody(b"secret", COMPOSED) == salt_of_nobody(b"secret", DECOMPOSED)


LEAST = Cost(limits.ARGON2_MEMORY_KIB_MIN, limits.ARGON2_PASSES_MIN, 1)
MOST = Cost(limits.ARGON2_MEMORY_KIB_MAX, limits.ARGON2_PASSES_MAX, limits.ARGON2_LANES_MAX)


@pytest.mark.parametrize("cost", [LEAST, MOST, Cost()], ids=["least", "most", "default"])
def test_costs_at_their_bounds_are_taken(cost: Cost) -> None:
    cost.check()


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (replace(LEAST, memory_kib=19_455), "memory 19455 to hash the password with, allowed"),
        (replace(MOST, memory_kib=1_048_577), "memory 1048577 to hash the password with, allowed"),
        (replace(LEAST, passes=1), "passes 1 to hash the password with, allowed are 2 to 16"),
        (replace(MOST, passes=17), "passes 17 to hash the password with, allowed are 2 to 16"),
        (replace(LEAST, lanes=0), "lanes 0 to hash the password with, allowed are 1 to 4"),
        (replace(MOST, lanes=5), "lanes 5 to hash the password with, allowed are 1 to 4"),
    ],
)
def test_a_cost_out_of_bounds_is_refused(cost: Cost, said: str) -> None:
    with pytest.raises(CostRefused, match=said):
        cost.check()
