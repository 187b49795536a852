"""Converts an accounts file of version 1: `name:argon2id-hash:system_user` a line.

A hash gives the key of the password, so that every user logs on as before. For the same reason a
copy of the old file is as good as the passwords.
"""

from __future__ import annotations

from pathlib import Path

from daemons.accounts.file import AccountsError, File, fault_of, fresh_header, lines_of, write
from daemons.accounts.keys import converted
from daemons.files import durable
from tsproto.account import Account
from tsproto.user_proof import CostRefused, normal


def convert(path: Path, farm: str, generation: int) -> int:
    """Replace the file by one of version 2, and give the number of its accounts. Raises
    AccountsError, and changes nothing, when a line cannot be converted."""
    if not farm:
        raise AccountsError(
            f"{path}: is of an earlier version: to convert it, give the farm's name, --farm NAME"
        )
    with durable.locked(path.parent):
        accounts: dict[str, Account] = {}
        for number, line in enumerate(lines_of(path), 1):
            if line.startswith("{"):
                return 0  # converted meanwhile
            if not line.strip() or line.startswith("#"):
                continue
            account = _account(line, farm, generation, f"{path}, line {number}")
            if account.name in accounts:
                raise AccountsError(f"{path}, line {number}: {account.name!r} stands there twice")
            accounts[account.name] = account
        write(path, File(fresh_header(farm), accounts))
    return len(accounts)


def _account(line: str, farm: str, generation: int, where: str) -> Account:
    fields = line.split(":")
    if len(fields) != 3:
        raise AccountsError(f"{where}: expected `name:argon2id-hash:system_user`")
    name, password_hash, system_user = normal(fields[0]), fields[1], fields[2]
    try:
        key = converted(farm, name, password_hash, generation)
        key.cost.check()
    except ValueError as error:
        raise AccountsError(f"{where}: the second field cannot be converted: {error}") from None
    except CostRefused as error:
        raise AccountsError(
            f"{where}: the hash of {name!r} has a cost that no client accepts ({error}): delete"
            f" the line, and after the conversion run `tsfarm user add` for a new password"
        ) from None
    account = Account(name=name, generation=generation, system_user=system_user, password=key)
    if fault := fault_of(account):
        raise AccountsError(f"{where}: {fault}")
    return account
