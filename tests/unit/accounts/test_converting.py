from __future__ import annotations

from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret

from daemons.accounts.converting import convert
from daemons.accounts.file import AccountsError, read
from daemons.accounts.keys import converted
from tsproto.account import Account

LEAST = {"time_cost": 2, "memory_cost": 19 * 1024, "parallelism": 1, "hash_len": 32}
HASH = hash_secret(b"secret", bytes(16), type=Type.ID, **LEAST).decode()
CHEAP = hash_secret(b"secret", bytes(16), 1, 8, 1, 32, Type.ID).decode()


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    path.chmod(0o600)


def test_every_account_is_converted_with_its_system_user(path: Path) -> None:
    write(path, "# people", "", f"user1:{HASH}:ada", f"Zoe\u0308 B.:{HASH}:")
    assert convert(path, "lab", 7) == 2
    assert list(read(path).accounts.values()) == [
        Account(
            name=name,
            generation=7,
            system_user=system_user,
            password=converted("lab", name, HASH, 7),
        )
        for name, system_user in (("user1", "ada"), ("Zo\u00eb B.", ""))
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_of_the_old_file_is_left_beside_it(path: Path) -> None:
    write(path, f"user1:{HASH}:ada")
    convert(path, "lab", 7)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert HASH not in path.read_text()


def test_a_converted_file_is_left_alone(path: Path) -> None:
    write(path, f"user1:{HASH}:ada")
    convert(path, "lab", 7)
    before = path.read_bytes()
    assert convert(path, "lab", 8) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("user2", "line 2: expected `name:argon2id-hash:system_user`"),
        ("user2:plain:ada", "line 2: the second field cannot be converted: it is no argon2 hash"),
        (f"user2:{CHEAP}:ada", "line 2: the hash of 'user2' has a cost that no client accepts"),
        (f":{HASH}:ada", "line 2: '' is no user name"),
        (f"user1:{HASH}:bob", "line 2: 'user1' stands there twice"),
    ],
)
def test_a_line_that_cannot_be_converted_is_named_and_changes_nothing(
    path: Path, line: str, says: str
) -> None:
    write(path, f"user1:{HASH}:ada", line)
    before = path.read_bytes()
    with pytest.raises(AccountsError) as refused:
        convert(path, "lab", 7)
    assert str(refused.value).startswith(f"{path}, {says}")
    assert path.read_bytes() == before


def test_a_cheap_hash_is_refused_with_the_next_step(path: Path) -> None:
    write(path, f"user1:{CHEAP}:ada")
    with pytest.raises(AccountsError, match=r"memory 8 .*19456.*delete the line.*tsfarm user add"):
        convert(path, "lab", 7)


def test_the_farms_name_is_needed(path: Path) -> None:
    write(path, f"user1:{HASH}:ada")
    with pytest.raises(AccountsError, match="--farm NAME"):
        convert(path, "", 7)
