"""OpenSSH's own agent and keys, for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tsproto import ssh_keys
from tsproto.ssh_keys import SshKey

needs_openssh = pytest.mark.skipif(
    shutil.which("ssh-agent") is None or shutil.which("ssh-keygen") is None,
    reason="OpenSSH's client is not installed",
)


def made(file: Path, *options: str, passphrase: str = "") -> SshKey:
    """Makes a key pair; returns the public one."""
    words = ("ssh-keygen", "-q", "-N", passphrase, "-C", file.name, "-f", str(file), *options)
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return ssh_keys.read(file.with_suffix(".pub").read_text())


class Agent:
    """A running ssh-agent."""

    def __init__(self, folder: Path) -> None:
        self.environment: Mapping[str, str] = {"SSH_AUTH_SOCK": str(folder / "agent")}
        self._folder = folder

    def add(self, *words: str | Path, passphrase: str = "") -> None:
        """Runs ssh-add, which asks a program for passphrases."""
        asking = self._folder / "askpass"
        asking.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
        asking.chmod(0o700)
        asked = {"SSH_ASKPASS": str(asking), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(
            ("ssh-add", "-q", *map(str, words)),
            check=True,
            env={**os.environ, **self.environment, **asked},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Agent]:
    agent = Agent(folder)
    socket = agent.environment["SSH_AUTH_SOCK"]
    process = subprocess.Popen(("ssh-agent", "-D", "-a", socket), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens
        yield agent
    finally:
        process.terminate()
        process.communicate()
