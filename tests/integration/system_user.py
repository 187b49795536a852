"""Accounts of this machine for tests that root runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

needs_accounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("useradd") is None, reason="only root adds accounts"
)


@contextlib.contextmanager
def system_user(*options: str, shell: str = "/bin/sh") -> Iterator[str]:
    """The name of an account without home folder and password, made with further `useradd`
    options."""
    name = f"tsfarm-{secrets.token_hex(4)}"
    run("useradd", "--no-create-home", "--shell", shell, *options, name)
    try:
        yield name
    finally:
        run("userdel", name)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
