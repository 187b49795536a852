from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tsproto import certificates, limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.identity import load_key
from tsproto.messages import AdministratorRole, PasswordStatement, Role
from tsproto.statements import (
    StatementRefused,
    account_statement,
    merged,
    password_statement,
    stated_account,
    with_password,
)

FARM = "lab"
NOW = 1_800_000_000.0
MICROSECONDS = 1_000_000
GENERATION = int(NOW) * MICROSECONDS
DAY = 86_400


def key(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def password(seed: int, given: int = 0, changed: int = 0, **other: int) -> PasswordKey:
    return PasswordKey(
        public_key=key(seed).public_key().public_bytes_raw(),
        salt=bytes([seed]) * 16,
        **{"memory_kib": limits.ARGON2_MEMORY_KIB, "passes": 3, "lanes": 1, **other},
        given=given,
        changed=changed,
    )


USER = Account(name="user1", generation=100, system_user="ada", password=password(1, given=100))

AUTHORITY = certificates.create_authority(FARM, NOW)
OTHER_AUTHORITY = certificates.create_authority("other", NOW)
DER = certificates.certificate_der(AUTHORITY[0])


def certified(
    role: Role = Role.ADMINISTRATOR,
    authority: tuple[bytes, bytes] = AUTHORITY,
    now: float = NOW,
    administrator_role: AdministratorRole = AdministratorRole.ADMIN,
) -> tuple[bytes, Ed25519PrivateKey]:
    certificate, pem = certificates.issue_certificate(
        *authority, role, "me", now, administrator_role=administrator_role
    )
    return certificates.certificate_der(certificate), load_key(pem)


# --- of an administrator --------------------------------------------------------------------------


def test_an_administrator_states_an_account() -> None:
    statement = account_statement(FARM, USER, *certified())
    assert stated_account(FARM, statement, (DER,), NOW) == USER


def test_any_of_several_authorities_may_have_certified_the_administrator() -> None:
    statement = account_statement(FARM, USER, *certified())
    others = certificates.certificate_der(OTHER_AUTHORITY[0])
    assert stated_account(FARM, statement, (others, DER), NOW) == USER


@pytest.mark.parametrize(
    ("signer", "says"),
    [
        (certified(Role.TERMINAL_SERVER), "'me', is a terminal server of farm lab, not an admin"),
        (certified(authority=OTHER_AUTHORITY), "an administrator of farm other, not an admin"),
        (
            certified(authority=certificates.create_authority(FARM, NOW)),
            "is not certified by the authority of farm lab",
        ),
        (certified(administrator_role=AdministratorRole.VIEWER), "has not the role admin"),
        (certified(administrator_role=AdministratorRole.OPERATOR), "has not the role admin"),
        (certified(now=NOW + 3 * DAY), "has a certificate that is good from"),
        ((b"x", key(1)), "the bytes are no X.509 certificate"),
        ((DER, load_key(AUTHORITY[1])), "carries no tsfarm://FARM/ROLE/NAME"),
    ],
)
def test_a_signer_who_is_no_administrator_of_the_farm_is_refused(
    signer: tuple[bytes, Ed25519PrivateKey], says: str
) -> None:
    with pytest.raises(StatementRefused, match=says) as found:
        stated_account(FARM, account_statement(FARM, USER, *signer), (DER,), NOW)
    assert found.value.code is ErrorCode.NOT_PERMITTED


def test_an_expired_administrator_is_refused() -> None:
    certificate, own = certified()
    statement = account_statement(FARM, USER, certificate, own)
    ends = certificates.parse_certificate(certificate).not_valid_after_utc.timestamp()
    assert stated_account(FARM, statement, (DER,), ends - 1) == USER
    with pytest.raises(StatementRefused, match="has a certificate that is good from"):
        stated_account(FARM, statement, (DER,), ends)


@pytest.mark.parametrize(
    "forged",
    [
        {"account": b'{"name":"user1","generation":101,"system_user":"root"}'},
        {"signature": bytes(64)},
        {"signer": certified()[0]},
    ],
)
def test_a_forged_statement_is_refused(forged: dict[str, Any]) -> None:
    statement = replace(account_statement(FARM, USER, *certified()), **forged)
    with pytest.raises(StatementRefused, match="not signed by the administrator") as found:
        stated_account(FARM, statement, (DER,), NOW)
    assert found.value.code is ErrorCode.NOT_PERMITTED


def test_a_statement_counts_in_its_farm_alone() -> None:
    certificate, own = certified()
    elsewhere = account_statement("other", USER, certificate, own)
    with pytest.raises(StatementRefused, match="for this farm"):
        stated_account(FARM, elsewhere, (DER,), NOW)


def test_an_account_that_cannot_be_read_is_refused_after_its_signature() -> None:
    certificate, own = certified()
    broken = account_statement(FARM, Account(name="a\x00", generation=1), certificate, own)
    with pytest.raises(StatementRefused, match="the account cannot be read"):
        stated_account(FARM, broken, (DER,), NOW)
    unsigned = replace(broken, signature=bytes(64))
    with pytest.raises(StatementRefused, match="not signed"):
        stated_account(FARM, unsigned, (DER,), NOW)


def test_a_generation_may_be_a_day_ahead_and_no_more() -> None:
    signer = certified()
    latest = GENERATION + DAY * MICROSECONDS
    at_most = account_statement(FARM, replace(USER, generation=latest), *signer)
    assert stated_account(FARM, at_most, (DER,), NOW).generation == latest
    ahead = account_statement(FARM, replace(USER, generation=latest + 1), *signer)
    with pytest.raises(StatementRefused, match="more than a day ahead") as found:
        stated_account(FARM, ahead, (DER,), NOW)
    assert found.value.code is ErrorCode.NOT_PERMITTED


def test_a_password_of_the_future_is_refused_too() -> None:
    ahead = GENERATION + DAY * MICROSECONDS + 1
    for later in (password(1, given=ahead), password(1, changed=ahead)):
        statement = account_statement(FARM, replace(USER, password=later), *certified())
        with pytest.raises(StatementRefused, match="more than a day ahead"):
            stated_account(FARM, statement, (DER,), NOW)


def test_an_account_that_is_not_known_is_taken_as_stated() -> None:
    assert merged(None, USER) == USER


def test_of_a_hosts_own_account_an_administrator_states_the_administrators_part() -> None:
    changed = with_password(FARM, USER, changes(2, 200, by=1), NOW)
    assert changed is not None
    stated = stated_account(FARM, account_statement(FARM, changed, *certified()), (DER,), NOW)
    assert (stated.generation, stated.stated) == (100, 0)
    assert merged(None, stated) == changed
    assert merged(USER, stated) == changed  # a host that has missed the user's statement


def test_a_later_statement_counts_and_an_earlier_one_does_not() -> None:
    later = replace(USER, generation=101, disabled=True)
    assert merged(USER, later) == later
    assert merged(later, USER) is None
    assert merged(replace(later, password=None), USER) is None
    assert merged(later, later) == later


# --- of a user ------------------------------------------------------------------------------------


def changes(seed: int, changed: int, by: int, **other: int) -> PasswordStatement:
    return password_statement(FARM, "user1", password(seed, changed=changed, **other), key(by))


def test_a_user_changes_the_password_with_the_present_one_and_nothing_else() -> None:
    changed = with_password(FARM, USER, changes(2, 200, by=1), NOW)
    assert changed == replace(
        USER, generation=200, stated=100, password=password(2, given=100, changed=200)
    )


def test_a_change_that_is_known_changes_nothing() -> None:
    statement = changes(2, 200, by=1)
    changed = with_password(FARM, USER, statement, NOW)
    assert with_password(FARM, changed, statement, NOW) == changed


def test_a_change_before_the_one_that_is_known_is_overtaken() -> None:
    first, second = changes(2, 200, by=1), changes(3, 300, by=2)
    both = with_password(FARM, with_password(FARM, USER, first, NOW), second, NOW)
    assert with_password(FARM, both, first, NOW) is None


def test_a_wrong_password_an_unknown_user_and_one_without_a_password_are_alike() -> None:
    statement = changes(2, 200, by=9)
    texts = set()
    removed = Account(name="user1", generation=1, removed=True)
    for known in (USER, None, replace(USER, password=None), removed):
        with pytest.raises(StatementRefused) as found:
            with_password(FARM, known, statement, NOW)
        assert found.value.code is ErrorCode.LOGON_FAILED
        texts.add(str(found.value))
    assert texts == {"user name or password is wrong"}


@pytest.mark.parametrize(
    "forged",
    [
        {"user_name": "user2"},
        {"generation": 201},
        {"public_key": key(3).public_key().public_bytes_raw()},
        {"salt": bytes(16)},
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MIN},
        {"passes": 2},
        {"lanes": 2},
        {"signature": bytes(64)},
    ],
)
def test_every_field_is_signed(forged: dict[str, Any]) -> None:
    with pytest.raises(StatementRefused) as found:
        with_password(FARM, USER, replace(changes(2, 200, by=1), **forged), NOW)
    assert found.value.code is ErrorCode.LOGON_FAILED


