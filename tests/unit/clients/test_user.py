from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.tables import Row

KEY = "ssh-ed25519 AAAA me"
ROW: Row = {
    "user_name": "user1",
    "system_user": "",
    "state": "enabled",
    "password": True,
    "ssh_keys": 0,
    "pam": False,
    "applications": ["", "editor"],
    "servers": ["*"],
    "changed_at": 0,
}


class Accounts:
    """Stands for the process of `daemons.accounts`: notes requests, and gives one reply."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 0
        self.rows = [ROW]
        self.notes: list[str] = []

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        assert command == [sys.executable, "-m", "daemons.accounts"]
        self.requests.append(json.loads(options["input"]))
        reply = {"farm": "lab", "rows": self.rows, "notes": self.notes}
        return subprocess.CompletedProcess(command, self.status, json.dumps(reply).encode())


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    made = Accounts()
    monkeypatch.setattr(subprocess, "run", made.run)
    return made


def user(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["user", *words, "--accounts", "acc"], input=given)


def test_adding_names_only_what_is_given(accounts: Accounts) -> None:
    assert user("add", "user1", "--farm", "lab", given="secret\n").exit_code == 0
    [request] = accounts.requests
    assert b64decode(request.pop("password")) == b"secret"
    assert request == {
        "command": "add",
        "accounts": "acc",
        "farm": "lab",
        "name": "user1",
        "change_known": False,
    }


def test_adding_names_all_that_is_given(accounts: Accounts, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"# mine\n\n{KEY}\n")
    words = ["--system-user", "ada", "--ssh-key", str(tmp_path / "id.pub"), "--no-pam"]
    words += ["--application", "", "--application", "editor", "--server", "ts1"]
    done = user("add", "user1", *words, "--no-password", "--replace")
    assert done.exit_code == 0
    [request] = accounts.requests
    assert request == {
        "command": "add",
        "accounts": "acc",
        "farm": "",
        "name": "user1",
        "change_known": True,
        "system_user": "ada",
        "ssh_keys": [KEY],
        "pam": False,
        "applications": ["", "editor"],
        "servers": ["ts1"],
    }


def test_a_password_is_no_argument_of_a_process(accounts: Accounts) -> None:
    assert user("passwd", "user1", given="secret\r\n").exit_code == 0
    [request] = accounts.requests
    assert b64decode(request["password"]) == b"secret"


def test_keys_come_from_files_and_standard_input(accounts: Accounts, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"{KEY}1\n{KEY}2\n")
    accounts.rows = [{"kind": "ssh-ed25519", "fingerprint": "SHA256:x", "comment": "me"}]
    words = ["--add", str(tmp_path / "id.pub"), "--add", "-", "--remove", "SHA256:y"]
    done = user("keys", "user1", *words, given=f"{KEY}3\n")
    assert done.exit_code == 0
    [request] = accounts.requests
    assert request["added"] == [f"{KEY}1", f"{KEY}2", f"{KEY}3"]
    assert request["removed"] == ["SHA256:y"]
    assert done.output.splitlines() == [
        "KIND         FINGERPRINT  COMMENT",
        "ssh-ed25519  SHA256:x     me",
    ]


def test_a_file_without_keys_is_refused(accounts: Accounts) -> None:
    done = user("keys", "user1", "--add", "-", given="# none\n")
    assert done.exit_code == 2
    assert "-: there is no SSH key in it" in done.output
    assert accounts.requests == []


@pytest.mark.parametrize("command", ["disable", "enable", "remove"])
def test_a_change_shows_the_account_as_it_is_now(accounts: Accounts, command: str) -> None:
    done = user(command, "user1")
    assert done.exit_code == 0
    assert accounts.requests == [
        {"command": command, "accounts": "acc", "farm": "", "name": "user1"}
    ]
    heading, row = done.output.splitlines()
    assert heading.split("  ")[0] == "USER"
    assert row.split() == ["user1", "-", "enabled", "yes", "0", "no", "(shell)", "editor", "*", "-"]


def test_a_list_is_printed_as_json(accounts: Accounts) -> None:
    done = user("list", "--json")
    assert json.loads(done.output) == [ROW]


def test_notes_are_told_beside_the_list(accounts: Accounts) -> None:
    accounts.notes = ["converted 2 accounts"]
    done = CliRunner().invoke(main, ["user", "list", "--accounts", "acc", "--json"])
    assert done.stderr == "[tsfarm] converted 2 accounts\n"
    assert json.loads(done.stdout) == [ROW]


def test_a_refusal_is_the_exit_status(accounts: Accounts) -> None:
    accounts.status = 1
    done = user("disable", "user1")
    assert (done.exit_code, done.output) == (1, "")
