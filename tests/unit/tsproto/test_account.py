"""Which proofs an account accepts, and what it may use."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.tsproto.users import KEY, OTHER_SSH_KEY, SSH_KEY, STATEMENT, account
from tsproto.account import GENERATION_MAX, SSH_KEYS_MAX, Account
from tsproto.user_proof import ED25519, Cost, Method, Statement

BY_KEY = replace(STATEMENT, method=Method.SSH_KEY)


def proved(whose: Account, statement: Statement, algorithm: str = ED25519) -> bool:
    """Whether the password's key proves the user."""
    signature = KEY.sign(statement.signed_bytes())
    return whose.is_proved_by(statement, b"", algorithm, signature)


def test_the_passwords_key_proves_the_user() -> None:
    assert proved(account(), STATEMENT)


def test_an_account_without_a_password_is_not_proved_by_one() -> None:
    assert not proved(account(password=None), STATEMENT)


@pytest.mark.parametrize(
    "changes", [{"salt": bytes(16)}, {"cost": Cost(passes=2)}, {"cost": Cost(lanes=2)}], ids=str
)
def test_salt_and_cost_must_be_those_of_the_account(changes: dict[str, object]) -> None:
    assert not proved(account(), replace(STATEMENT, **changes))


def test_a_password_has_one_algorithm() -> None:
    assert not proved(account(), STATEMENT, algorithm="ssh-ed25519")


@pytest.mark.parametrize("method", [Method.SSH_KEY, Method.PAM, Method.DEVICE], ids=str)
def test_the_passwords_key_proves_by_no_other_method(method: Method) -> None:
    assert not proved(account(), replace(STATEMENT, method=method))


def test_an_ssh_key_of_the_account_proves_the_user() -> None:
    signature = SSH_KEY.sign(BY_KEY.signed_bytes())
    signed = BY_KEY, SSH_KEY.fingerprint, SSH_KEY.kind, signature
    assert account().is_proved_by(*signed)
    assert not account(ssh_keys=()).is_proved_by(*signed)
    assert not account(ssh_keys=(OTHER_SSH_KEY.line,)).is_proved_by(*signed)


def test_the_ssh_key_that_was_named_has_to_sign() -> None:
    both = account(ssh_keys=(SSH_KEY.line, OTHER_SSH_KEY.line))
    signature = SSH_KEY.sign(BY_KEY.signed_bytes())
    assert not both.is_proved_by(BY_KEY, OTHER_SSH_KEY.fingerprint, SSH_KEY.kind, signature)
    assert not both.is_proved_by(BY_KEY, b"", SSH_KEY.kind, signature)


def test_the_first_key_that_the_account_has_is_asked_to_sign() -> None:
    one, other = SSH_KEY.fingerprint, OTHER_SSH_KEY.fingerprint
    assert account().key_among((other, one)) == one
    assert account().key_among((other,)) == b""
    assert account(ssh_keys=(SSH_KEY.line, OTHER_SSH_KEY.line)).key_among((other, one)) == other


def test_an_account_may_use_everything_unless_it_says_otherwise() -> None:
    assert account().may_use("ts1", "")
    assert account().may_use("ts1", "editor")
    assert not account(disabled=True).may_use("ts1", "")


def test_an_account_may_use_what_it_names() -> None:
    choosy = account(applications=("editor",), servers=("ts1",))
    assert choosy.may_use("ts1", "editor")
    assert not choosy.may_use("ts1", "")
    assert not choosy.may_use("ts2", "editor")
    assert not account(applications=()).may_use("ts1", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": -1},
        {"generation": GENERATION_MAX + 1},
        {"system_user": "a b"},
        {"system_user": "a:b"},
        {"system_user": "a" * 65},
        {"ssh_keys": (SSH_KEY.line,) * (SSH_KEYS_MAX + 1)},
        {"ssh_keys": ("a" * 4097,)},
        {"name": "a" * 105},
        {"servers": ("",)},
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_no_account(changes: dict[str, object]) -> None:
    line = msgspec.json.encode(replace(account(), **changes))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=Account)


def test_an_account_is_read_as_it_was_written() -> None:
    full = account(
        system_user="alice", pam=True, disabled=True, applications=("",), servers=("ts1",)
    )
    assert msgspec.json.decode(msgspec.json.encode(full), type=Account) == full
