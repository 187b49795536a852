"""Statements about accounts: whose count, what they change, and whom they are told to.

The bytes that are signed are built from the document alone. A case changes accounts of its own,
which it states as an administrator.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clients.conformance.acting import CaseContext, join
from clients.conformance.attempt import STRANGERS_KEY
from clients.conformance.case import SESSION_DIRECTORY, TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.logon import log_off
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.target import Issuer, Setup, Unmet
from clients.conformance.user import User
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AccountStatement,
    ChangePassword,
    Done,
    LogonAccepted,
    LogonRefused,
    PasswordChanged,
    PasswordStatement,
    QuerySessions,
    Role,
    Sessions,
)

chapter = Chapter()

ACCOUNT_DOMAIN = b"tsfarm account statement 1\0"
PASSWORD_DOMAIN = b"tsfarm password statement 1\0"
MICROSECONDS = 1_000_000
BOTH = (TERMINAL_SERVER, SESSION_DIRECTORY)
AHEAD_SLACK = 60 * MICROSECONDS


def generation(context: CaseContext) -> int:
    return int(context.now * MICROSECONDS)


# --- accounts that a case states ------------------------------------------------------------------


def statement(
    context: CaseContext,
    account: dict[str, Any] | bytes,
    signer: Issuer | None = None,
    *,
    farm: str = "",
    domain: bytes = ACCOUNT_DOMAIN,
    key: Ed25519PrivateKey | None = None,
) -> AccountStatement:
    """Right for an administrator with the role admin, but for what is given."""
    signer = signer or context.issuer("admin", role=Role.ADMINISTRATOR)
    encoded = account if isinstance(account, bytes) else json.dumps(account).encode()
    own = key or load_pem_private_key(signer.key, None)
    assert isinstance(own, Ed25519PrivateKey)
    signed = domain + _parts((farm or context.target.farm).encode(), encoded)
    return AccountStatement(account=encoded, signer=signer.certificate, signature=own.sign(signed))


def account_of(context: CaseContext, user: User, at: int, **members: Any) -> dict[str, Any]:
    public = user.key(context.target.farm).public_key().public_bytes_raw()
    password = {
        **user.salted,
        "salt": b64encode(user.salt).decode(),
        "public_key": b64encode(public).decode(),
        "given": at,
    }
    return {"name": user.name, "generation": at, "password": password, **members}


def new_user(context: CaseContext, ago: int = 10, **members: Any) -> User:
    """A user whose account the case has stated, so many microseconds ago."""
    user = User(context.fresh_name("user"), b"first")
    administrator = context.open(Role.ADMINISTRATOR)
    account = account_of(context, user, generation(context) - ago, **members)
    administrator.ask_for(Done, statement(context, account))
    administrator.hang_up()
    return user


def with_new_password(user: User) -> User:
    return msgspec.structs.replace(user, password=b"second", salt=b"second salt of a")


def _parts(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


# --- passwords that a case changes ----------------------------------------------------------------


def changed(
    context: CaseContext,
    user: User,
    *,
    key: Ed25519PrivateKey | None = None,
    farm: str = "",
    user_name: str = "",
    domain: bytes = PASSWORD_DOMAIN,
    **fields: Any,
) -> PasswordStatement:
    """The statement that the user's password is now that of `with_new_password`, but for what is
    given."""
    fresh = with_new_password(user)
    said = {
        "generation": generation(context),
        "public_key": fresh.key(context.target.farm).public_key().public_bytes_raw(),
        **fresh.salted,
        **fields,
    }
    signed = domain + _parts(
        (farm or context.target.farm).encode(),
        (user_name or user.name).encode(),
        said["generation"].to_bytes(8, "big"),
        said["public_key"],
        said["salt"],
        *(said[name].to_bytes(8, "big") for name in ("memory_kib", "passes", "lanes")),
    )
    signature = (key or user.key(context.target.farm)).sign(signed)
    return PasswordStatement(user_name=user.name, **said, signature=signature)


def as_step(said: PasswordStatement) -> ChangePassword:
    names = [name for name in ChangePassword.__struct_fields__ if name != "request_id"]
    return ChangePassword(**{name: getattr(said, name) for name in names})


def change(context: CaseContext, client: Peer, user: User, **wrong: Any) -> None:
    """A challenge, and the user's new password for it; the answer is not read."""
    context.challenged(client, user)
    client.say(as_step(changed(context, user, **wrong)))


