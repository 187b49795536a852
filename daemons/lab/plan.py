"""What a lab is made of, and what it keeps of itself in `lab.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tsproto.errors import TsfarmError


class LabError(TsfarmError):
    """The lab cannot do what was asked; the text says why and what to do."""


class LicenseServerPlan(msgspec.Struct, frozen=True):
    name: str
    tokens: int = 0
    workgroup: str = "lab"
    site: str = "bench"


class Plan(msgspec.Struct, frozen=True):
    """What a lab is made of; the default is a small farm with tokens enough to play with.

    An empty `farm` gets a name of its own: a device tells farms by name, and would show a license
    of yesterday's lab to today's. Without `tls` its daemons speak plain TCP, for whoever wants to
    watch what they say. Sessions run `shell`, or where it is empty that of whoever made the lab.
    `load_users` are synthetic ones for `tsfarm load`: there are tokens for their devices too, and
    their shell is /bin/sh unless the plan names one.
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
    """What `lab.json` keeps."""

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


def load(folder: Path) -> Lab:
    """The lab in this folder; raises LabError where there is none."""
    try:
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
