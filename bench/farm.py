"""Our daemons for a bench: real processes with certificates, on loopback addresses."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.processes import children_cpu_seconds, cpu_seconds
from bench.programs import tsfarm
from clients.logon import steps
from clients.logon.steps import Host
from daemons import accounts, lab
from daemons.lab import making, processes
from daemons.lab.plan import Lab, Plan, load

SECRET = b"the secret of all users of bench"  # 32 bytes, from which their keys come
SSH_KEY = "ssh_key"  # of all users of bench
KEEPER_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.01

Tables = Mapping[str, Any]


class Farm:
    """A running farm. `hosts` are its terminal servers, in the order of the plan."""

    def __init__(self, folder: Path, made: Lab) -> None:
        self.folder = folder
        self.lab = made
        found = [daemon for daemon in made.daemons if daemon.role == "terminal_server"]
        self.hosts = tuple(Host(daemon.host, daemon.port, daemon.name) for daemon in found)
        self._authority = folder / "pki" / "authority.crt"
        self.authority = self._authority.read_bytes() if made.tls else None
        self._numbers = itertools.count()

    def process_of(self, name: str) -> int:
        """The process id of a running daemon."""
        pid = lab.pid_of(self.folder, name)
        if pid is None:
            raise OSError(f"{name} does not run; its log is in {self.folder / name}")
        return pid

    def keeper_of(self, name: str) -> int:
        """The process id of a terminal server's keeper, which may start after the port is bound."""
        deadline = time.monotonic() + KEEPER_SECONDS
        file = self.folder / name / "state" / "keeper.pid"
        while (pid := processes.pid_in(file, "daemons.keeper")) is None:
            if time.monotonic() >= deadline:
                raise OSError(f"{name} has no keeper")
            time.sleep(LOOK_AGAIN_SECONDS)
        return pid

    def cpu_seconds(self) -> float:
        """CPU time of running daemons, keepers, and programs that keepers have waited for."""
        running = {each.name: lab.pid_of(self.folder, each.name) for each in self.lab.daemons}
        daemons = [pid for pid in running.values() if pid is not None]
        keepers = [self.keeper_of(host.name) for host in self.hosts if running[host.name]]
        return sum(map(cpu_seconds, daemons + keepers)) + sum(map(children_cpu_seconds, keepers))

    def logon(self, application: str, host: Host | None = None) -> steps.Plan:
        """A logon of a new user, by default to the first terminal server."""
        return steps.Plan(
            hosts=(host or self.hosts[0],),
            user_name=f"user{next(self._numbers)}",
            application=application,
            password_attempts=1,
            reconnect_seconds=0.0,
        )

    def words(self, plan: steps.Plan, store: Path) -> list[str]:
        """The command line of `tsfarm connect` with an SSH key, and with its device in the folder
        `store`."""
        host = plan.hosts[0]
        words = [tsfarm(), "connect", f"{host.address}:{host.port}", "--user", plan.user_name]
        words += ["--app", plan.application, "--identity-file", str(self.folder / SSH_KEY)]
        return [*words, "--ca", str(self._authority), "--store", str(store)]


@contextlib.contextmanager
def farm(
    folder: Path, plan: Plan, settings: Mapping[str, Tables] | None = None, users: int = 0
) -> Iterator[Farm]:
    """A farm that runs inside the block, with its lab in `folder`.

    `settings` change the configurations of the named daemons. `users` is the number of accounts
    for `Farm.logon`: they have keys from SECRET, and all of them the SSH key of `Farm.words`.
    """
    making.make(folder, plan)
    for name, tables in (settings or {}).items():
        file = folder / name / "config.toml"
        file.write_text(tomli_w.dumps(laid_over(tomllib.loads(file.read_text()), tables)))
    if users:
        _add_users(folder, load(folder).farm, users)
    try:
        yield Farm(folder, lab.up(folder, plan, lambda line: None))
    finally:
        lab.down(folder)


def _add_users(folder: Path, farm_name: str, count: int) -> None:
    system_user = "root" if os.geteuid() == 0 else ""  # sessions run as the user of the bench
    names = [f"user{number}" for number in range(count)]
    made = accounts.synthetic(farm_name, names, SECRET, system_user, time.time_ns() // 1000)
    key = Ed25519PrivateKey.generate()
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (folder / SSH_KEY).touch(mode=0o600)
    (folder / SSH_KEY).write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    known = [msgspec.structs.replace(account, ssh_keys=(line,)) for account in made]
    accounts.change(folder / "accounts", farm_name, lambda _: known)


# --- configuration --------------------------------------------------------------------------------


def laid_over(tables: Tables, changes: Tables) -> dict[str, Any]:
    """`tables` with `changes` applied key by key; None removes a key."""
    result = dict(tables)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
            continue
        is_table = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = laid_over(result[key], value) if is_table else value
    return result
