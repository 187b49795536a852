"""Terminal servers whose sessions run one command, each a farm of its own.

There is a license server and no directory, which has no part in an open session.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.farm import Farm, farm
from bench.viewer import Viewer, device_in_memory
from clients.licensed_device import LicensedDevice
from clients.logon.steps import Host, Plan
from daemons import lab

LICENSES = (lab.LicenseServerPlan("license", tokens=100),)


class TerminalServer(msgspec.Struct, frozen=True):
    """`pid` is the process that moves the bytes, `keeper` the one that holds the sessions."""

    farm: Farm
    host: Host
    pid: int
    keeper: int

    def logon(self, application: str) -> Plan:
        return self.farm.logon(application, self.host)

    def viewer(self, application: str, device: LicensedDevice | None = None) -> Viewer:
        """A viewer of a new user's session, by default on a new device."""
        return Viewer(self.farm, self.logon(application), device or device_in_memory())


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
    plan = lab.Plan(terminal_servers=tuple(variants), license_servers=LICENSES, users=())
    settings = {
        name: {"directory": None, "sessions": {"applications": commands, **keys}}
        for name, keys in variants.items()
    }
    with farm(folder, plan, settings, users_max) as made:
        yield {
            host.name: TerminalServer(
                made, host, made.process_of(host.name), made.keeper_of(host.name)
            )
            for host in made.hosts
        }
