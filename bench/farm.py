"""Daemons of ours for a bench: real processes with a farm's certificates, on loopback addresses."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from bench.course import children_cpu_seconds, cpu_seconds
from clients.steps import Host
from daemons import accounts, lab
from daemons.lab import making, processes
from daemons.lab.plan import Lab, Plan

PASSWORD = b"bench"

Tables = Mapping[str, Any]


@contextlib.contextmanager
def farm(
    folder: Path,
    plan: Plan,
    settings: Mapping[str, Tables] | None = None,
    users: Sequence[str] = (),
) -> Iterator[Lab]:
    """A farm that runs inside the block; `folder` is the lab's, with its `pki` and `users`.

    `settings` are laid over the configurations of the daemons that they name. `users` are accounts
    beside the plan's, with PASSWORD, whose check costs next to nothing.
    """
    making.make(folder, plan)
    for name, tables in (settings or {}).items():
        file = folder / name / "config.toml"
        file.write_text(tomli_w.dumps(laid_over(tomllib.loads(file.read_text()), tables)))
    if users:
        # Sessions run as whoever runs the bench.
        system_user = "root" if os.geteuid() == 0 else ""
        accounts.add_synthetic(folder / "accounts", users, PASSWORD.decode(), system_user)
    try:
        yield lab.up(folder, plan, lambda line: None)
    finally:
        lab.down(folder)


def process_of(folder: Path, name: str) -> int:
    """The process of a daemon of the farm that runs."""
    pid = lab.pid_of(folder, name)
    if pid is None:
        raise OSError(f"{name} does not run; its log is in {folder / name}")
    return pid


def keeper_of(folder: Path, name: str) -> int:
    """The process that keeps a terminal server's sessions."""
    pid = processes.pid_in(folder / name / "state" / "keeper.pid", "daemons.terminal_server")
    if pid is None:
        raise OSError(f"{name} has no keeper")
    return pid


def hosts_of(made: Lab) -> tuple[Host, ...]:
    """The terminal servers, in the order of the plan."""
    found = [daemon for daemon in made.daemons if daemon.role == "terminal_server"]
    return tuple(Host(daemon.host, daemon.port, daemon.name) for daemon in found)


def farm_cpu_seconds(folder: Path, made: Lab) -> float:
    """Of all daemons that run, their keepers, and the programs that the keepers have waited for."""
    running = {daemon.name: lab.pid_of(folder, daemon.name) for daemon in made.daemons}
    daemons = [pid for pid in running.values() if pid is not None]
    keepers = [keeper_of(folder, host.name) for host in hosts_of(made) if running[host.name]]
    return sum(map(cpu_seconds, daemons + keepers)) + sum(map(children_cpu_seconds, keepers))


# --- configuration --------------------------------------------------------------------------------


def laid_over(tables: Tables, changes: Tables) -> dict[str, Any]:
    """`tables` with `changes` in them: a table is changed key by key, None takes a key away."""
    result = dict(tables)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
            continue
        is_table = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = laid_over(result[key], value) if is_table else value
    return result