def test_a_change_counts_in_its_farm_alone() -> None:
    with pytest.raises(StatementRefused) as found:
        with_password("other", USER, changes(2, 200, by=1), NOW)
    assert found.value.code is ErrorCode.LOGON_FAILED


@pytest.mark.parametrize(
    "cost",
    [
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MIN - 1},
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MAX + 1},
        {"passes": limits.ARGON2_PASSES_MIN - 1},
        {"passes": limits.ARGON2_PASSES_MAX + 1},
        {"lanes": 0},
        {"lanes": limits.ARGON2_LANES_MAX + 1},
    ],
)
def test_a_cost_that_no_client_accepts_is_refused_whoever_asks(cost: dict[str, int]) -> None:
    for known in (USER, None):
        with pytest.raises(StatementRefused) as found:
            with_password(FARM, known, changes(2, 200, by=1, **cost), NOW)
        assert found.value.code is ErrorCode.NOT_PERMITTED


def test_a_change_may_be_a_day_ahead_and_no_more() -> None:
    latest = GENERATION + DAY * MICROSECONDS
    changed = with_password(FARM, USER, changes(2, latest, by=1), NOW)
    assert changed is not None
    assert changed.generation == latest
    for known in (USER, None):
        with pytest.raises(StatementRefused, match="more than a day ahead") as found:
            with_password(FARM, known, changes(2, latest + 1, by=1), NOW)
        assert found.value.code is ErrorCode.NOT_PERMITTED


