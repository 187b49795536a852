"""A lab from a client's side: its daemons, its administrator, its clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from clients.administrator import Administrator, Daemon
from clients.ask import AskFailed
from clients.logon.steps import Host
from tsproto.errors import TsfarmError
from tsproto.messages import Done, Role, WarpClock

WARP_SECONDS = 10.0  # before its answer a daemon does everything due until then


class KnownLab(msgspec.Struct, frozen=True):
    """A lab's folder and daemons. `load_users` counts the users made for `tsfarm load`."""

    folder: Path
    farm: str
    tls: bool
    load_users: int
    daemons: tuple[Daemon, ...]

    def hosts(self, role: Role) -> tuple[Host, ...]:
        return tuple(daemon.host for daemon in self.daemons if daemon.role is role)

    def administrator(self) -> Administrator:
        """Raises TsfarmError when the certificate's files are missing or unusable."""
        if not self.tls:
            return Administrator("admin", None)
        pki = self.folder / "pki"
        return Administrator.certified(pki / "admin.crt", pki / "admin.key", pki / "authority.crt")


def lab_in(folder: Path) -> KnownLab:
    """Reads `lab.json`. Raises LabError, which says how to make a lab, where there is none."""
    from daemons.lab import become_owner, load

    become_owner(folder)
    lab = load(folder)
    daemons = (
        Daemon(Role[each.role.upper()], Host(each.host, each.port, each.name))
        for each in lab.daemons
    )
    return KnownLab(folder, lab.farm, lab.tls, lab.load_users, tuple(daemons))


def warp(folder: Path, seconds: float) -> float:
    """Moves the clock of a lab forward; returns its whole offset in seconds.

    Returns when every running daemon has the new time and has done everything due until then.
    Raises TsfarmError.
    """
    from daemons.lab import advance_clock, pid_of

    lab = lab_in(folder)
    offset = advance_clock(folder, seconds)
    running = [each for each in lab.daemons if pid_of(folder, each.host.name) is not None]
    asyncio.run(_tell_time(lab.administrator(), running))
    return offset


async def _tell_time(administrator: Administrator, daemons: list[Daemon]) -> None:
    for daemon in daemons:
        try:
            async with administrator.asking(daemon) as ask:
                await ask(WarpClock(), Done, WARP_SECONDS)
        except AskFailed as failed:
            raise TsfarmError(f"the lab's clock was not taken: {failed}") from None
