"""Statements about accounts: signed by whoever may change them, verified by every host itself.

Of an account there are two parts, each with its own generation: the password, which its user may
change, and all else, which only administrators change. Each host keeps the newer of each part, so
that all hosts come to the same account in whatever order statements reach them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from tsproto import certificates, limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.identity import IdentityError
from tsproto.messages import AccountStatement, AdministratorRole, PasswordStatement, Role
from tsproto.user_proof import CostRefused, normal, prefixed

ACCOUNT_DOMAIN = b"tsfarm account statement 1\0"
PASSWORD_DOMAIN = b"tsfarm password statement 1\0"
MICROSECONDS = 1_000_000
# Checked where there is no password, so that the answer takes as long.
_NOBODYS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()

_decode_account = msgspec.json.Decoder(Account).decode


class Standing(IntEnum):
    """How a good statement stands to what was known of the account."""

    NEW = 1
    KNOWN = 2
    OVERTAKEN = 3
    """By a later one, so that it changes nothing."""


class StatementRefused(TsfarmError):
    """The statement changes nothing; the text says why."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


# --- of an administrator --------------------------------------------------------------------------


def account_statement(
    farm: str, account: Account, certificate: bytes, key: Ed25519PrivateKey
) -> AccountStatement:
    """`certificate` is the administrator's, DER, and `key` its key. The generation stated is that
    of the administrators' part."""
    stated = replace(account, generation=account.stated or account.generation, stated=0)
    encoded = msgspec.json.encode(stated)
    signature = key.sign(_account_bytes(farm, encoded))
    return AccountStatement(account=encoded, signer=certificate, signature=signature)


def stated_account(
    farm: str, statement: AccountStatement, authorities: Sequence[bytes], now: float
) -> Account:
    """The account that an administrator of the farm has signed; `authorities` are the farm's, DER.
    Raises StatementRefused."""
    key = _administrators_key(farm, statement.signer, authorities, now)
    if not _is_signed(key, statement.signature, _account_bytes(farm, statement.account)):
        detail = "the statement is not signed by the administrator that it names, for this farm"
        raise StatementRefused(ErrorCode.NOT_PERMITTED, detail)
    try:
        account = _decode_account(statement.account)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        detail = f"the account cannot be read: {error}"
        raise StatementRefused(ErrorCode.NOT_PERMITTED, detail) from None
    _check_ahead(max(account.generation, *_age(account)), now)
    return replace(account, stated=0)


def merged(known: Account | None, stated: Account) -> Account | None:
    """The account with what an administrator stated, which may be known already; None when a later
    statement is known."""
    if known is None:
        return _dated(stated, stated.generation)
    last = known.stated or known.generation
    base = stated if stated.generation > last else known
    if base.password is not None:
        passwords = [each.password for each in (known, stated) if each.password is not None]
        base = replace(base, password=max(passwords, key=lambda password: password.age))
    found = _dated(base, max(stated.generation, last))
    return None if found == known and stated.generation < last else found


# --- of a user ------------------------------------------------------------------------------------


def password_statement(
    farm: str, user_name: str, password: PasswordKey, key: Ed25519PrivateKey
) -> PasswordStatement:
    """`password` is new, `changed` its generation; `key` is that of the present password."""
    unsigned = PasswordStatement(
        user_name=normal(user_name),
        generation=password.changed,
        public_key=password.public_key,
        salt=password.salt,
        memory_kib=password.memory_kib,
        passes=password.passes,
        lanes=password.lanes,
        signature=bytes(64),
    )
    return replace(unsigned, signature=key.sign(_password_bytes(farm, unsigned)))


