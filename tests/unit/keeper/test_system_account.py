"""Which system users a host lets in."""

from __future__ import annotations

import pytest

from daemons.keeper.system_account import DAY_SECONDS, Shadow, refusal

TODAY = 20_000
NOW = TODAY * DAY_SECONDS + 1.0
USABLE = Shadow(password="*")
LOCKED, EXPIRED = "it is locked", "it has expired"


def refused(shadow: Shadow | None, shell: str = "/bin/sh") -> str:
    return refusal(shell, shadow, NOW).partition(":")[0]


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "false"])
def test_a_shell_that_lets_nobody_in_counts(shell: str) -> None:
    assert refused(USABLE, shell) == f"its shell is {shell}"
    assert refused(None, shell) == f"its shell is {shell}"


@pytest.mark.parametrize("shell", ["/bin/sh", "/usr/bin/fish", "/opt/nologin/bash"])
def test_any_other_shell_does(shell: str) -> None:
    assert refused(USABLE, shell) == ""


@pytest.mark.parametrize("password", ["!$y$j9T$abc", "!!$6$abc", "!x"])
def test_a_password_that_was_locked_counts(password: str) -> None:
    assert refused(Shadow(password=password)) == LOCKED


@pytest.mark.parametrize("password", ["", "*", "!", "!!", "!*", "*LK*", "$y$j9T$abc"])
def test_a_password_that_was_never_set_is_not_locked(password: str) -> None:
    assert refused(Shadow(password=password)) == ""


@pytest.mark.parametrize(
    ("ends", "why"),
    [(-1, ""), (TODAY, ""), (TODAY + 1, ""), (TODAY - 1, EXPIRED), (1, EXPIRED), (0, EXPIRED)],
)
def test_an_account_lasts_to_the_end_of_its_last_day(ends: int, why: str) -> None:
    assert refused(Shadow(password="*", ends=ends)) == why


@pytest.mark.parametrize(
    ("changed", "valid_days", "inactive_days", "is_refused"),
    [
        (TODAY - 11, 7, 3, True),
        (TODAY - 10, 7, 3, False),
        (TODAY - 100, -1, 3, False),
        (TODAY - 100, 7, -1, False),
        (TODAY - 1, 0, 0, True),
        (0, 7, 3, False),  # must be changed at the next logon by password
    ],
)
def test_a_password_that_was_left_to_expire_ends_the_account_where_it_says_so(
    changed: int, valid_days: int, inactive_days: int, is_refused: bool
) -> None:
    shadow = Shadow(
        password="*", changed=changed, valid_days=valid_days, inactive_days=inactive_days
    )
    assert refused(shadow) == "its password has expired for too long" * is_refused
