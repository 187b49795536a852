from __future__ import annotations

import pytest
from argon2.low_level import Type, hash_secret, hash_secret_raw

from daemons.accounts import keys
from daemons.accounts.file import AccountsError
from daemons.accounts.keys import converted, password_key, synthetic
from tsproto import limits
from tsproto.user_proof import Cost, key_of_tag


def hashed(password: bytes, salt: bytes = bytes(16), size: int = 32, **other: object) -> str:
    options = {"time_cost": 1, "memory_cost": 8, "parallelism": 1, "type": Type.ID, "version": 19}
    return hash_secret(password, salt, hash_len=size, **(options | other)).decode()  # type: ignore[arg-type]


def public_of(farm: str, name: str, tag: bytes) -> bytes:
    return key_of_tag(farm, name, tag).public_key().public_bytes_raw()


@pytest.mark.usefixtures("quick")
def test_a_new_password_has_the_usual_cost_a_fresh_salt_and_its_generation() -> None:
    one, other = (password_key("lab", "user1", b"secret", 7) for _ in range(2))
    assert one.cost == Cost(memory_kib=64 * 1024, passes=3, lanes=1)
    assert len(one.salt) == 16
    assert one.salt != other.salt
    assert one.age == (7, 0)


def test_a_password_gives_the_key_that_a_client_derives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "Cost", lambda: Cost(memory_kib=16, passes=2, lanes=1))
    made = password_key("lab", "user1", b"secret")
    tag = hash_secret_raw(b"secret", made.salt, 2, 16, 1, 32, Type.ID, version=19)
    assert made.public_key == public_of("lab", "user1", tag)


@pytest.mark.parametrize("password", [b"", b"x" * (limits.PASSWORD_BYTES + 1)])
def test_a_password_that_no_client_can_type_is_refused(password: bytes) -> None:
    with pytest.raises(AccountsError, match="^a password must have 1 to 1024 bytes$"):
        password_key("lab", "user1", password)


def test_a_password_that_is_no_text_is_refused() -> None:
    with pytest.raises(AccountsError, match="^the password is not UTF-8$"):
        password_key("lab", "user1", b"\xff")


def test_a_hash_gives_the_key_of_the_password_exactly() -> None:
    salt = bytes(range(16))
    made = converted("lab", "user1", hashed(b"secret", salt, memory_cost=16, parallelism=2), 7)
    tag = hash_secret_raw(b"secret", salt, 1, 16, 2, 32, Type.ID, version=19)
    assert made.public_key == public_of("lab", "user1", tag)
    assert made.cost == Cost(memory_kib=16, passes=1, lanes=2)
    assert (made.salt, made.age) == (salt, (7, 0))


@pytest.mark.parametrize(
    ("password_hash", "says"),
    [
        ("secret", "no argon2 hash"),
        (hashed(b"secret", type=Type.I), "no argon2id hash of version 19"),
        (hashed(b"secret", version=16), "no argon2id hash of version 19"),
        (hashed(b"secret", salt=bytes(8)), "its salt has 8 bytes and its hash 32"),
        (hashed(b"secret", size=16), "its salt has 16 bytes and its hash 16"),
    ],
)
def test_a_hash_of_another_kind_is_refused(password_hash: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        converted("lab", "user1", password_hash)


def test_synthetic_users_have_keys_of_one_secret() -> None:
    made = synthetic("lab", ["load1", "load2"], bytes(32), "ada", 9)
    assert [(each.name, each.generation, each.system_user) for each in made] == [
        ("load1", 9, "ada"),
        ("load2", 9, "ada"),
    ]
    passwords = [each.password for each in made]
    assert [each and each.public_key for each in passwords] == [
        public_of("lab", name, bytes(32)) for name in ("load1", "load2")
    ]
