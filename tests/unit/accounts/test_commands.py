from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest

from daemons.accounts.commands import (
    Add,
    Disable,
    Enable,
    Export,
    Keys,
    List,
    Passwd,
    Remove,
    Row,
    perform,
)
from daemons.accounts.file import AccountsError, read
from tests.unit.accounts.test_converting import HASH
from tests.unit.accounts.test_file import KEY
from tsproto.account import Account

FINGERPRINT = "SHA256:pnf8dgLTmNH1k/dsc2BiazBUVPx4LlEkkg+mEWnpshk"
ME = getpass.getuser()

pytestmark = pytest.mark.usefixtures("quick")


def add(path: Path, name: str = "user1", *, at: int = 1, **given: Any) -> list[Row]:
    return perform(Add(accounts=str(path), farm="lab", name=name, **given), at).rows


def account(path: Path, name: str = "user1") -> Account:
    return read(path).accounts[name]


def test_a_user_is_added_and_shown(path: Path) -> None:
    [row] = add(path, at=5_000_000, password=b"secret", system_user=ME)
    assert row == {
        "user_name": "user1",
        "system_user": ME,
        "state": "enabled",
        "password": True,
        "ssh_keys": 0,
        "pam": False,
        "applications": ["*"],
        "servers": ["*"],
        "changed_at": 5,
    }
    password = account(path).password
    assert password is not None
    assert password.age == (5_000_000, 0)


def test_a_known_user_is_added_only_to_replace(path: Path) -> None:
    add(path, password=b"secret")
    before = path.read_bytes()
    with pytest.raises(AccountsError, match="'user1' is there already"):
        add(path, password=b"other")
    assert path.read_bytes() == before
    with pytest.raises(AccountsError, match="there is no user 'user2' to replace"):
        add(path, "user2", password=b"other", change_known=True)


def test_replacing_changes_only_what_is_given(path: Path) -> None:
    full: dict[str, Any] = {"system_user": ME, "ssh_keys": (KEY,), "pam": True, "servers": ("ts1",)}
    add(path, password=b"secret", applications=("", "editor"), **full)
    before = account(path)
    add(path, at=2, password=b"other", change_known=True)
    changed = account(path)
    assert changed.password != before.password
    assert changed == Account(
        name="user1",
        generation=2,
        password=changed.password,
        applications=("", "editor"),
        **full,
    )
    add(path, at=3, servers=("ts2",), pam=False, change_known=True)
    after = account(path)
    assert (after.password, after.system_user, after.ssh_keys) == (changed.password, ME, (KEY,))
    assert (after.servers, after.pam, after.applications) == (("ts2",), False, ("", "editor"))


def test_a_star_allows_all_again(path: Path) -> None:
    add(path, applications=("editor",), servers=("ts1",))
    [row] = add(path, applications=("*",), servers=("*",), change_known=True)
    assert (row["applications"], row["servers"]) == (["*"], ["*"])
    assert account(path).applications is None


