"""The commands of `tsfarm user`, which come as one request each and give rows to show.

Each changes the file under its lock, raises the generations of the accounts that it changes, and
converts a file of version 1 first.
"""

from __future__ import annotations

import base64
import pwd
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from daemons.accounts.converting import convert
from daemons.accounts.file import AccountsError, EarlierVersion, change, check_farm, read
from daemons.accounts.keys import password_key
from tsproto import ssh_keys
from tsproto.account import Account
from tsproto.errors import TsfarmError
from tsproto.user_proof import normal

EVERYTHING = "*"  # in place of the names of applications or servers

Row: TypeAlias = dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag=str.lower):
    """`accounts` is the path of the file. `farm` is needed for a new file or one of version 1."""

    accounts: str
    farm: str = ""


class Add(Request, frozen=True, kw_only=True):
    """Without `change_known` the name must be new; with it only what is given is changed."""

    name: str
    change_known: bool = False
    password: bytes | UnsetType = UNSET
    system_user: str | UnsetType = UNSET
    ssh_keys: tuple[str, ...] | UnsetType = UNSET
    pam: bool | UnsetType = UNSET
    applications: tuple[str, ...] | UnsetType = UNSET
    servers: tuple[str, ...] | UnsetType = UNSET


class Passwd(Request, frozen=True, kw_only=True):
    name: str
    password: bytes


class Keys(Request, frozen=True, kw_only=True):
    """`removed` are fingerprints as `ssh-keygen -l` prints them."""

    name: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Disable(Request, frozen=True, kw_only=True):
    name: str


class Enable(Request, frozen=True, kw_only=True):
    name: str


class Remove(Request, frozen=True, kw_only=True):
    name: str


class List(Request, frozen=True, kw_only=True):
    pass


class Export(Request, frozen=True, kw_only=True):
    """The accounts to state to other hosts: those of these names, or all; removed ones too."""

    names: tuple[str, ...] = ()


AnyRequest: TypeAlias = Add | Passwd | Keys | Disable | Enable | Remove | List | Export


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """`notes` are for the person who gave the command."""

    farm: str
    rows: list[Row]
    notes: list[str]


def perform(request: AnyRequest, generation: int | None = None) -> Reply:
    """`generation` is that of changes, by default the time. Raises AccountsError."""
    path = Path(request.accounts)
    now = time.time_ns() // 1000 if generation is None else generation
    notes = _converted(path, request.farm, now)
    match request:
        case List():
            file = read(path)
            found = [_row(each) for each in _present(file.accounts).values()]
        case Keys(added=(), removed=()):
            file = read(path)
            found = _key_rows(_known(path, file.accounts, request.name))
        case Export():
            file = read(path)
            names = request.names or tuple(file.accounts)
            found = [msgspec.to_builtins(_exported(path, file.accounts, name)) for name in names]
        case _:
            account = _changed(path, request, now)
            file = read(path)
            found = _key_rows(account) if isinstance(request, Keys) else [_row(account)]
    check_farm(path, file.header, request.farm)
    return Reply(farm=file.header.accounts_of_farm, rows=found, notes=notes)


def _converted(path: Path, farm: str, now: int) -> list[str]:
    try:
        if path.exists():
            read(path)
    except EarlierVersion:
        count = convert(path, farm, now)
        return [
            f"{path}: converted {count} accounts, without its comments; destroy copies of the old"
            " file: its hashes are as good as the passwords"
        ]
    return []


def _changed(
    path: Path, request: Add | Passwd | Keys | Disable | Enable | Remove, now: int
) -> Account:
    name = normal(request.name)
    done: list[Account] = []

    def changed(accounts: Mapping[str, Account]) -> list[Account]:
        known = accounts.get(name)
        generation = max(now, known.generation + 1 if known else 0)
        if isinstance(request, Add):
            fresh = _added(path, request, known)
        else:
            fresh = _edited(request, _known(path, accounts, name))
        fresh = replace(fresh, name=name, generation=generation, stated=0)
        if isinstance(request, Add | Passwd) and isinstance(request.password, bytes):
            farm = request.farm or read(path).header.accounts_of_farm
            key = password_key(farm, name, request.password, generation)
            fresh = replace(fresh, password=key)
        done.append(fresh)
        return done

    change(path, request.farm, changed)
    return done[0]


