"""The messages between the coordinator of a run and its worker processes.

The coordinator sends an `Assignment`, a `Start` once all workers are ready, and a `Stop` to end the
run early. The worker sends `Report`s, the last of them `Failed` or `Ended`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients.load.measuring.measures import Interval
from clients.load.scenario import Scenario
from clients.logon.steps import Host
from tsproto.messages import Role


class Person(msgspec.Struct, frozen=True):
    """A user of the farm, and their password: of a synthetic user the secret that all of them have
    their keys from."""

    name: str
    password: bytes
    is_synthetic: bool = False


class Credentials(msgspec.Struct, frozen=True):
    """A certificate of the farm and its key, PEM files."""

    certificate: Path
    key: Path


class Farm(msgspec.Struct, frozen=True, kw_only=True):
    """The farm's daemons. Without `authority` (PEM file) links are plain TCP.

    The links of a license-only or directory-only worker act as `as_terminal_servers`, in turn; in a
    directory each link needs a name of its own. `administrator` is for the checks of the farm's
    rules.
    """

    name: str
    terminal_servers: tuple[Host, ...] = ()
    license_servers: tuple[Host, ...] = ()
    directory: Host | None = None
    authority: Path | None = None
    as_terminal_servers: tuple[Credentials, ...] = ()
    administrator: Credentials | None = None

    def hosts(self, role: Role) -> tuple[Host, ...]:
        match role:
            case Role.TERMINAL_SERVER:
                return self.terminal_servers
            case Role.LICENSE_SERVER:
                return self.license_servers
            case _:
                return (self.directory,) if self.directory else ()


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's part, `share` of `shares`: the arrivals `share`, `share + shares` and so on.
    `script` names file and class of a scenario in Python, `links` is their number. `devices` is the
    folder for devices, None for memory. It dials from `sources` in turn; without any the system
    chooses."""

    share: int = 0
    shares: int
    farm: Farm
    scenario: Scenario
    script: str = ""
    people: tuple[Person, ...] = ()
    links: int = 1
    devices: Path | None = None
    sources: tuple[str, ...] = ()
    seed: int = 0

    def parts(self) -> list[Assignment]:
        """The workers' parts, of an assignment that is the whole run. With fewer certificates than
        workers each gets all of them."""
        own = self.farm.as_terminal_servers
        return [
            msgspec.structs.replace(
                self,
                share=share,
                people=self.people[share :: self.shares],
                farm=msgspec.structs.replace(
                    self.farm, as_terminal_servers=own[share :: self.shares] or own
                ),
            )
            for share in range(self.shares)
        ]


class Start(msgspec.Struct, frozen=True):
    """The run begins at this moment of CLOCK_MONOTONIC, which is the same in all processes."""

    at: float


class Stop(msgspec.Struct, frozen=True):
    """Begin no further journey, log users off, and end."""


class Ready(msgspec.Struct, frozen=True):
    """All links are open; the run may begin."""


class Measured(msgspec.Struct, frozen=True):
    interval: Interval


class Failed(msgspec.Struct, frozen=True):
    """The worker cannot go on; the text is for a person. Its last report."""

    detail: str


class Violated(msgspec.Struct, frozen=True):
    """The worker saw a rule of the farm broken."""

    rule: str
    detail: str


class Ended(msgspec.Struct, frozen=True):
    """The last report of a worker that has finished or was stopped."""


Report = Ready | Measured | Failed | Violated | Ended