def test_a_generation_grows_also_when_the_clock_does_not(path: Path) -> None:
    add(path, at=100)
    perform(Disable(accounts=str(path), name="user1"), 50)
    assert account(path).generation == 101


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"password": b""}, "^a password must have 1 to 1024 bytes$"),
        ({"system_user": "nobody-of-this-name"}, "no system user 'nobody-of-this-name': make it"),
        ({"system_user": "a\0b"}, "no system user"),
        ({"servers": ("a b",)}, "servers.0.: expected"),
        ({"ssh_keys": ("ssh-dss AAAA",)}, "user1: 'ssh-dss AAAA'… is no SSH public key"),
    ],
)
def test_a_wrong_value_is_refused_and_no_file_made(
    path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(AccountsError, match=says):
        add(path, **given)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\x7f", "x" * 105])
def test_a_name_that_cannot_be_is_refused(path: Path, name: str) -> None:
    with pytest.raises(AccountsError):
        add(path, name)
    assert not path.exists()


def test_a_name_is_kept_and_found_in_nfc(path: Path) -> None:
    add(path, "Zoe\u0308")
    assert list(read(path).accounts) == ["Zo\u00eb"]
    perform(Disable(accounts=str(path), name="Zoe\u0308"))
    assert account(path, "Zo\u00eb").disabled


def test_a_new_password_changes_nothing_else(path: Path) -> None:
    add(path, password=b"secret", system_user=ME, ssh_keys=(KEY,))
    before = account(path)
    perform(Passwd(accounts=str(path), name="user1", password=b"other"), 9)
    after = account(path)
    assert after.password is not None
    assert after.password != before.password
    assert after.password.age == (9, 0)
    assert (after.generation, after.system_user, after.ssh_keys) == (9, ME, (KEY,))


def test_a_disabled_user_keeps_everything_and_is_enabled_again(path: Path) -> None:
    add(path, password=b"secret", system_user=ME)
    before = account(path)
    [row] = perform(Disable(accounts=str(path), name="user1"), 2).rows
    assert row["state"] == "disabled"
    assert account(path).disabled
    [row] = perform(Enable(accounts=str(path), name="user1"), 3).rows
    assert row["state"] == "enabled"
    assert (account(path).password, account(path).system_user) == (before.password, ME)


def test_a_removed_user_is_gone_but_for_the_name(path: Path) -> None:
    add(path, password=b"secret", system_user=ME)
    add(path, "user2")
    [row] = perform(Remove(accounts=str(path), name="user1"), 7).rows
    assert row["state"] == "removed"
    assert account(path) == Account(name="user1", generation=7, removed=True)
    rows = perform(List(accounts=str(path))).rows
    assert [row["user_name"] for row in rows] == ["user2"]


def test_a_removed_user_can_be_added_again_without_what_they_had(path: Path) -> None:
    add(path, password=b"secret", system_user=ME, ssh_keys=(KEY,))
    perform(Remove(accounts=str(path), name="user1"), 7)
    add(path, pam=True)
    assert account(path) == Account(name="user1", generation=8, pam=True)


def test_keys_are_added_listed_and_removed(path: Path) -> None:
    add(path)
    asked = Keys(accounts=str(path), name="user1", added=(f" {KEY} me at home ", KEY))
    row = {"kind": "ssh-ed25519", "fingerprint": FINGERPRINT, "comment": "me at home"}
    assert perform(asked, 2).rows == [row]
    assert perform(Keys(accounts=str(path), name="user1"), 3).rows == [row]
    assert account(path).generation == 2
    gone = Keys(accounts=str(path), name="user1", removed=(FINGERPRINT,))
    assert perform(gone, 4).rows == []
    assert account(path) == Account(name="user1", generation=4)


def test_a_key_that_is_not_there_is_not_removed(path: Path) -> None:
    add(path, ssh_keys=(KEY,))
    with pytest.raises(
        AccountsError, match="'user1' has no SSH key SHA256:x: see `tsfarm user keys"
    ):
        perform(Keys(accounts=str(path), name="user1", removed=("SHA256:x",)))
    assert account(path).ssh_keys == (KEY,)


def test_a_line_that_is_no_key_is_refused(path: Path) -> None:
    add(path)
    with pytest.raises(AccountsError, match="is no SSH public key"):
        perform(Keys(accounts=str(path), name="user1", added=("x",)))


@pytest.mark.parametrize("kind", [Keys, Disable, Enable, Remove])
def test_a_name_that_is_not_there_is_refused(path: Path, kind: Any) -> None:
    add(path)
    perform(Remove(accounts=str(path), name="user1"))
    for name in ("user1", "user2"):
        with pytest.raises(
            AccountsError, match=f"there is no user '{name}': see `tsfarm user list`"
        ):
            perform(kind(accounts=str(path), name=name))
    with pytest.raises(AccountsError, match="there is no user"):
        perform(Passwd(accounts=str(path), name="user1", password=b"secret"))


def test_the_first_command_converts_an_old_file_and_says_so(path: Path) -> None:
    path.write_text(f"user1:{HASH}:{ME}\n")
    path.chmod(0o600)
    with pytest.raises(AccountsError, match="--farm NAME"):
        perform(List(accounts=str(path)))
    reply = perform(List(accounts=str(path), farm="lab"), 5)
    [note] = reply.notes
    assert note.startswith(f"{path}: converted 1 accounts")
    assert "destroy copies of the old file" in note
    assert [row["system_user"] for row in reply.rows] == [ME]
    assert perform(List(accounts=str(path))).notes == []


def test_another_farms_file_is_refused_unchanged(path: Path) -> None:
    add(path)
    before = path.read_bytes()
    for request in (
        List(accounts=str(path), farm="other"),
        Disable(accounts=str(path), farm="other", name="user1"),
    ):
        with pytest.raises(AccountsError, match="farm 'lab', not of 'other'"):
            perform(request)
    assert path.read_bytes() == before


def test_accounts_are_exported_as_they_are_kept_removed_ones_too(path: Path) -> None:
    add(path)
    add(path, "user2", at=3)
    perform(Remove(accounts=str(path), name="user1"), 2)
    gone = {"name": "user1", "generation": 2, "removed": True}
    reply = perform(Export(accounts=str(path)))
    assert (reply.farm, reply.rows) == ("lab", [gone, {"name": "user2", "generation": 3}])
    assert perform(Export(accounts=str(path), names=("user1",))).rows == [gone]
    with pytest.raises(AccountsError, match="there is no user 'user3'"):
        perform(Export(accounts=str(path), names=("user3",)))
