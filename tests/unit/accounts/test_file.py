from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from daemons.accounts.file import (
    Accounts,
    AccountsError,
    EarlierVersion,
    change,
    read,
)
from tests.unit.tsproto.test_statements import DER, NOW, USER, certified, changes, password
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.statements import Standing, StatementRefused, account_statement

FARM = "lab"
HEADER = {"accounts_of_farm": FARM, "version": 2, "secret": base64.b64encode(bytes(32)).decode()}
USER1 = Account(name="user1", generation=5, system_user="ada")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINay/bMtnuRZPik5sM8cHM+DbvSVmpveSoPFHhOuMK13"


def write(path: Path, *rows: dict[str, Any] | str, mode: int = 0o600) -> None:
    """As an editor does: a new file in the place of the old one."""
    fresh = path.with_suffix(".new")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    fresh.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    fresh.chmod(mode)
    fresh.rename(path)


def put(path: Path, *accounts: Account, farm: str = FARM) -> None:
    change(path, farm, lambda _: accounts)


def opened(path: Path, faults: list[str] | None = None) -> Accounts:
    noted: list[str] = [] if faults is None else faults
    return Accounts(path, FARM, noted.append)


def test_an_account_is_found_as_it_was_put(path: Path) -> None:
    put(path, USER1)
    assert opened(path).find("user1") == USER1
    assert opened(path).find("user2") is None


def test_a_removed_account_is_none(path: Path) -> None:
    put(path, Account(name="user1", generation=5, removed=True))
    assert opened(path).find("user1") is None
    assert read(path).accounts["user1"].removed


def test_an_account_is_one_line_that_a_person_can_read(path: Path) -> None:
    put(path, USER1)
    assert path.read_text().splitlines()[1:] == [
        '{"name":"user1","generation":5,"system_user":"ada"}'
    ]


def test_a_change_keeps_the_other_accounts_and_the_secret(path: Path) -> None:
    put(path, USER1)
    secret = opened(path).secret
    put(path, Account(name="user2", generation=6))
    assert list(read(path).accounts) == ["user1", "user2"]
    assert opened(path).secret == secret
    assert len(secret) == 32


def test_two_new_files_have_two_secrets(path: Path, tmp_path: Path) -> None:
    put(path, USER1)
    put(tmp_path / "other", USER1)
    assert read(path).header.secret != read(tmp_path / "other").header.secret


def test_a_changed_file_counts_at_once(path: Path) -> None:
    put(path, USER1)
    known = opened(path)
    assert known.find("user1") == USER1
    write(path, HEADER, {"name": "user2", "generation": 1})
    assert known.find("user1") is None
    assert known.find("user2") == Account(name="user2", generation=1)


def test_a_file_that_breaks_later_locks_nobody_out(path: Path) -> None:
    put(path, USER1)
    faults: list[str] = []
    known = opened(path, faults)
    write(path, HEADER, "user2")
    assert known.find("user1") == USER1
    assert known.find("user1") == USER1
    [fault] = faults
    assert fault.startswith(f"{path}, line 2: expected an account in JSON")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([HEADER, "{"], "line 2: expected an account in JSON"),
        ([HEADER, "", "[]"], "line 3: : expected a table, found []"),
        ([HEADER, {"generation": 1}], "line 2: name: missing"),
        ([HEADER, {"name": "", "generation": 1}], "line 2: '' is no user name"),
        ([HEADER, {"name": " a", "generation": 1}], "line 2: ' a' is no user name"),
        ([HEADER, {"name": "a\u0308", "generation": 1}], "must be in Unicode's form NFC"),
        ([HEADER, {"name": "a\x7f", "generation": 1}], "line 2: name: expected text"),
        ([HEADER, {"name": "a" * 105, "generation": 1}], "of 0 to 104 characters"),
        ([HEADER, {"name": "a", "generation": 2**53 + 1}], "generation: expected a whole number"),
        ([HEADER, {"name": "a", "generation": 1, "system_user": "b:c"}], "system_user: expected"),
        ([HEADER, *[{"name": "a", "generation": 1}] * 2], "line 3: 'a' stands there twice"),
        ([HEADER, {"name": "a", "generation": 1, "ssh_keys": ["x y"]}], "is no SSH public key"),
        (
            [HEADER, {"name": "a", "generation": 1, "ssh_keys": [KEY, KEY]}],
            "key stands there twice",
        ),
        ([{**HEADER, "version": 3}], "line 1: version: expected one of 2, found 3"),
        ([{**HEADER, "accounts_of_farm": "a b"}], "line 1: accounts_of_farm: expected text"),
    ],
)
def test_a_wrong_line_is_named(path: Path, rows: list[dict[str, Any] | str], says: str) -> None:
    write(path, *rows)
    with pytest.raises(AccountsError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, line ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ({"memory_kib": limits.ARGON2_MEMORY_KIB_MIN - 1}, "memory 19455"),
        ({"memory_kib": limits.ARGON2_MEMORY_KIB_MAX + 1}, "memory 1048577"),
        ({"passes": 1}, "passes 1"),
        ({"lanes": 5}, "lanes 5"),
    ],
)
def test_a_password_at_a_cost_that_no_client_takes_is_refused(
    path: Path, cost: dict[str, int], says: str
) -> None:
    usual = {"memory_kib": limits.ARGON2_MEMORY_KIB, "passes": 3, "lanes": 1}
    key = PasswordKey(public_key=bytes(32), salt=bytes(16), **(usual | cost))
    with pytest.raises(AccountsError, match=says):
        put(path, Account(name="user1", generation=1, password=key))
    assert not path.exists()


