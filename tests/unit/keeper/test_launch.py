from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

import pytest

from daemons.keeper import system_account
from daemons.keeper.launch import (
    PATH,
    ROOT_PATH,
    Account,
    AccountUnusable,
    Program,
    account_for,
    argv_of,
    environment_of,
)
from daemons.keeper.system_account import Shadow

ADA = Account(name="ada", uid=1000, gid=1000, home="/home/ada", shell="/bin/zsh")
ROOT = Account(name="root", uid=0, gid=0, home="/root", shell="/bin/bash")
SOMEBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid)


def program(**given: object) -> Program:
    return Program(**{"session_id": 7, "system_user": "ada", "allow_root": False, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("system_user", "shared_user"),
    [("", False), (SOMEBODY.pw_name, False), ("", True), ("root", True), ("no-such-user", True)],
)
def test_without_root_everything_runs_as_the_own_user(system_user: str, shared_user: bool) -> None:
    account = account_for(
        system_user, allow_root=False, own_uid=SOMEBODY.pw_uid, shared_user=shared_user
    )
    assert (account.name, account.uid) == (SOMEBODY.pw_name, SOMEBODY.pw_uid)


@pytest.mark.parametrize("system_user", ["root", "no-such-user"])
def test_without_root_no_user_gets_the_session_of_another(system_user: str) -> None:
    with pytest.raises(AccountUnusable, match=f"runs sessions as {SOMEBODY.pw_name} only"):
        account_for(system_user, allow_root=True, own_uid=SOMEBODY.pw_uid)


def test_an_own_user_without_a_name_is_good_enough() -> None:
    unnamed = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    account = account_for("", allow_root=False, own_uid=unnamed)
    assert account == Account(str(unnamed), unnamed, os.getgid(), "/", "/bin/sh")


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Shadow]]:
    """A system user; the test may put a shadow entry."""
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/home/ada", "/bin/zsh"))
    shadows: list[Shadow] = []
    monkeypatch.setattr("pwd.getpwnam", lambda name: entry)
    monkeypatch.setattr(system_account, "shadow_of", lambda name: next(iter(shadows), None))
    yield shadows


@pytest.mark.usefixtures("ada")
def test_root_becomes_the_system_user() -> None:
    assert account_for("ada", allow_root=False, own_uid=0) == ADA


def test_a_system_user_whom_the_host_does_not_let_in_is_refused(ada: list[Shadow]) -> None:
    ada.append(Shadow(password="*", ends=1))
    with pytest.raises(AccountUnusable) as refused:
        account_for("ada", allow_root=False, own_uid=0)
    assert str(refused.value) == (
        "no session may run as the system user ada: it has expired: `usermod --expiredate` sets"
        " another day"
    )


@pytest.mark.parametrize("system_user", ["", "root"])
def test_root_stays_root_only_where_it_is_written(system_user: str) -> None:
    with pytest.raises(AccountUnusable, match="allow_root"):
        account_for(system_user, allow_root=False, own_uid=0)
    assert account_for(system_user, allow_root=True, own_uid=0).uid == 0


@pytest.mark.parametrize("allow_root", [False, True])
def test_an_unknown_system_user_is_refused(allow_root: bool) -> None:
    with pytest.raises(AccountUnusable, match="'no-such-user'"):
        account_for("no-such-user", allow_root=allow_root, own_uid=0)


def test_a_shell_is_a_login_shell() -> None:
    assert argv_of(program(), ADA) == ("/bin/zsh", ["-zsh"])


def test_the_configured_shell_takes_its_place() -> None:
    shell = ("/bin/bash", "--norc")
    assert argv_of(program(shell=shell), ADA) == ("/bin/bash", ["-bash", "--norc"])


def test_a_command_is_run_by_the_shell() -> None:
    assert argv_of(program(command="ls | wc"), ADA) == ("/bin/zsh", ["/bin/zsh", "-c", "ls | wc"])


def test_an_application_is_run_without_a_shell() -> None:
    assert argv_of(program(arguments=("vi", "a b")), ADA) == ("vi", ["vi", "a b"])


def test_the_environment_is_clean() -> None:
    assert environment_of(program(terminal="vt100"), ADA, "de_DE.UTF-8") == {
        "HOME": "/home/ada",
        "USER": "ada",
        "LOGNAME": "ada",
        "SHELL": "/bin/zsh",
        "PATH": PATH,
        "TERM": "vt100",
        "LANG": "de_DE.UTF-8",
        "TSFARM_SESSION": "7",
    }


def test_root_finds_its_own_programs() -> None:
    assert environment_of(program(), ROOT, "C.UTF-8")["PATH"] == ROOT_PATH
