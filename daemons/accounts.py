"""User accounts: a password file, checked in threads.

Each line is an account, `name:argon2id-hash:system_user`; blank lines and lines that begin with `#`
are comments. The file is read again when it has changed. A changed file with a fault is logged, and
the accounts read before stay valid, so that a typing error locks nobody out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
import msgspec

from daemons import events
from daemons.effects import Verified
from daemons.files import durable
from daemons.logs import log
from tsproto import limits
from tsproto.errors import TsfarmError
from tsproto.messages import UserName
from tsproto.transport.error_text import words_of

# For synthetic users only, whose password lies in a file beside the accounts: one pass over 8 KiB,
# 50 µs. An attacker who reads such a hash can try thousands of passwords a second.
_CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class AccountsError(TsfarmError):
    """The accounts file cannot be used, or an account cannot be added; the text says why."""


class Account(msgspec.Struct, frozen=True):
    name: str
    password_hash: str
    system_user: str


def matches(password_hash: str, password: bytes) -> bool:
    """Takes as long as the hash's parameters say: an eighth of a second of a core and 64 MiB for a
    hash made by `add`."""
    try:
        return argon2.PasswordHasher().verify(password_hash, password)
    except argon2.exceptions.VerificationError:
        return False


class Accounts:
    """At most PASSWORD_CHECKS_AT_ONCE passwords are checked at a time."""

    def __init__(
        self,
        path: Path,
        *,
        matches: Callable[[str, bytes], bool] = matches,
    ) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(limits.PASSWORD_CHECKS_AT_ONCE, "password-check")
        self._matches = matches
        # An unknown user's password is checked against this, which takes as long as a known one's.
        self._nobodys_hash = argon2.PasswordHasher().hash(os.urandom(16))
        self._version: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def check(self) -> None:
        """Read the file at the start; raises AccountsError. A later fault in it is logged."""
        self._version = _version(self._path)
        self._accounts = read_accounts(self._path)

    async def verify(self, user_name: str, password: bytes) -> Verified:
        account = self._current().get(user_name)
        password_hash = account.password_hash if account else self._nobodys_hash
        matches = await asyncio.get_running_loop().run_in_executor(
            self._pool, self._matches, password_hash, password
        )
        if account is None or not matches:
            return Verified(accepted=False)
        return Verified(accepted=True, system_user=account.system_user)

    async def look_up(self, user_name: str) -> Verified:
        """The account of a user who was proved without a password."""
        account = self._current().get(user_name)
        if account is None:
            return Verified(accepted=False)
        return Verified(accepted=True, system_user=account.system_user)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _current(self) -> dict[str, Account]:
        if _version(self._path) != self._version:
            try:
                self.check()
            except AccountsError as error:
                log(events.AccountsUnreadable(detail=str(error)))
        return self._accounts


def _version(path: Path) -> tuple[int, int, int] | None:
    """A value that changes with the file; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


# --- the file -------------------------------------------------------------------------------------


def read_accounts(path: Path) -> dict[str, Account]:
    """Raises AccountsError with file and line; also when other users may read the file."""
    accounts: dict[str, Account] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        account = _parsed(line, f"{path}, line {number}")
        if account.name in accounts:
            raise AccountsError(f"{path}, line {number}: {account.name!r} stands there twice")
        accounts[account.name] = account
    return accounts


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except FileNotFoundError:
        raise AccountsError(f"{path}: there is no such file; `tsfarm user add` makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise AccountsError(
            f"{path}: its mode is {stat.S_IMODE(mode):04o}, and others could read it:"
            f" chmod 600 {path}"
        )
    # Not splitlines: a name may hold other characters that it takes for ends of lines.
    return text.removesuffix("\n").split("\n")


