"""The accounts file: one account a line, in JSON, after a line about the farm.

Root's file on a host where sessions run as many users: the keeper judges users' proofs by it, and
starts programs only for those it names. It holds no secret of a user. The file is read again when
it has changed. A changed file with a fault is logged, and the accounts read before stay valid, so
that a typing error locks nobody out.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import argon2
import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from daemons.files import durable
from daemons.files.explained import checked
from daemons.files.reread import Reread
from tsproto import limits, ssh_keys
from tsproto.account import Account, PasswordKey
from tsproto.errors import TsfarmError
from tsproto.messages import Name, UserName
from tsproto.transport.error_text import words_of
from tsproto.user_proof import Cost, key_of_tag, normal

SECRET_BYTES = 32

T = TypeVar("T", bound=msgspec.Struct)


class AccountsError(TsfarmError):
    """The accounts file cannot be used, or an account cannot be added; the text says why."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. The salts of unknown names come from `secret`, the same on every host."""

    accounts_of_farm: Name
    version: Literal[2] = 2
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]


class File(msgspec.Struct, frozen=True):
    """The content of an accounts file."""

    header: Header
    accounts: Mapping[str, Account]


class Accounts:
    """`find` looks up an account by its name in NFC. A changed file is read again, see Reread.
    Raises AccountsError."""

    def __init__(self, path: Path, farm: str, on_fault: Callable[[str], None]) -> None:
        self._farm = farm
        self._file = Reread(path, self._read, on_fault)

    @property
    def secret(self) -> bytes:
        return self._file.content().header.secret

    def find(self, user_name: str) -> Account | None:
        return self._file.content().accounts.get(user_name)

    def all(self) -> Iterable[Account]:
        return self._file.content().accounts.values()

    def _read(self, path: Path) -> File:
        file = read(path)
        if file.header.accounts_of_farm != self._farm:
            raise AccountsError(
                f"{path}: holds the accounts of farm {file.header.accounts_of_farm!r}, not of"
                f" {self._farm!r}: name the farm's own file"
            )
        return file


# --- the file -------------------------------------------------------------------------------------


def read(path: Path) -> File:
    """Raises AccountsError with file and line; also when other users may read or change it."""
    first, *lines = _lines(path)
    if not first.startswith("{"):
        raise AccountsError(
            f"{path}: is of an earlier version: any `tsfarm user` command converts it, for example"
            f" `tsfarm user list --accounts {path} --farm NAME`"
        )
    header = _parsed(first, Header, f"{path}, line 1")
    accounts: dict[str, Account] = {}
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        account = _parsed(line, Account, where)
        if fault := fault_of(account):
            raise AccountsError(f"{where}: {fault}")
        if account.name in accounts:
            raise AccountsError(f"{where}: {account.name!r} stands there twice")
        accounts[account.name] = account
    return File(header, accounts)


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            found = os.fstat(file.fileno())
            text = file.read()
    except FileNotFoundError:
        raise AccountsError(f"{path}: there is no such file; `tsfarm user add` makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise AccountsError(
            f"{path}: its mode is {stat.S_IMODE(found.st_mode):04o}, and others could read it:"
            f" chmod 600 {path}"
        )
    # Not splitlines: a name may hold other characters that it takes for ends of lines.
    return text.removesuffix("\n").split("\n")


def _parsed(line: str, kind: type[T], where: str) -> T:
    try:
        raw = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise AccountsError(f"{where}: expected an account in JSON: {error}") from None
    return checked(raw, kind, where, AccountsError)


def fault_of(account: Account) -> str:
    """Why this cannot be an account; empty when it can."""
    name = account.name
    if not name or name != name.strip() or name != normal(name):
        return (
            f"{name!r} is no user name: it must not be empty, or begin or end with a space, and"
            " must be in Unicode's form NFC"
        )
    try:
        if account.password is not None:
            account.password.cost.check()
        for line in account.ssh_keys:
            ssh_keys.read(line)
    except TsfarmError as error:
        return f"{name}: {error}"
    return ""


def write(path: Path, file: File) -> None:
    """Durable when it returns. Raises AccountsError."""
    rows = [file.header, *file.accounts.values()]
    try:
        durable.replace(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    except OSError as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None


def change(
    path: Path, farm: str, changed: Callable[[Mapping[str, Account]], Iterable[Account]]
) -> None:
    """Put the accounts that `changed` makes of those there; makes the file when there is none.
    Raises AccountsError."""
    if not path.parent.is_dir():
        raise AccountsError(f"no folder {path.parent}: make it")
    try:
        with durable.locked(path.parent):
            file = read(path) if path.exists() else _fresh(farm)
            accounts = {account.name: account for account in changed(file.accounts)}
            for account in accounts.values():
                if fault := fault_of(account):
                    raise AccountsError(fault)
            write(path, File(file.header, {**file.accounts, **accounts}))
    except OSError as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None


def _fresh(farm: str) -> File:
    return File(Header(accounts_of_farm=farm, secret=os.urandom(SECRET_BYTES)), {})


# --- keys of passwords ----------------------------------------------------------------------------


def password_key(farm: str, user_name: str, password: bytes) -> PasswordKey:
    """The public key of a new password, with a new salt. Raises AccountsError."""
    if not 1 <= len(password) <= limits.PASSWORD_BYTES:
        raise AccountsError(f"a password must have 1 to {limits.PASSWORD_BYTES} bytes")
    cost, salt = Cost(), os.urandom(limits.SALT_BYTES)
    tag = hash_secret_raw(
        password, salt, cost.passes, cost.memory_kib, cost.lanes, 32, Type.ID, version=0x13
    )
    return _public(key_of_tag(farm, user_name, tag), salt, cost)


def converted(farm: str, user_name: str, password_hash: str) -> PasswordKey:
    """The public key of a password of which only its argon2id hash is known: the hash is the tag.
    Raises ValueError."""
    try:
        parameters = argon2.extract_parameters(password_hash)
    except argon2.exceptions.InvalidHashError as error:
        raise ValueError("it is no argon2 hash") from error
    if parameters.type is not argon2.Type.ID or parameters.version != 0x13:
        raise ValueError("it is no argon2id hash of version 19")
    salt, tag = (_unpadded(part) for part in password_hash.split("$")[-2:])
    cost = Cost(parameters.memory_cost, parameters.time_cost, parameters.parallelism)
    return _public(key_of_tag(farm, user_name, tag), salt, cost)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _public(key: Ed25519PrivateKey, salt: bytes, cost: Cost) -> PasswordKey:
    return PasswordKey(
        public_key=key.public_key().public_bytes_raw(),
        salt=salt,
        memory_kib=cost.memory_kib,
        passes=cost.passes,
        lanes=cost.lanes,
    )


def synthetic(
    farm: str, names: Sequence[UserName], secret: bytes, system_user: str, generation: int
) -> list[Account]:
    """Accounts for a load generator, whose keys come from one secret of 32 bytes instead of a
    password each: `key_of_tag` takes it for the tag."""
    salt, cost = os.urandom(limits.SALT_BYTES), Cost()
    return [
        Account(
            name=name,
            generation=generation,
            system_user=system_user,
            password=_public(key_of_tag(farm, name, secret), salt, cost),
        )
        for name in names
    ]
