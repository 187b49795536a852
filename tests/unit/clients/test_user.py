from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients.cli import main


def test_a_user_is_added_by_daemons_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def note(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        calls.append((command, options))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", note)
    accounts = tmp_path / "accounts"
    options = ("--accounts", str(accounts), "--system-user", "alice", "--replace")
    done = CliRunner().invoke(main, ["user", "add", "user1", *options], input="secret\n")
    assert done.exit_code == 1
    [(command, given)] = calls
    assert command[:4] == [sys.executable, "-m", "daemons.accounts", "add"]
    words = ["--accounts", str(accounts), "--system-user", "alice", "--replace", "--", "user1"]
    assert command[4:] == words
    assert given == {"input": b"secret\n"}