def _parsed(line: str, where: str) -> Account:
    fields = line.split(":")
    if len(fields) != 3:
        raise AccountsError(f"{where}: expected `name:argon2id-hash:system_user`")
    name, password_hash, system_user = fields
    if reason := _refusal_of(name):
        raise AccountsError(f"{where}: {reason}")
    try:
        parameters = argon2.extract_parameters(password_hash)
    except argon2.exceptions.InvalidHashError:
        raise AccountsError(f"{where}: the second field is no argon2 hash") from None
    if parameters.type is not argon2.Type.ID:
        raise AccountsError(f"{where}: the second field is no argon2id hash")
    return Account(name, password_hash, system_user)


def _refusal_of(name: str) -> str:
    """Why this cannot be the name of an account; empty when it can."""
    try:
        msgspec.convert(name, UserName)
    except msgspec.ValidationError:
        return "a user name has at most 104 characters, and no control characters"
    if not name or name != name.strip() or name.startswith("#") or ":" in name:
        return (
            f"{name!r} is no user name: it must not be empty, begin with #, hold a colon, or"
            " begin or end with a space"
        )
    return ""


# --- `tsfarm user add` ----------------------------------------------------------------------------


def add(path: Path, name: str, password: str, system_user: str, *, replace: bool = False) -> None:
    """Add an account, and make the file when there is none. A daemon that runs notices.

    Raises AccountsError for an invalid name, system user or password, for a file that cannot be
    used, and for a name that is there already, unless `replace`.
    """
    if reason := _refusal_of(name):
        raise AccountsError(reason)
    if ":" in system_user or not system_user.isprintable():
        raise AccountsError(f"{system_user!r} is no system user")
    if not 1 <= len(password.encode()) <= limits.PASSWORD_BYTES:
        raise AccountsError(f"a password must have 1 to {limits.PASSWORD_BYTES} bytes")
    line = f"{name}:{argon2.PasswordHasher().hash(password)}:{system_user}"
    _add(path, {name: line}, replace=replace)


def add_synthetic(path: Path, names: Iterable[str], password: str, system_user: str) -> None:
    """Add accounts for a load generator, of a lab only: they share one password and one hash, which
    is cheap to check (argon2id, m=8 KiB, t=1, p=1) and hence to guess. Raises AccountsError."""
    password_hash = _CHEAP.hash(password)
    _add(path, {name: f"{name}:{password_hash}:{system_user}" for name in names}, replace=True)


def _add(path: Path, fresh: Mapping[str, str], *, replace: bool) -> None:
    """`fresh` has the line of each account by its name."""
    if not path.parent.is_dir():
        raise AccountsError(f"no folder {path.parent}: make it")
    try:
        with durable.locked(path.parent):
            lines = _with(path, fresh, replace=replace)
            durable.replace(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise AccountsError(f"{path}: {words_of(error)}") from None


def _with(path: Path, fresh: Mapping[str, str], *, replace: bool) -> list[str]:
    """The file's lines with these accounts' in their places, or at the end."""
    if not path.exists():
        return ["# name:argon2id-hash:system_user", *fresh.values()]
    known = read_accounts(path)
    if not replace and (twice := [name for name in fresh if name in known]):
        raise AccountsError(f"{path}: {twice[0]!r} is there already")
    lines = [fresh.get(line.partition(":")[0], line) for line in _lines(path)]
    return [*lines, *(line for name, line in fresh.items() if name not in known)]


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m daemons.accounts add …`, which `tsfarm user add` runs; the password is the first
    line of standard input. 0 done, 1 refused."""
    parser = argparse.ArgumentParser(prog="tsfarm user")
    adding = parser.add_subparsers(required=True).add_parser("add")
    adding.add_argument("name")
    adding.add_argument("--accounts", type=Path, required=True)
    adding.add_argument("--system-user", default="")
    adding.add_argument("--replace", action="store_true")
    options = parser.parse_args(arguments)
    try:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n").decode()
        add(options.accounts, options.name, password, options.system_user, replace=options.replace)
    except UnicodeDecodeError:
        print("tsfarm: the password is not UTF-8", file=sys.stderr)
        return 1
    except AccountsError as error:
        print(f"tsfarm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
