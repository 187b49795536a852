"""A lab's clock: one offset in a file, which its daemons add to the time."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from daemons.lab.plan import Daemon, LabError, load
from daemons.lab.processes import pid_of
from tsproto import transport
from tsproto.connection import Answered, Closed, Event, Opened
from tsproto.errors import ErrorCode
from tsproto.messages import Refused, Role, WarpClock


def clock_offset(folder: Path) -> float:
    return float((folder / "clock").read_text())


def warp(folder: Path, seconds: float) -> float:
    """Move the clock of the lab's daemons forward; gives the whole offset in seconds.

    Returns when every running daemon has taken the new time and done what fell due.
    """
    if seconds < 0:
        raise LabError("a lab's clock only goes forward: licenses would be issued in the future")
    lab = load(folder)
    offset = clock_offset(folder) + seconds
    fresh = folder / "clock.new"
    fresh.write_text(f"{offset}\n")
    fresh.replace(folder / "clock")
    running = [d for d in lab.daemons if pid_of(folder, d.name) is not None]
    asyncio.run(_tell_time(running, _administrator_tls(folder) if lab.tls else None))
    return offset


class _Nudge:
    """Owner of one short administrator's link: says WarpClock, waits for Done."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Opened):
                link.request(WarpClock())
                link.flush()
            elif isinstance(event, Answered) and isinstance(event.message, Refused):
                self._fail(event.message.detail)
            elif isinstance(event, Answered):
                if not self.done.done():
                    self.done.set_result(None)
            elif isinstance(event, Closed):
                self._fail(event.detail or event.code.meaning)

    def on_writable(self, link: transport.Link) -> None:
        """An administrator's link carries no session bytes."""

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(LabError(f"the clock was not taken: {why}"))


def _administrator_tls(folder: Path) -> ssl.SSLContext:
    pki = folder / "pki"
    return transport.daemon_tls(pki / "admin.crt", pki / "admin.key", pki / "authority.crt")


async def _tell_time(daemons: list[Daemon], tls: ssl.SSLContext | None) -> None:
    for daemon in daemons:
        nudge = _Nudge()
        link = await transport.dial(
            daemon.host,
            daemon.port,
            nudge,
            role=Role.ADMINISTRATOR,
            name="admin",
            farm="",
            tls=tls,
            expect_name=daemon.name,
            timeout_seconds=5.0,
        )
        try:
            async with asyncio.timeout(10.0):
                await nudge.done
        except TimeoutError:
            raise LabError(f"{daemon.name} did not take the new time within 10 s") from None
        finally:
            link.close(ErrorCode.NORMAL)
            await link.wait_closed()