def test_an_account_that_no_statement_can_carry_is_refused(path: Path) -> None:
    names = tuple(f"application-{number:04}" for number in range(1_000))
    with pytest.raises(AccountsError, match=r"^user1: the account takes \d+ bytes, at most 16384"):
        put(path, Account(name="user1", generation=1, applications=names))


def test_a_fault_of_one_account_changes_nothing(path: Path) -> None:
    put(path, USER1)
    before = path.read_bytes()
    with pytest.raises(AccountsError, match="system_user: expected text"):
        put(
            path,
            Account(name="user2", generation=1),
            Account(name="a", generation=1, system_user=":"),
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_or_change_is_refused(path: Path, mode: int) -> None:
    write(path, HEADER, mode=mode)
    with pytest.raises(AccountsError, match=f"its mode is {mode:04o}.*chmod 600"):
        read(path)


def test_a_missing_file_says_what_makes_it(path: Path) -> None:
    with pytest.raises(AccountsError, match="`tsfarm user add` makes it"):
        opened(path)


def test_a_file_of_version_1_says_what_converts_it(path: Path) -> None:
    write(path, "# people", "user1:hash:ada")
    with pytest.raises(EarlierVersion, match="`tsfarm user list --accounts .* --farm NAME`"):
        read(path)


def test_a_new_file_is_its_owners_alone_and_leaves_nothing_beside_it(path: Path) -> None:
    put(path, USER1)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_new_file_needs_the_farms_name(path: Path) -> None:
    with pytest.raises(AccountsError, match="give --farm NAME"):
        put(path, USER1, farm="")
    with pytest.raises(AccountsError, match="--farm: accounts_of_farm: expected text"):
        put(path, USER1, farm="a b")
    assert not path.exists()


def test_another_farms_file_is_refused(path: Path) -> None:
    put(path, USER1, farm="other")
    with pytest.raises(AccountsError, match="holds the accounts of farm 'other', not of 'lab'"):
        opened(path)
    with pytest.raises(AccountsError, match="holds the accounts of farm 'other', not of 'lab'"):
        put(path, USER1)


def test_a_missing_folder_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    with pytest.raises(AccountsError, match=f"^no folder {folder}: make it$"):
        put(folder / "accounts", USER1)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_system_has_no_number(tmp_path: Path) -> None:
    with pytest.raises(AccountsError, match=": Is a directory$"):
        read(tmp_path)


# --- statements -----------------------------------------------------------------------------------


def test_a_users_change_is_stored_durably_and_counts_at_once(path: Path) -> None:
    put(path, USER)
    known = opened(path)
    assert known.take(changes(2, 200, by=1), (), NOW) is Standing.NEW
    after = known.find("user1")
    assert after is not None
    assert after.password == password(2, given=100, changed=200)
    assert read(path).accounts["user1"] == after


def test_a_statement_that_is_known_or_overtaken_leaves_the_file_alone(path: Path) -> None:
    put(path, USER)
    known = opened(path)
    first, second = changes(2, 200, by=1), changes(3, 300, by=2)
    known.take(first, (), NOW)
    known.take(second, (), NOW)
    before = path.stat()
    assert known.take(second, (), NOW) is Standing.KNOWN
    assert known.take(first, (), NOW) is Standing.OVERTAKEN
    assert path.stat() == before


def test_a_forged_change_leaves_the_file_alone(path: Path) -> None:
    put(path, USER)
    before = path.stat()
    with pytest.raises(StatementRefused) as refused:
        opened(path).take(changes(2, 200, by=9), (), NOW)
    assert refused.value.code is ErrorCode.LOGON_FAILED
    assert path.stat() == before


def test_an_administrators_statement_is_stored_for_the_farms_authority_alone(path: Path) -> None:
    put(path, USER1)
    known = opened(path)
    statement = account_statement(FARM, USER, *certified())
    with pytest.raises(StatementRefused):
        known.take(statement, (), NOW)
    assert known.take(statement, (DER,), NOW) is Standing.NEW
    assert known.find("user1") == USER


def test_a_statement_is_judged_by_the_file_as_it_is_now(path: Path) -> None:
    """Another process has changed it since it was read."""
    put(path, USER)
    known = opened(path)
    put(path, replace(USER, generation=150, disabled=True))
    known.take(changes(2, 200, by=1), (), NOW)
    after = known.find("user1")
    assert after is not None
    assert (after.disabled, after.stated, after.generation) == (True, 150, 200)


def test_a_stated_account_that_cannot_be_is_refused_and_not_stored(path: Path) -> None:
    put(path, USER)
    before = path.stat()
    wrong = account_statement(FARM, Account(name=" a", generation=1), *certified())
    with pytest.raises(AccountsError, match="is no user name"):
        opened(path).take(wrong, (DER,), NOW)
    assert path.stat() == before
