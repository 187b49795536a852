"""Our daemons for a bench: real processes with certificates, on loopback addresses."""

from __future__ import annotations

import contextlib
import os
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from bench.context import children_cpu_seconds, cpu_seconds
from clients.logon.steps import Host
from daemons import accounts, lab
from daemons.lab import making, processes
from daemons.lab.plan import Lab, Plan

PASSWORD = b"bench"
KEEPER_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.01

Tables = Mapping[str, Any]


@contextlib.contextmanager
def farm(
    folder: Path,
    plan: Plan,
    settings: Mapping[str, Tables] | None = None,
    users: Sequence[str] = (),
) -> Iterator[Lab]:
    """A farm that runs inside the block, with its lab in `folder`.

    `settings` change the configurations of the named daemons. `users` are accounts besides the
    plan's, with PASSWORD and a cheap password hash.
    """
    making.make(folder, plan)
    for name, tables in (settings or {}).items():
        file = folder / name / "config.toml"
        file.write_text(tomli_w.dumps(laid_over(tomllib.loads(file.read_text()), tables)))
    if users:
        # Sessions run as the user of the bench.
        system_user = "root" if os.geteuid() == 0 else ""
        accounts.add_synthetic(folder / "accounts", users, PASSWORD.decode(), system_user)
    try:
        yield lab.up(folder, plan, lambda line: None)
    finally:
        lab.down(folder)


def process_of(folder: Path, name: str) -> int:
    """The process id of a running daemon."""
    pid = lab.pid_of(folder, name)
    if pid is None:
        raise OSError(f"{name} does not run; its log is in {folder / name}")
    return pid


def keeper_of(folder: Path, name: str) -> int:
    """The process id of a terminal server's keeper, which may start after the port is bound."""
    deadline = time.monotonic() + KEEPER_SECONDS
    while True:
        pid = processes.pid_in(folder / name / "state" / "keeper.pid", "daemons.keeper")
        if pid is not None:
            return pid
        if time.monotonic() >= deadline:
            raise OSError(f"{name} has no keeper")
        time.sleep(LOOK_AGAIN_SECONDS)


def hosts_of(made: Lab) -> tuple[Host, ...]:
    """The terminal servers, in the order of the plan."""
    found = [daemon for daemon in made.daemons if daemon.role == "terminal_server"]
    return tuple(Host(daemon.host, daemon.port, daemon.name) for daemon in found)


def farm_cpu_seconds(folder: Path, made: Lab) -> float:
    """CPU time of all running daemons, their keepers, and the programs that the keepers have waited
    for."""
    running = {daemon.name: lab.pid_of(folder, daemon.name) for daemon in made.daemons}
    daemons = [pid for pid in running.values() if pid is not None]
    keepers = [keeper_of(folder, host.name) for host in hosts_of(made) if running[host.name]]
    return sum(map(cpu_seconds, daemons + keepers)) + sum(map(children_cpu_seconds, keepers))


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