def test_a_change_by_a_clock_that_is_behind_says_so_to_its_user_alone() -> None:
    with pytest.raises(StatementRefused, match="correct the clock") as found:
        with_password(FARM, USER, changes(2, 100, by=1), NOW)
    assert found.value.code is ErrorCode.NOT_PERMITTED
    assert with_password(FARM, USER, changes(2, 100, by=9), NOW) is None


# --- both -----------------------------------------------------------------------------------------


def test_a_statement_about_all_else_leaves_a_users_later_password_alone() -> None:
    changed = with_password(FARM, USER, changes(2, 200, by=1), NOW)
    assert changed is not None
    stale = replace(USER, generation=150, disabled=True)
    assert merged(changed, stale) == replace(changed, stated=150, disabled=True)


def test_a_password_that_an_administrator_gives_counts_whatever_the_user_changed() -> None:
    thief = GENERATION + DAY * MICROSECONDS
    stolen = with_password(FARM, USER, changes(2, thief, by=1), NOW)
    assert stolen is not None
    reset = replace(USER, generation=thief + 1, password=password(3, given=thief + 1))
    assert merged(stolen, reset) == reset


def test_an_account_that_is_removed_loses_a_password_that_was_changed_later() -> None:
    changed = with_password(FARM, USER, changes(2, 200, by=1), NOW)
    removed = Account(name="user1", generation=150, removed=True)
    assert merged(changed, removed) == removed


STATEMENTS: list[Account | PasswordStatement] = [
    changes(2, 200, by=1),
    changes(3, 300, by=2),
    replace(USER, generation=150, system_user="bob"),
    replace(USER, generation=250, disabled=True),
    replace(USER, generation=260, password=password(4, given=260)),
    replace(USER, generation=400, pam=True, password=password(4, given=260)),
    changes(5, 500, by=4),
]


@settings(max_examples=15)  # all 5,040 orders come to one account
@given(st.permutations(STATEMENTS))
def test_all_hosts_come_to_one_account_in_whatever_order_statements_reach_them(
    order: list[Account | PasswordStatement],
) -> None:
    """A change that a host has not seen the one before of is refused; it is told again later."""
    account: Account | None = USER
    for statement in [*order, *STATEMENTS, *STATEMENTS]:
        if isinstance(statement, Account):
            account = merged(account, statement) or account
            continue
        try:
            account = with_password(FARM, account, statement, NOW) or account
        except StatementRefused:
            continue
    assert account == Account(
        name="user1",
        generation=500,
        stated=400,
        system_user="ada",
        pam=True,
        password=password(5, given=260, changed=500),
    )
