"""`tsfarm user` as an administrator types it: real processes, their output, their exit status."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret

from clients.user_keys import argon2id
from daemons.accounts import Accounts, read
from tests.integration.test_commands import SECONDS, tsfarm
from tsproto.user_proof import key_of_tag


def user(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return tsfarm("user", *words, "--accounts", "accounts", cwd=folder, given=given)


def test_a_user_is_added_and_not_replaced_unasked(tmp_path: Path) -> None:
    done = user(tmp_path, "add", "user1", "--farm", "lab", given=b"first\n")
    assert (done.returncode, done.stderr) == (0, b"")
    [before] = read(tmp_path / "accounts").accounts.values()
    again = user(tmp_path, "add", "user1", given=b"second\n")
    assert (again.returncode, again.stdout) == (1, b"")
    expected = (
        b"tsfarm: accounts: 'user1' is there already: `--replace` changes what is given with it"
    )
    assert again.stderr.strip() == expected
    assert read(tmp_path / "accounts").accounts == {"user1": before}
    assert user(tmp_path, "add", "user1", "--replace", given=b"second\n").returncode == 0
    assert read(tmp_path / "accounts").accounts["user1"].password != before.password


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"\xff\n", b"tsfarm: the password is not UTF-8\n"),
        (b"\n", b"tsfarm: a password must have 1 to 1024 bytes\n"),
    ],
)
def test_a_password_that_cannot_be_is_refused(tmp_path: Path, given: bytes, said: bytes) -> None:
    done = user(tmp_path, "add", "u", "--farm", "lab", given=given)
    assert (done.returncode, done.stderr) == (1, said)
    assert not (tmp_path / "accounts").exists()


def test_a_key_of_ssh_keygen_is_added_and_shown_as_it_shows_it(tmp_path: Path) -> None:
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@home", "-f", "key"]
    subprocess.run(make, cwd=tmp_path, check=True, timeout=SECONDS)
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", "key.pub"], cwd=tmp_path, capture_output=True, timeout=SECONDS
    ).stdout.decode()
    user(tmp_path, "add", "user1", "--no-password", "--farm", "lab")
    public = (tmp_path / "key.pub").read_bytes()
    done = user(tmp_path, "keys", "user1", "--add", "-", "--json", given=public)
    [row] = json.loads(done.stdout)
    assert row == {"kind": "ssh-ed25519", "fingerprint": shown.split()[1], "comment": "me@home"}
    left = user(tmp_path, "keys", "user1", "--remove", row["fingerprint"], "--json")
    assert (left.returncode, json.loads(left.stdout)) == (0, [])


def test_a_converted_file_lets_its_users_log_on_as_before(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    old = hash_secret(b"secret", bytes(16), 2, 19_456, 1, 32, Type.ID)
    path.write_bytes(b"user1:" + old + b":\n")
    path.chmod(0o600)
    done = user(tmp_path, "list", "--farm", "lab", "--json")
    assert done.returncode == 0
    assert b"converted 1 accounts" in done.stderr
    faults: list[str] = []
    found = Accounts(path, "lab", faults.append).find("user1")
    assert found is not None
    assert found.password is not None
    derived = asyncio.run(argon2id(b"secret", bytes(16), found.password.cost))
    key = key_of_tag("lab", "user1", derived)
    assert found.password.public_key == key.public_key().public_bytes_raw()
    assert faults == []


def test_a_list_of_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    done = user(tmp_path, "list")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"accounts: there is no such file; `tsfarm user add` makes it" in done.stderr
