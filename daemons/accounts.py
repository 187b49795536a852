"""Who a user is: a file of passwords, checked off the loop.

A line is `name:argon2id hash:system user`, the last empty where sessions run as the daemon's own
user. An unknown user costs the same work as a wrong password, so the two cannot be told apart.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
import msgspec

from daemons.effects import Verified
from tsproto import limits
from tsproto.errors import TsfarmError

USER_NAME = re.compile(r"[^\x00-\x20\x7f:#][^\x00-\x1f\x7f:]{0,103}")
SYSTEM_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?|")
HASH_PREFIX = "$argon2id$"
FILE_MODE = 0o600


class AccountsError(TsfarmError):
    """The password file cannot be used; the text names file, line and next step."""


class Account(msgspec.Struct, frozen=True):
    name: str
    password_hash: str
    system_user: str


def read(path: Path) -> dict[str, Account]:
    """All accounts by name, in the order of the file; raises AccountsError."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AccountsError(
            f"{path}: cannot be read: {error}; `tsfarm user add` makes it"
        ) from None
    if mode & 0o077:
        raise AccountsError(f"{path}: others may read the hashes; run: chmod 600 {path}")
    accounts: dict[str, Account] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            account = _parse(path, number, line)
            if account.name in accounts:
                raise AccountsError(f"{path}:{number}: user {account.name} stands twice")
            accounts[account.name] = account
    return accounts


def _parse(path: Path, number: int, line: str) -> Account:
    fields = line.split(":")
    if (
        len(fields) != 3
        or not USER_NAME.fullmatch(fields[0])
        or not fields[1].startswith(HASH_PREFIX)
        or not SYSTEM_USER.fullmatch(fields[2])
    ):
        raise AccountsError(
            f"{path}:{number}: expected `name:argon2id hash:system user`; mend or remove the line"
        )
    return Account(*fields)


def add(path: Path, name: str, password: str, system_user: str = "", replace: bool = False) -> None:
    """Add a user, durably, to the file, which is made when it is missing.

    Raises AccountsError for a name that cannot be, an empty password, or a user who is there
    already unless `replace` is given.
    """
    if not USER_NAME.fullmatch(name):
        raise AccountsError(f"{name!r} is no user name: 1 to 104 characters, no colon, no control")
    if not SYSTEM_USER.fullmatch(system_user):
        raise AccountsError(f"{system_user!r} is no name of a system user")
    if not password:
        raise AccountsError("an empty password lets everybody in: give one")
    accounts = read(path) if path.exists() else {}
    if name in accounts and not replace:
        raise AccountsError(f"{path}: user {name} exists; give --replace to set a new password")
    accounts[name] = Account(name, argon2.PasswordHasher().hash(password), system_user)
    _write(path, accounts)


def _write(path: Path, accounts: dict[str, Account]) -> None:
    lines = (f"{a.name}:{a.password_hash}:{a.system_user}\n" for a in accounts.values())
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Accounts:
    """The password file of one terminal server, read again whenever it has changed.

    A file that becomes unusable lets nobody in; `check` tells why at the start.
    """

    def __init__(
        self,
        path: Path,
        *,
        at_once: int = limits.PASSWORD_CHECKS_AT_ONCE,
        waiting_max: int = limits.PASSWORD_CHECKS_WAITING,
        hasher: argon2.PasswordHasher | None = None,
    ) -> None:
        self._path = path
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobody = Account("", self._hasher.hash(secrets.token_hex(16)), "")
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._pending = 0
        self._pending_max = at_once + waiting_max
        self._stamp: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def check(self) -> None:
        """Raises AccountsError when the file cannot be used."""
        read(self._path)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def verify(self, user_name: str, password: bytes) -> Verified:
        """Whether this is the user's password; `busy` when too many checks wait already."""
        if self._pending >= self._pending_max:
            return Verified(accepted=False, busy=True)
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._verify, user_name, password)
        finally:
            self._pending -= 1

    async def look_up(self, user_name: str) -> Verified:
        """The account of a user who is proved by something else."""
        account = self._current().get(user_name)
        return Verified(False) if account is None else Verified(True, account.system_user)

    def _verify(self, user_name: str, password: bytes) -> Verified:
        account = self._current().get(user_name, self._nobody)
        try:
            self._hasher.verify(account.password_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return Verified(accepted=False)
        if account is self._nobody:
            return Verified(accepted=False)
        return Verified(accepted=True, system_user=account.system_user)

    def _current(self) -> dict[str, Account]:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp:
                self._accounts, self._stamp = read(self._path), stamp
        except (AccountsError, OSError):
            self._accounts, self._stamp = {}, None
        return self._accounts


def main(arguments: list[str] | None = None) -> int:
    """`python -m daemons.accounts add …`: what `tsfarm user add` runs. 0 done, 1 refused."""
    import argparse
    import sys

    parser = argparse.ArgumentParser(prog="tsfarm user")
    add_parser = parser.add_subparsers(dest="command", required=True).add_parser("add")
    add_parser.add_argument("name")
    add_parser.add_argument("--accounts", type=Path, required=True)
    add_parser.add_argument("--system-user", default="")
    add_parser.add_argument("--replace", action="store_true")
    options = parser.parse_args(arguments)
    password = sys.stdin.readline().rstrip("\n")
    try:
        add(options.accounts, options.name, password, options.system_user, options.replace)
    except (AccountsError, OSError) as error:
        print(f"tsfarm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
