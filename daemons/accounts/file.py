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

import msgspec
from msgspec import Meta

from daemons.files import durable
from daemons.files.explained import checked
from daemons.files.reread import Reread
from tsproto import limits, ssh_keys
from tsproto.account import Account
from tsproto.error_text import words_of
from tsproto.errors import TsfarmError
from tsproto.messages import AccountStatement, Name, PasswordStatement
from tsproto.statements import Standing, merged, stated_account, with_password
from tsproto.user_proof import normal

SECRET_BYTES = 32

T = TypeVar("T", bound=msgspec.Struct)


class AccountsError(TsfarmError):
    """The accounts file cannot be used, or an account cannot be added; the text says why."""


class EarlierVersion(AccountsError):
    """The accounts file holds hashes, as in version 1; see `daemons.accounts.converting`."""


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
        self._path = path
        self._farm = farm
        self._file = Reread(path, self._read, on_fault)

    @property
    def secret(self) -> bytes:
        return self._file.content().header.secret

    def find(self, user_name: str) -> Account | None:
        account = self._file.content().accounts.get(user_name)
        return None if account is None or account.removed else account

    def take(
        self,
        statement: AccountStatement | PasswordStatement,
        authorities: Sequence[bytes],
        now: float,
    ) -> Standing:
        """Store what the statement changes, durably. Raises StatementRefused and AccountsError."""
        stated: Account | None = None
        if isinstance(statement, AccountStatement):
            stated = stated_account(self._farm, statement, authorities, now)

        def changed(accounts: Mapping[str, Account]) -> Account | None:
            if isinstance(statement, PasswordStatement):
                known = accounts.get(normal(statement.user_name))
                return with_password(self._farm, known, statement, now)
            assert stated is not None
            return merged(accounts.get(stated.name), stated)

        accounts = self._file.content().accounts
        found = changed(accounts)
        if found is None:
            return Standing.OVERTAKEN
        if accounts.get(found.name) == found:
            return Standing.KNOWN
        # Another process may have changed the file: decide again, under the lock.
        change(self._path, self._farm, lambda now_there: filter(None, [changed(now_there)]))
        return Standing.NEW

    def all(self) -> Iterable[Account]:
        return self._file.content().accounts.values()

    def _read(self, path: Path) -> File:
        file = read(path)
        check_farm(path, file.header, self._farm)
        return file


# --- the file -------------------------------------------------------------------------------------


def read(path: Path) -> File:
    """Raises AccountsError with file and line; also when other users may read or change it."""
    first, *lines = lines_of(path)
    if not first.startswith("{"):
        raise EarlierVersion(
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


def lines_of(path: Path) -> list[str]:
    """Raises AccountsError; also when other users may read or change the file."""
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
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError:
        return checked(msgspec.json.decode(line), kind, where, AccountsError)
    except msgspec.DecodeError as error:
        raise AccountsError(f"{where}: expected an account in JSON: {error}") from None


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
        keys = {ssh_keys.read(line).fingerprint for line in account.ssh_keys}
    except TsfarmError as error:
        return f"{name}: {error}"
    return f"{name}: an SSH key stands there twice" if len(keys) < len(account.ssh_keys) else ""


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
    Durable when it returns. Raises AccountsError."""
    if not path.parent.is_dir():
        raise AccountsError(f"no folder {path.parent}: make it")
    try:
        with durable.locked(path.parent):
            file = read(path) if path.exists() else _fresh(path, farm)
            check_farm(path, file.header, farm)
            accounts = {account.name: account for account in changed(file.accounts)}
            for account in accounts.values():
                _check(account)
            write(path, File(file.header, {**file.accounts, **accounts}))
    except OSError as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None


def _check(account: Account) -> None:
    """Raises AccountsError."""
    checked(msgspec.to_builtins(account), Account, account.name, AccountsError)
    if fault := fault_of(account):
        raise AccountsError(fault)
    if (size := len(msgspec.json.encode(account))) > limits.ACCOUNT_BYTES:
        raise AccountsError(
            f"{account.name}: the account takes {size} bytes, at most {limits.ACCOUNT_BYTES} are"
            " allowed"
        )


def check_farm(path: Path, header: Header, farm: str) -> None:
    """`farm` empty means the file's own. Raises AccountsError."""
    if farm not in ("", header.accounts_of_farm):
        raise AccountsError(
            f"{path}: holds the accounts of farm {header.accounts_of_farm!r}, not of {farm!r}: name"
            " the farm's own file"
        )


def _fresh(path: Path, farm: str) -> File:
    if not farm:
        raise AccountsError(f"{path}: there is no such file: to make it, give --farm NAME")
    return File(fresh_header(farm), {})


def fresh_header(farm: str) -> Header:
    """Raises AccountsError."""
    secret = base64.b64encode(os.urandom(SECRET_BYTES)).decode()
    return checked({"accounts_of_farm": farm, "secret": secret}, Header, "--farm", AccountsError)