def with_password(
    farm: str, known: Account | None, statement: PasswordStatement, now: float
) -> Account | None:
    """The account with its user's new password, which may be known already; None when a later one
    is known. Raises StatementRefused: LOGON_FAILED alike for an unknown user and a wrong key."""
    _check_ahead(statement.generation, now)
    password = PasswordKey(
        public_key=statement.public_key,
        salt=statement.salt,
        memory_kib=statement.memory_kib,
        passes=statement.passes,
        lanes=statement.lanes,
        changed=statement.generation,
    )
    try:
        password.cost.check()
    except CostRefused as error:
        raise StatementRefused(ErrorCode.NOT_PERMITTED, str(error)) from None
    present = known.password if known is not None and not known.removed else None
    key = present.public_key if present is not None else _NOBODYS_KEY
    if known is not None and present == replace(password, given=present.given if present else 0):
        return known  # signed by the key before it, which is gone
    is_signed = _is_signed(key, statement.signature, _password_bytes(farm, statement))
    if known is None or present is None:
        raise StatementRefused(ErrorCode.LOGON_FAILED, "user name or password is wrong")
    if statement.generation <= max(present.age):
        if not is_signed:
            return None
        detail = "the password was changed later than this: correct the clock that is wrong"
        raise StatementRefused(ErrorCode.NOT_PERMITTED, detail)
    if not is_signed:
        raise StatementRefused(ErrorCode.LOGON_FAILED, "user name or password is wrong")
    fresh = replace(password, given=present.given)
    return _dated(replace(known, password=fresh), known.stated or known.generation)


def _dated(account: Account, stated: int) -> Account:
    """The account with its generation: that of its newer part."""
    newest = max(stated, _age(account)[1])
    return replace(account, generation=newest, stated=stated if stated < newest else 0)


def _age(account: Account) -> tuple[int, int]:
    return (0, 0) if account.password is None else account.password.age


# --- signatures -----------------------------------------------------------------------------------


def _account_bytes(farm: str, account: bytes) -> bytes:
    return ACCOUNT_DOMAIN + prefixed(farm.encode(), account)


def _password_bytes(farm: str, statement: PasswordStatement) -> bytes:
    numbers = (statement.memory_kib, statement.passes, statement.lanes)
    return PASSWORD_DOMAIN + prefixed(
        farm.encode(),
        normal(statement.user_name).encode(),
        statement.generation.to_bytes(8, "big"),
        statement.public_key,
        statement.salt,
        *(number.to_bytes(8, "big") for number in numbers),
    )


def _administrators_key(
    farm: str, signer: bytes, authorities: Sequence[bytes], now: float
) -> bytes:
    """The key of an administrator's certificate that is good now. Raises StatementRefused."""
    try:
        certificate = certificates.parse_certificate(signer)
        found = certificates.identity_in(certificate)
        key = certificate.public_key()
    except (IdentityError, ValueError) as error:
        detail = f"the signer of the statement: {error}"
        raise StatementRefused(ErrorCode.NOT_PERMITTED, detail) from None
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    fault = ""
    if found.farm != farm or found.role is not Role.ADMINISTRATOR:
        fault = f"is {found.role.words} of farm {found.farm}, not an administrator of {farm}"
    elif found.administrator_role is not AdministratorRole.ADMIN:
        fault = "has not the role admin, which stating accounts wants"
    elif not any(certificates.is_issued_by(signer, authority) for authority in authorities):
        fault = f"is not certified by the authority of farm {farm}"
    elif not starts.timestamp() <= now < ends.timestamp():
        fault = f"has a certificate that is good from {starts:%Y-%m-%d} to {ends:%Y-%m-%d} only"
    elif not isinstance(key, Ed25519PublicKey):
        fault = "has a key that is not Ed25519"
    if fault or not isinstance(key, Ed25519PublicKey):
        detail = f"the signer of the statement, {found.name!r}, {fault}"
        raise StatementRefused(ErrorCode.NOT_PERMITTED, detail)
    return key.public_bytes_raw()


def _is_signed(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_ahead(generation: int, now: float) -> None:
    if generation > (now + limits.GENERATION_AHEAD_SECONDS) * MICROSECONDS:
        raise StatementRefused(
            ErrorCode.NOT_PERMITTED,
            f"the statement has generation {generation}, more than a day ahead of this clock's"
            f" {int(now * MICROSECONDS)}: correct the clock that is wrong",
        )
