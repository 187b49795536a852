"""The plan that a lab is made from, and its description in `lab.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from daemons.files import private
from tsproto.errors import TsfarmError


class LabError(TsfarmError):
    """A request to the lab failed; the text says why and what to do."""


class LicenseServerPlan(msgspec.Struct, frozen=True):
    name: str
    tokens: int = 0
    workgroup: str = "lab"
    site: str = "bench"


class Plan(msgspec.Struct, frozen=True):
    """The plan of a lab; the default is a small farm.

    An empty `farm` gets a random name, because a device tells farms by name and would show the
    license of an earlier lab. Without `tls` the daemons speak plain TCP, so that their messages can
    be captured. Sessions run `shell`; empty means the shell of the user who makes the lab.
    `load_users` is the number of synthetic users for `tsfarm load`. Their devices get tokens too,
    and their shell is /bin/sh unless the plan names one.
    """

    farm: str = ""
    workgroup: str = "lab"
    terminal_servers: tuple[str, ...] = ("ts1", "ts2", "ts3")
    license_servers: tuple[LicenseServerPlan, ...] = (
        LicenseServerPlan("license-a", tokens=5),
        LicenseServerPlan("license-b", tokens=5, workgroup="other"),
    )
    directory: str = "directory"
    users: tuple[str, ...] = ("user1", "user2")
    loop: str = "uvloop"
    tls: bool = True
    load_users: int = 0
    shell: tuple[str, ...] = ()


class Daemon(msgspec.Struct, frozen=True):
    """One process of the lab. `role` is the name of its package under `daemons`."""

    name: str
    role: str
    host: str
    port: int


class Lab(msgspec.Struct, frozen=True):
    """The content of `lab.json`."""

    farm: str
    net: int
    daemons: tuple[Daemon, ...]
    users: tuple[str, ...]
    tls: bool = True
    load_users: int = 0

    def daemon(self, name: str) -> Daemon:
        for daemon in self.daemons:
            if daemon.name == name:
                return daemon
        names = ", ".join(daemon.name for daemon in self.daemons)
        raise LabError(f"the lab has no daemon {name!r}; it has {names}")


def load_user(number: int) -> str:
    """The name of a synthetic user, counted from 1."""
    return f"load{number:05}"


def check_private(folder: Path) -> None:
    """Raises LabError when others could change the lab, and with it what its daemons run."""
    if intrusion := private.intrusion(folder):
        raise LabError(intrusion)


def load(folder: Path) -> Lab:
    """The lab in this folder; raises LabError where there is none, or others could change it."""
    try:
        check_private(folder)
        return msgspec.json.decode((folder / "lab.json").read_bytes(), type=Lab)
    except FileNotFoundError:
        raise LabError(
            f"no lab in {folder}: make one with `tsfarm lab up --dir {folder}`"
        ) from None
    except (msgspec.MsgspecError, OSError) as error:
        raise LabError(
            f"{folder / 'lab.json'} cannot be read ({error}): make another lab with"
            " `tsfarm lab up --dir DIR`"
        ) from None
