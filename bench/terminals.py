"""Terminal servers whose sessions run one command, each a farm of its own.

There is a license server and no directory, which has no part in an open session.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.farm import farm, hosts_of, keeper_of, process_of
from bench.viewer import Seat
from clients.logon.steps import Host
from daemons.lab.plan import LicenseServerPlan, Plan

LICENSES = (LicenseServerPlan("license", tokens=100),)


class TerminalServer(msgspec.Struct, frozen=True):
    """`pid` is the process that moves the bytes, `keeper` the one that holds the sessions."""

    host: Host
    pid: int
    keeper: int
    folder: Path
    authority: Path
    numbers: Iterator[int]

    def seat(self, application: str) -> Seat:
        """A logon of a user without a session."""
        return Seat(
            hosts=(self.host,),
            authority=self.authority.read_bytes(),
            user=f"user{next(self.numbers)}",
            application=application,
        )


@contextlib.contextmanager
def terminal_servers(
    folder: Path,
    applications: Mapping[str, Sequence[str]],
    variants: Mapping[str, Mapping[str, object]],
    users_max: int = 100,
) -> Iterator[dict[str, TerminalServer]]:
    """A server for each of `variants`: names, and further keys of their `sessions`. They run inside
    the block and have accounts for `users_max` users."""
    commands = {name: {"command": list(words)} for name, words in applications.items()}
    plan = Plan(terminal_servers=tuple(variants), license_servers=LICENSES, users=())
    settings = {
        name: {"directory": None, "sessions": {"applications": commands, **keys}}
        for name, keys in variants.items()
    }
    users = [f"user{number}" for number in range(users_max)]
    with farm(folder, plan, settings, users) as made:
        authority, numbers = folder / "pki" / "authority.crt", itertools.count()
        yield {
            host.name: TerminalServer(
                host,
                process_of(folder, host.name),
                keeper_of(folder, host.name),
                folder,
                authority,
                numbers,
            )
            for host in hosts_of(made)
        }
