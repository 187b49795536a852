"""Passwords that their users change, and accounts that an administrator pushes, in a farm whose
hosts have an accounts file each."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemons import lab
from daemons.accounts import read
from tests.integration.test_commands import SECONDS, TSFARM
from tsproto.account import Account

PLAN = lab.Plan(
    terminal_servers=("ts1", "ts2"),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=2),),
    shell=("/bin/sh",),
)
HOSTS = ("ts1", "ts2", "directory")


class Farm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = lab.load(folder)

    def run(self, *words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [TSFARM, *words], cwd=self.folder, input=given, capture_output=True, timeout=SECONDS
        )

    def as_user(self, command: str, host: str, *words: str | Path) -> int:
        daemon = self.lab.daemon(host)
        trust = ("--ca", "pki/authority.crt", "--store", "device", "--user", "user1")
        return self.run(command, f"{daemon.host}:{daemon.port}", *trust, *words).returncode

    def password(self, text: str) -> Path:
        """A file that holds it."""
        file = self.folder / f"password-{text}"
        file.write_text(f"{text}\n")
        file.chmod(0o600)
        return file

    def can_log_on(self, host: str, password: Path) -> bool:
        return self.as_user("connect", host, "--password-file", password, "--", "true") == 0

    def change(self, host: str, present: Path, fresh: Path) -> int:
        files = ("--password-file", present, "--new-password-file", fresh)
        return self.as_user("passwd", host, *files)

    def accounts(self, host: str) -> Path:
        return self.folder / host / "accounts"

    def account(self, host: str) -> Account:
        return read(self.accounts(host)).accounts["user1"]

    def give_each_host_its_accounts(self) -> None:
        for name in HOSTS:
            shutil.copy(self.folder / "accounts", self.accounts(name))
            config = self.folder / name / "config.toml"
            shared, own = str(self.folder / "accounts"), str(self.accounts(name))
            config.write_text(config.read_text().replace(shared, own))

    def push(self, *names: str) -> tuple[int, dict[str, str]]:
        done = self.run("user", "push", *names, "--accounts", "accounts", "--lab", ".", "--json")
        rows = json.loads(done.stdout)
        return done.returncode, {row["host"]: row["state"] for row in rows}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Looks at files that other processes write."""
    ends_at = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < ends_at


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("passwords")
    lab.up(folder, PLAN, say=lambda line: None)
    lab.down(folder)  # the keepers too, which have read their accounts
    farm = Farm(folder)
    farm.give_each_host_its_accounts()
    lab.up(folder, PLAN, say=lambda line: None)
    try:
        yield farm
    finally:
        lab.down(folder)


def test_a_password_is_changed_at_one_host_and_counts_at_all(farm: Farm) -> None:
    old, fresh = farm.folder / "users" / "user1", farm.password("fresh")
    before = farm.account("ts1")
    assert farm.change("ts1", old, fresh) == 0
    after = farm.account("ts1")  # stored when the user is told so
    assert after.password != before.password
    assert (after.stated, after.system_user) == (before.generation, before.system_user)
    wait_until(lambda: all(farm.account(host) == after for host in HOSTS))
    for host in ("ts1", "ts2"):
        assert farm.can_log_on(host, fresh)
        assert not farm.can_log_on(host, old)


def test_a_wrong_password_changes_nothing(farm: Farm) -> None:
    before = farm.account("ts1")
    assert farm.change("ts1", farm.password("wrong"), farm.password("other")) == 4
    assert farm.account("ts1") == before


def test_a_host_that_was_down_learns_the_password_when_it_comes_back(farm: Farm) -> None:
    lab.stop(farm.folder, "ts2")
    assert farm.change("ts1", farm.password("fresh"), farm.password("third")) == 0
    lab.start(farm.folder, "ts2")
    wait_until(lambda: farm.account("ts2") == farm.account("ts1"))


def test_the_directory_learns_the_password_when_it_comes_back(farm: Farm) -> None:
    lab.stop(farm.folder, "directory")
    assert farm.change("ts1", farm.password("third"), farm.password("fourth")) == 0
    lab.start(farm.folder, "directory")
    wait_until(lambda: farm.account("directory") == farm.account("ts1"))
    wait_until(lambda: farm.account("ts2") == farm.account("ts1"))


def test_an_administrators_push_disables_everywhere_and_keeps_the_users_password(
    farm: Farm,
) -> None:
    password = farm.account("ts1").password
    farm.run("user", "disable", "user1", "--accounts", "accounts")
    assert farm.push("user1") == (0, dict.fromkeys(HOSTS, "stored"))
    for host in HOSTS:
        assert farm.account(host).disabled
        assert farm.account(host).password == password
    assert not farm.can_log_on("ts1", farm.password("fourth"))
    farm.run("user", "enable", "user1", "--accounts", "accounts")
    assert farm.push() == (0, dict.fromkeys(HOSTS, "stored"))
    assert farm.can_log_on("ts1", farm.password("fourth"))


def test_a_host_that_is_down_is_named_and_sets_the_exit_status(farm: Farm) -> None:
    lab.stop(farm.folder, "ts2")
    try:
        assert farm.push() == (5, {"ts1": "stored", "ts2": "old", "directory": "stored"})
    finally:
        lab.start(farm.folder, "ts2")


def test_a_password_that_an_administrator_gives_counts_over_the_users(farm: Farm) -> None:
    farm.run("user", "passwd", "user1", "--accounts", "accounts", given=b"given\n")
    assert farm.push("user1")[0] == 0
    assert farm.can_log_on("ts2", farm.password("given"))
    assert not farm.can_log_on("ts2", farm.password("fourth"))


def test_a_removed_user_is_removed_everywhere(farm: Farm) -> None:
    farm.run("user", "remove", "user1", "--accounts", "accounts")
    assert farm.push("user1")[0] == 0
    assert all(farm.account(host).removed for host in HOSTS)
    assert not farm.can_log_on("ts1", farm.password("given"))


def test_no_password_and_no_signature_is_in_any_log(farm: Farm) -> None:
    for host in HOSTS:
        log = (farm.folder / host / "log").read_text()
        assert "password.changed" in log
        assert "signature" not in log
        assert "Traceback" not in log
