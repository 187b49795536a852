from __future__ import annotations

import pytest

from clients import user_keys
from clients.load.processes.assignment import Person
from clients.load.visitors.keys import Keys
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement, is_signed, key_of_tag

CHEAP = Cost(memory_kib=19 * 1024, passes=2)


def statement(user_name: str, salt: bytes = b"s" * 16) -> Statement:
    return Statement(
        farm="lab",
        server="ts1",
        certificate=bytes(32),
        nonce=bytes(32),
        time=9,
        device_id=bytes(32),
        user_name=user_name,
        method=Method.PASSWORD,
        methods=Methods.PASSWORD,
        salt=salt,
        cost=CHEAP,
        asked=Asked(),
    )


async def test_a_synthetic_users_key_comes_from_the_secret() -> None:
    person = Person("load00001", b"x" * 32, is_synthetic=True)
    said = statement(person.name)
    signature = await Keys().of(person).sign_with_password(said, person.password)
    public = key_of_tag("lab", person.name, person.password).public_key().public_bytes_raw()
    assert is_signed(public, said, signature)


async def test_a_password_is_hashed_once_for_each_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[tuple[bytes, bytes]] = []

    async def hash_password(password: bytes, salt: bytes, cost: Cost) -> bytes:
        hashed.append((password, salt))
        return password.ljust(32, b"\0")

    monkeypatch.setattr(user_keys, "argon2id", hash_password)
    keys, person = Keys(), Person("user1", b"secret")
    signatures = [
        await keys.of(person).sign_with_password(statement("user1"), b"secret") for _ in range(2)
    ]
    assert signatures[0] == signatures[1]
    await keys.of(person).sign_with_password(statement("user1", b"t" * 16), b"secret")
    await keys.of(person).sign_with_password(statement("user1"), b"other")
    assert hashed == [(b"secret", b"s" * 16), (b"secret", b"t" * 16), (b"other", b"s" * 16)]
