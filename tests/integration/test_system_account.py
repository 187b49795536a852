"""Real accounts of this machine, made and changed with the operator's own commands."""

from __future__ import annotations

import time

import pytest

from daemons.keeper.launch import AccountUnusable, account_for
from daemons.keeper.system_account import Shadow, shadow_of
from tests.integration.system_user import needs_accounts, run, system_user

pytestmark = needs_accounts

HASH = "$6$salt$hash"  # in its form; nobody logs on with it


EXPIRED = "it has expired: `usermod --expiredate` sets another day"


def refusal_of(name: str) -> str:
    """Why no session may run as it, without the beginning; empty if one may."""
    try:
        account_for(name, allow_root=False, own_uid=0)
    except AccountUnusable as error:
        return str(error).removeprefix(f"no session may run as the system user {name}: ")
    return ""


def test_an_account_whose_password_was_never_set_is_let_in() -> None:
    with system_user() as name:
        shadow = shadow_of(name)
        assert shadow is not None and shadow.password.strip("!*") == ""
        assert refusal_of(name) == ""


def test_the_entry_is_read_as_chage_has_written_it() -> None:
    with system_user("--password", HASH) as name:
        run("chage", "-d", "20000", "-M", "90", "-I", "14", "-E", "30000", name)
        assert shadow_of(name) == Shadow(
            password=HASH, changed=20_000, valid_days=90, inactive_days=14, ends=30_000
        )


def test_an_account_that_does_not_exist_has_no_entry() -> None:
    assert shadow_of("tsfarm-nobody-is-called-so") is None


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["usermod", "--lock"], "it is locked: `usermod --unlock` unlocks it"),
        (["passwd", "--lock"], "it is locked: `usermod --unlock` unlocks it"),
        (
            ["usermod", "--expiredate", "1"],
            "it has expired: `usermod --expiredate` sets another day",
        ),
        (["chage", "-E", "0"], "it has expired: `usermod --expiredate` sets another day"),
        (
            ["usermod", "--shell", "/usr/sbin/nologin"],
            "its shell is /usr/sbin/nologin: `usermod --shell` gives it another",
        ),
        (
            ["chage", "-d", "20000", "-M", "1", "-I", "1"],
            "its password has expired for too long: set one with `passwd`",
        ),
        (["chage", "-d", "20000", "-M", "1"], ""),  # a password that is old is none of ours
        (["usermod", "--expiredate", time.strftime("%Y-%m-%d")], ""),  # its last day
    ],
    ids=str,
)
def test_what_the_operator_decided_counts(command: list[str], why: str) -> None:
    with system_user("--password", HASH) as name:
        assert refusal_of(name) == ""
        run(*command, name)
        assert refusal_of(name) == why


def test_an_account_that_is_unlocked_again_is_let_in() -> None:
    with system_user("--password", HASH) as name:
        run("usermod", "--lock", name)
        run("usermod", "--unlock", name)
        assert refusal_of(name) == ""
