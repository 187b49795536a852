from __future__ import annotations

import os
from pathlib import Path

import argon2
import pytest
from structlog.testing import capture_logs

from daemons import events
from daemons.accounts import Accounts, AccountsError, add, add_synthetic, read_accounts
from daemons.effects import Verified
from tsproto import limits

QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = QUICK.hash("secret")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(argon2, "PasswordHasher", lambda: QUICK)
    return tmp_path / "accounts"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """As an editor does: a new file in the place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.rename(path)


async def test_the_right_password_gives_the_system_user(path: Path) -> None:
    write(path, f"# people\n\nuser1:{HASH}:ada\n")
    known = Accounts(path)
    assert await known.verify("user1", b"secret") == Verified(True, "ada")
    known.close()


async def test_a_wrong_password_and_an_unknown_user_are_alike(path: Path) -> None:
    write(path, f"user1:{HASH}:ada\n")
    known = Accounts(path)
    assert await known.verify("user1", b"wrong") == Verified(False)
    assert await known.verify("user2", b"secret") == Verified(False)
    known.close()


async def test_an_unknown_user_costs_a_whole_check(path: Path) -> None:
    checked: list[str] = []

    def refuse(password_hash: str, password: bytes) -> bool:
        checked.append(password_hash)
        return False

    write(path, f"user1:{HASH}:ada\n")
    known = Accounts(path, matches=refuse)
    await known.verify("user2", b"secret")
    known.close()
    (nobodys,) = checked
    assert nobodys != HASH
    assert argon2.extract_parameters(nobodys) == argon2.extract_parameters(HASH)


async def test_looking_up_needs_no_password(path: Path) -> None:
    write(path, f"user1:{HASH}:ada\n")
    known = Accounts(path)
    assert await known.look_up("user1") == Verified(True, "ada")
    assert await known.look_up("user2") == Verified(False)
    known.close()


async def test_a_changed_file_counts_at_once(path: Path) -> None:
    write(path, f"user1:{HASH}:ada\n")
    known = Accounts(path)
    known.check()
    write(path, f"user2:{HASH}:bob\n")
    assert await known.look_up("user1") == Verified(False)
    assert await known.look_up("user2") == Verified(True, "bob")
    known.close()


async def test_a_file_that_breaks_later_locks_nobody_out(path: Path) -> None:
    write(path, f"user1:{HASH}:ada\n")
    known = Accounts(path)
    known.check()
    write(path, "user1\n")
    with capture_logs() as logged:
        assert await known.look_up("user1") == Verified(True, "ada")
    [line] = logged
    assert line["event"] == events.AccountsUnreadable(
        detail=f"{path}, line 1: expected `name:argon2id-hash:system_user`"
    )
    known.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user1\n", "line 1: expected"),
        (f"# comment\nuser1:{HASH}\n", "line 2: expected"),
        ("user1:plain:ada\n", "line 1: the second field is no argon2 hash"),
        (f"user1:{HASH.replace('argon2id', 'argon2i')}:ada\n", "no argon2id hash"),
        (f":{HASH}:ada\n", "line 1: '' is no user name"),
        (f"user1:{HASH}:ada\nuser1:{HASH}:bob\n", "line 2: 'user1' stands there twice"),
    ],
)
def test_a_wrong_line_is_named(path: Path, text: str, says: str) -> None:
    write(path, text)
    with pytest.raises(AccountsError, match=f"{path}, {says}" if "line" in says else says):
        read_accounts(path)


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    write(path, "", mode=0o640)
    with pytest.raises(AccountsError, match="its mode is 0640"):
        read_accounts(path)


def test_a_missing_file_says_what_makes_it(path: Path) -> None:
    with pytest.raises(AccountsError, match="tsfarm user add"):
        Accounts(path).check()


def test_adding_makes_the_file_for_its_owner_alone(path: Path) -> None:
    add(path, "user1", "secret", "ada")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert read_accounts(path)["user1"].system_user == "ada"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_an_added_user_can_log_on(path: Path) -> None:
    add(path, "Zoë B.", "secret", "")
    known = Accounts(path)
    assert await known.verify("Zoë B.", b"secret") == Verified(True, "")
    known.close()


def test_adding_keeps_the_comments_and_the_others(path: Path) -> None:
    write(path, f"# people\nuser1:{HASH}:ada\n")
    add(path, "user2", "secret", "bob")
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# people", f"user1:{HASH}:ada"]
    assert list(read_accounts(path)) == ["user1", "user2"]


def test_a_known_user_is_replaced_only_when_asked(path: Path) -> None:
    write(path, f"user1:{HASH}:ada\nuser2:{HASH}:bob\n")
    with pytest.raises(AccountsError, match="'user1' is there already"):
        add(path, "user1", "other", "carol")
    add(path, "user1", "other", "carol", replace=True)
    assert list(read_accounts(path)) == ["user1", "user2"]
    assert read_accounts(path)["user1"].system_user == "carol"


async def test_synthetic_users_share_a_password_that_costs_next_to_nothing(path: Path) -> None:
    write(path, f"# people\nuser1:{HASH}:ada\nload1:{HASH}:old\n")
    add_synthetic(path, [f"load{number}" for number in range(1, 10_001)], "shared", "bob")
    accounts = read_accounts(path)
    assert len(accounts) == 10_001
    [password_hash] = {accounts[f"load{number}"].password_hash for number in (1, 2, 10_000)}
    cost = argon2.extract_parameters(password_hash)
    assert (cost.memory_cost, cost.time_cost, cost.parallelism) == (8, 1, 1)
    assert accounts["user1"].system_user == "ada"
    known = Accounts(path)
    assert await known.verify("load10000", b"shared") == Verified(True, "bob")
    assert await known.verify("load1", b"secret") == Verified(False)
    known.close()


def test_a_password_is_hashed_at_the_usual_cost(tmp_path: Path) -> None:
    usual = argon2.PasswordHasher()
    add(tmp_path / "accounts", "user1", "secret", "ada")
    cost = argon2.extract_parameters(read_accounts(tmp_path / "accounts")["user1"].password_hash)
    assert (cost.memory_cost, cost.time_cost) == (usual.memory_cost, usual.time_cost)


@pytest.mark.parametrize("name", ["", "#x", "a:b", " a", "a\n", "a\x7f", "x" * 105])
def test_a_name_that_cannot_be_is_refused(path: Path, name: str) -> None:
    with pytest.raises(AccountsError):
        add(path, name, "secret", "ada")
    assert not path.exists()


def test_the_longest_name_is_taken(path: Path) -> None:
    add(path, "x" * 104, "secret", "ada")
    assert list(read_accounts(path)) == ["x" * 104]


def test_a_system_user_that_would_break_the_line_is_refused(path: Path) -> None:
    with pytest.raises(AccountsError, match="no system user"):
        add(path, "user1", "secret", "ada:x")


@pytest.mark.parametrize("password", ["", "x" * (limits.PASSWORD_BYTES + 1), "ä" * 513])
def test_a_password_that_no_client_can_send_is_refused(path: Path, password: str) -> None:
    with pytest.raises(AccountsError, match="^a password must have 1 to 1024 bytes$"):
        add(path, "user1", password, "")
    assert not path.exists()


def test_a_missing_folder_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    with pytest.raises(AccountsError, match=f"^no folder {folder}: make it$"):
        add(folder / "accounts", "user1", "secret", "")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_system_has_no_number(tmp_path: Path) -> None:
    (tmp_path / "accounts").mkdir()
    with pytest.raises(AccountsError, match="accounts: Is a directory$"):
        read_accounts(tmp_path / "accounts")