def expect_refused(client: Peer, code: ErrorCode, what: str = "") -> LogonRefused:
    answer = client.hear(LogonRefused)
    if answer.code is not code:
        raise Unmet(f"expected LogonRefused with {code.name} {what}, came {answer.code.name}")
    return answer


def expect_logon(context: CaseContext, user: User, code: ErrorCode | None = None) -> None:
    """The user can log on, or is refused with this code."""
    client = context.licensed()
    client.say(context.challenged(client, user).proof())
    if code is not None:
        expect_refused(client, code)
        return
    client.hear(LogonAccepted)
    log_off(client)


@chapter.case("ACC-01", TERMINAL_SERVER)
def a_user_changes_the_password(context: CaseContext) -> None:
    user = new_user(context)
    client = context.licensed()
    change(context, client, user)
    client.hear(PasswordChanged)
    expect_logon(context, with_new_password(user))
    old = msgspec.structs.replace(user, salt=with_new_password(user).salt)
    expect_logon(context, old, ErrorCode.LOGON_FAILED)


@chapter.case("ACC-02", TERMINAL_SERVER)
def whose_signature_changes_nothing(context: CaseContext) -> None:
    user = new_user(context)
    nobody = User(context.fresh_name("nobody"), b"first")
    details = set()
    attempts: list[tuple[User, dict[str, Any]]] = [
        (nobody, {}),
        (user, {"key": STRANGERS_KEY}),
        (user, {"farm": "elsewhere"}),
        (user, {"user_name": nobody.name}),
        (user, {"domain": b""}),
        (user, {"key": with_new_password(user).key(context.target.farm)}),
    ]
    for who, wrong in attempts:
        client = context.licensed()
        change(context, client, who, **wrong)
        answer = expect_refused(client, ErrorCode.LOGON_FAILED, f"for {[*wrong]}")
        client.expect_same(limits.LOGON_ATTEMPTS - 1, answer.attempts_left)
        details.add(answer.detail.replace(answer.trace_id, ""))
    context.check(len(details) == 1, f"one text for all, came {details}")
    expect_logon(context, user)


@chapter.case("ACC-02", TERMINAL_SERVER)
def an_older_change_tells_nothing_of_its_user(context: CaseContext) -> None:
    """With generation 0 and a wrong key: known and unknown users are alike."""
    user, nobody = new_user(context), User(context.fresh_name("nobody"), b"first")
    details = set()
    for who in (user, nobody):
        client = context.licensed()
        change(context, client, who, key=STRANGERS_KEY, generation=0)
        answer = expect_refused(client, ErrorCode.LOGON_FAILED)
        details.add(answer.detail.replace(answer.trace_id, ""))
    context.check(len(details) == 1, f"one text for both, came {details}")


@chapter.case("ACC-02", TERMINAL_SERVER)
def three_wrong_changes(context: CaseContext) -> None:
    user = new_user(context)
    client = context.licensed()
    for left in range(limits.LOGON_ATTEMPTS - 1, -1, -1):
        change(context, client, user, key=STRANGERS_KEY)
        client.expect_same(left, expect_refused(client, ErrorCode.LOGON_FAILED).attempts_left)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("ACC-03", TERMINAL_SERVER)
def a_change_without_a_challenge(context: CaseContext) -> None:
    client = context.licensed()
    client.say(as_step(changed(context, User(context.fresh_name("nobody"), b"first"))))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("ACC-04", TERMINAL_SERVER)