def _added(path: Path, request: Add, known: Account | None) -> Account:
    is_there = known is not None and not known.removed
    if is_there and not request.change_known:
        raise AccountsError(
            f"{path}: {request.name!r} is there already: `--replace` changes what is given with it"
        )
    if not is_there and request.change_known:
        raise AccountsError(f"{path}: there is no user {request.name!r} to replace")
    base = known if known is not None and is_there else Account(name="", generation=0)
    given = {
        name: value
        for name in ("system_user", "ssh_keys", "pam", "applications", "servers")
        if (value := getattr(request, name)) is not UNSET
    }
    if "ssh_keys" in given:
        given["ssh_keys"] = tuple(dict.fromkeys([*base.ssh_keys, *given["ssh_keys"]]))
    for name in ("applications", "servers"):
        if EVERYTHING in given.get(name, ()):
            given[name] = None
    if system_user := given.get("system_user"):
        _check_system_user(system_user)
    return replace(base, **given)


def _check_system_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise AccountsError(
            f"this host has no system user {name!r}: make it, for example with `useradd`, here and"
            " on each terminal server"
        ) from None


def _edited(request: Passwd | Keys | Disable | Enable | Remove, known: Account) -> Account:
    match request:
        case Keys():
            return replace(known, ssh_keys=_edited_keys(request, known))
        case Disable():
            return replace(known, disabled=True)
        case Enable():
            return replace(known, disabled=False)
        case Remove():
            return Account(name=known.name, generation=0, removed=True)
    return known


def _edited_keys(request: Keys, known: Account) -> tuple[str, ...]:
    lines = list(known.ssh_keys)
    present = {shown_fingerprint(line): line for line in lines}
    for fingerprint in request.removed:
        if fingerprint not in present:
            raise AccountsError(
                f"{known.name!r} has no SSH key {fingerprint}: see `tsfarm user keys {known.name}`"
            )
        lines.remove(present.pop(fingerprint))
    for line in request.added:
        try:
            fingerprint = shown_fingerprint(line)
        except TsfarmError as error:
            raise AccountsError(str(error)) from None
        if fingerprint not in present:
            present[fingerprint] = line.strip()
            lines.append(line.strip())
    return tuple(lines)


def shown_fingerprint(line: str) -> str:
    """As `ssh-keygen -l` prints it. Raises SshKeyError."""
    digest = ssh_keys.read(line).fingerprint
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


# --- what is shown --------------------------------------------------------------------------------


def _present(accounts: Mapping[str, Account]) -> dict[str, Account]:
    return {name: account for name, account in accounts.items() if not account.removed}


def _known(path: Path, accounts: Mapping[str, Account], name: str) -> Account:
    """Raises AccountsError."""
    found = _present(accounts).get(normal(name))
    if found is None:
        raise AccountsError(f"{path}: there is no user {name!r}: see `tsfarm user list`")
    return found


def _exported(path: Path, accounts: Mapping[str, Account], name: str) -> Account:
    """Raises AccountsError."""
    return accounts.get(normal(name)) or _known(path, accounts, name)


def _row(account: Account) -> Row:
    return {
        "user_name": account.name,
        "system_user": account.system_user,
        "state": _state(account),
        "password": account.password is not None,
        "ssh_keys": len(account.ssh_keys),
        "pam": account.pam,
        "applications": _names(account.applications),
        "servers": _names(account.servers),
        "changed_at": account.generation // 1_000_000,
    }


def _state(account: Account) -> str:
    if account.removed:
        return "removed"
    return "disabled" if account.disabled else "enabled"


def _names(names: tuple[str, ...] | None) -> list[str]:
    return [EVERYTHING] if names is None else list(names)


def _key_rows(account: Account) -> list[Row]:
    rows = []
    for line in account.ssh_keys:
        kind, _, comment = (*line.split(" ", 2), "", "")[:3]
        rows.append({"kind": kind, "fingerprint": shown_fingerprint(line), "comment": comment})
    return rows