def costs_and_times_out_of_bounds(context: CaseContext) -> None:
    user = new_user(context)
    day = limits.GENERATION_AHEAD_SECONDS * MICROSECONDS
    for wrong in (
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MIN - 1},
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MAX + 1},
        {"passes": limits.ARGON2_PASSES_MIN - 1},
        {"passes": limits.ARGON2_PASSES_MAX + 1},
        {"lanes": 0},
        {"lanes": limits.ARGON2_LANES_MAX + 1},
        {"generation": generation(context) + day + AHEAD_SLACK},
    ):
        client = context.licensed()
        change(context, client, user, **wrong)
        answer = expect_refused(client, ErrorCode.NOT_PERMITTED, f"for {wrong}")
        client.expect_same(limits.LOGON_ATTEMPTS, answer.attempts_left)
    expect_logon(context, user)


@chapter.case("ACC-04", TERMINAL_SERVER)
def almost_a_day_ahead(context: CaseContext) -> None:
    user = new_user(context)
    day = limits.GENERATION_AHEAD_SECONDS * MICROSECONDS
    client = context.licensed()
    change(context, client, user, generation=generation(context) + day - AHEAD_SLACK)
    client.hear(PasswordChanged)


@chapter.case("ACC-05", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_directory_is_told_at_once_and_after_each_join(context: CaseContext) -> None:
    user = new_user(context)
    directory = joined_directory(context)
    client = fully_licensed(context)
    said = changed(context, user)
    context.challenged(client, user)
    client.say(as_step(said))
    client.hear(PasswordChanged)
    told = directory.hear_past(PasswordStatement)
    context.check(told == said, "the statement as the user made it")
    directory.hang_up()
    again = joined_directory(context)
    while (told := again.hear_past(PasswordStatement)) != said:
        pass


@chapter.case("ACC-06", SESSION_DIRECTORY)
def every_host_is_told_once_and_those_that_join_later(context: CaseContext) -> None:
    user = new_user(context)
    one, other = _joined(context), _joined(context)
    said = changed(context, user)
    one.say(said)
    for server in (one, other):
        _hear(server, said)
    one.say(said)
    _expect_none(context, other, said)
    _hear(_joined(context), said)


@chapter.case("ACC-07", SESSION_DIRECTORY)
def a_forged_change_is_told_to_nobody(context: CaseContext) -> None:
    user = new_user(context)
    one, other = _joined(context), _joined(context)
    wrongs: tuple[dict[str, Any], ...] = (
        {"key": STRANGERS_KEY},
        {"farm": "elsewhere"},
        {"domain": b""},
        {"user_name": context.fresh_name("nobody")},
    )
    for wrong in wrongs:
        said = changed(context, user, **wrong)
        one.say(said)
        _expect_none(context, other, said)
    right = changed(context, user)
    one.say(right)
    _hear(other, right)


@chapter.case("ACC-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_directory_cannot_change_a_password(context: CaseContext) -> None:
    user = new_user(context)
    directory = joined_directory(context)
    directory.say(changed(context, user, key=STRANGERS_KEY))
    _settle(context)
    context.check(_salt(context, user) == user.salt, "the salt as before")
    directory.say(changed(context, user))
    _settle(context)
    context.check(_salt(context, user) == with_new_password(user).salt, "the new salt")


def _joined(context: CaseContext) -> Peer:
    name = context.fresh_name("ts")
    server = context.open(Role.TERMINAL_SERVER, name=name)
    join(server, name)
    return server


def _hear(server: Peer, said: PasswordStatement) -> None:
    while server.hear_past(PasswordStatement) != said:
        pass  # those of earlier cases


def _expect_none(context: CaseContext, server: Peer, unwanted: PasswordStatement) -> None:
    """An answer to a later question comes, and the statement does not."""
    administrator = context.open(Role.ADMINISTRATOR)
    administrator.ask_for(Sessions, QuerySessions())
    administrator.hang_up()
    later = new_user(context)
    told = changed(context, later)
    sender = _joined(context)
    sender.say(told)
    while (heard := server.hear_past(PasswordStatement)) != told:
        if heard == unwanted:
            raise Unmet("a statement that counts for nothing, or was told before, was told")


def _settle(context: CaseContext) -> None:
    """The target has judged what it was told when it answers a statement that came after."""
    new_user(context)


def _salt(context: CaseContext, user: User) -> bytes:
    return context.challenged(fully_licensed(context), user).challenge.salt


# --- administrators -------------------------------------------------------------------------------


@chapter.case("ACC-08", *BOTH)
def whose_statement_is_refused(context: CaseContext) -> None:
    user = User(context.fresh_name("user"), b"first")
    now = generation(context)
    account = account_of(context, user, now)
    for what, wrong in _wrong_statements(context, account):
        administrator = context.open(Role.ADMINISTRATOR)
        answer = administrator.ask(wrong)
        code = getattr(answer, "code", ErrorCode.NORMAL)
        if code is not ErrorCode.NOT_PERMITTED:
            raise Unmet(f"expected Refused with NOT_PERMITTED for {what}, came {code.name}")
        administrator.hang_up()


def _wrong_statements(
    context: CaseContext, account: dict[str, Any]
) -> Iterator[tuple[str, AccountStatement]]:
    administrators = Role.ADMINISTRATOR
    day = limits.GENERATION_AHEAD_SECONDS * MICROSECONDS
    right = statement(context, account)
    signers = {
        "an operator": context.issuer("operator", role=administrators),
        "a terminal server": context.issuer(role=Role.TERMINAL_SERVER),
        "an administrator of another farm": context.issuer("admin", "elsewhere", administrators),
        "the authority": context.target.authority(),
    }
    for who, signer in signers.items():
        yield f"a statement of {who}", statement(context, account, signer)
    yield "another's key", statement(context, account, key=STRANGERS_KEY)
    yield "another farm", statement(context, account, farm="elsewhere")
    yield "no domain", statement(context, account, domain=b"")
    changed_since = right.account.replace(b"}", b" }")
    yield "a changed account", msgspec.structs.replace(right, account=changed_since)
    ahead = account["generation"] + day + AHEAD_SLACK
    yield "a time ahead", statement(context, {**account, "generation": ahead})
    yield "no account", statement(context, b"{}")
    yield "no JSON", statement(context, b"<>")


@chapter.case("ACC-09", *BOTH)
def known_and_older_statements_are_done(context: CaseContext) -> None:
    user = User(context.fresh_name("user"), b"first")
    now = generation(context)
    administrator = context.open(Role.ADMINISTRATOR)
    for at in (now, now, now - 1):
        stated = statement(context, account_of(context, user, at))
        administrator.ask_for(Done, stated)


@chapter.case("ACC-09", TERMINAL_SERVER)
def a_later_statement_counts_and_stays(context: CaseContext) -> None:
    user = new_user(context)
    administrator = context.open(Role.ADMINISTRATOR)
    now = generation(context)
    expect_logon(context, user)
    disabled = account_of(context, user, now, disabled=True)
    administrator.ask_for(Done, statement(context, disabled))
    expect_logon(context, user, ErrorCode.LOGON_FAILED)
    administrator.ask_for(Done, statement(context, account_of(context, user, now - 5)))
    expect_logon(context, user, ErrorCode.LOGON_FAILED)
    administrator.ask_for(Done, statement(context, account_of(context, user, now + 1)))
    expect_logon(context, user)
    removed = {"name": user.name, "generation": now + 2, "removed": True}
    administrator.ask_for(Done, statement(context, removed))
    expect_logon(context, user, ErrorCode.LOGON_FAILED)


@chapter.case("ACC-10", TERMINAL_SERVER)
def a_password_that_its_user_changed_later_stays(context: CaseContext) -> None:
    user = User(context.fresh_name("user"), b"first")
    first = account_of(context, user, generation(context) - 10)
    administrator = context.open(Role.ADMINISTRATOR)
    administrator.ask_for(Done, statement(context, first))
    now = generation(context)
    client = context.licensed()
    change(context, client, user, generation=now)
    client.hear(PasswordChanged)
    administrator.ask_for(Done, statement(context, {**first, "generation": now + 1}))
    expect_logon(context, with_new_password(user))
    given = statement(context, account_of(context, user, now + 2))
    administrator.ask_for(Done, given)
    expect_logon(context, user)


def cases() -> list[Case]:
    return chapter.cases
