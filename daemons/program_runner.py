"""Performs the terminal server's own effects: programs on PTYs, and who is shown which.

The cores decide; here stands only what is: the programs that run, the pumps of their bytes, and the
keeper that holds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from daemons import settings
from daemons.attachment_pump import Pump, SessionLink
from daemons.effects import (
    Attach,
    Detach,
    Effect,
    EndProgram,
    Peer,
    ProgramFailed,
    ProgramStarted,
    Resize,
    StartProgram,
)
from daemons.keeper import messages as km
from daemons.keeper.client import (
    HeldProgram,
    KeeperClient,
    KeeperError,
    KeeperLost,
    OutOfDescriptors,
)
from daemons.screen.ring import Ring
from daemons.screen.screen import Screen, installed_emulator
from tsproto.errors import ErrorCode

# Of a program whose keeper was killed nobody can learn how it ended.
STATUS_UNKNOWN = 255
RECONNECT_SECONDS = 1.0
START_ATTEMPTS = 3  # a keeper that is just ending takes connections that break at once


class Sessions:
    """The sessions of one terminal server. `folder` is its own, for the keeper's files.

    `link_of` finds a client's link, None once it is gone. `on_started` is called once for every
    StartProgram; `on_ended` once for every program that was started or adopted, after all its
    output was sent or kept, with the exit status as a shell reports it.
    """

    def __init__(
        self,
        sessions: settings.Sessions,
        folder: Path,
        *,
        link_of: Callable[[Peer], SessionLink | None],
        on_started: Callable[[int, ProgramStarted | ProgramFailed], None],
        on_ended: Callable[[int, int], None],
        keeper_idle_seconds: float | None = None,
    ) -> None:
        self._settings = sessions
        self._emulator = installed_emulator() if sessions.screen else None
        self._link_of = link_of
        self._on_started = on_started
        self._on_ended = on_ended
        self._keeper = KeeperClient(
            folder,
            on_ended=self._on_program_ended,
            on_lost=self._on_keeper_lost,
            idle_seconds=keeper_idle_seconds,
        )
        self._pumps: dict[int, Pump] = {}
        self._shown: dict[int, int] = {}  # link id: session id
        self._coming: dict[int, None] = {}  # being started
        self._unwanted: dict[int, None] = {}  # to be ended
        self._statuses: dict[int, int] = {}  # ended, output not yet drained
        self._unkept: dict[int, None] = {}  # sessions whose keeper is gone
        self._unreached: dict[int, None] = {}  # the keeper's, whose descriptors we have not
        self._is_searching = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._log = structlog.get_logger()

    @property
    def performers(self) -> dict[type[Effect], Callable[[Any], None]]:
        return {
            StartProgram: self.start_program,
            Attach: self.attach,
            Detach: self.detach,
            Resize: self.resize,
            EndProgram: self.end_program,
        }

    async def adopt(self) -> list[int]:
        """Connect to the keeper, or start it, and take up the sessions that it still holds; raises
        KeeperError. Those whose program ended meanwhile are among them: `on_ended` follows."""
        await self._keeper.connect()
        kept = await self._keeper.sessions()
        for session in kept:
            if session.session_id not in (*self._pumps, *self._unreached):
                await self._adopt(session)
        return [session.session_id for session in kept]

    async def close(self) -> None:
        """Let go of everything; programs and keeper go on."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pump in self._pumps.values():
            pump.close()
        self._pumps.clear()
        self._keeper.close()

    # --- effects ---

    def start_program(self, effect: StartProgram) -> None:
        self._coming[effect.session_id] = None
        self._spawn(self._start(effect))

    def attach(self, effect: Attach) -> None:
        """Does nothing when the client or the program is gone: the core hears of either."""
        pump = self._pumps.get(effect.session_id)
        link = self._link_of(effect.peer)
        if link is None:
            return
        if effect.session_id in self._unreached:
            detail = "this host has as many files open as it may: the session cannot be shown now"
            link.close(ErrorCode.BUSY, detail)
        if pump is None:
            return
        self._forget_viewer(pump)
        self._shown[link.id] = effect.session_id
        pump.attach(link, effect.columns, effect.rows, fresh=effect.fresh)

    def detach(self, effect: Detach) -> None:
        pump = self._pumps.get(effect.session_id)
        if pump is not None:
            self._forget_viewer(pump)
            pump.detach()

    def resize(self, effect: Resize) -> None:
        pump = self._pumps.get(effect.session_id)
        if pump is not None:
            pump.resize(effect.columns, effect.rows)

    def end_program(self, effect: EndProgram) -> None:
        """Does nothing when it has ended: that was reported."""
        session_id = effect.session_id
        if session_id in self._coming:
            self._unwanted[session_id] = None
        elif session_id in self._pumps or session_id in self._unreached:
            self._unwanted[session_id] = None
            self._hang_up(session_id)

    def _hang_up(self, session_id: int) -> None:
        pump = self._pumps.get(session_id)
        if pump is not None and session_id in self._unkept:
            pump.close()  # the last master: the kernel hangs up
            self._report_end(session_id, STATUS_UNKNOWN)
            return
        self._keeper.hang_up(session_id)
        if pump is not None:
            pump.release()

    # --- what links report ---

    def on_session_bytes(self, link: SessionLink, data: bytes) -> None:
        pump = self._pump_of(link)
        if pump is not None:
            pump.on_input(data)

    def on_writable(self, link: SessionLink) -> None:
        pump = self._pump_of(link)
        if pump is not None:
            pump.on_writable()

    def _pump_of(self, link: SessionLink) -> Pump | None:
        session_id = self._shown.get(link.id)
        return None if session_id is None else self._pumps.get(session_id)

    def _forget_viewer(self, pump: Pump) -> None:
        if pump.link_id is not None:
            self._shown.pop(pump.link_id, None)

    # --- starting and adopting ---

    async def _start(self, effect: StartProgram) -> None:
        session_id = effect.session_id
        outcome = await self._started(effect)
        del self._coming[session_id]
        if isinstance(outcome, HeldProgram):
            try:
                self._take_up(session_id, outcome, effect.columns, effect.rows, is_new=True)
            except OSError as error:
                self._keeper.hang_up(session_id)
                self._keeper.forget(session_id)
                outcome = ProgramFailed(f"this host has no room for the session: {error}")
        if isinstance(outcome, ProgramFailed):
            self._statuses.pop(session_id, None)
            self._unwanted.pop(session_id, None)
            self._on_started(effect.ticket, outcome)
            return
        self._on_started(effect.ticket, ProgramStarted(outcome.pid))
        if session_id in self._unwanted:
            self._hang_up(session_id)

    async def _started(self, effect: StartProgram) -> HeldProgram | ProgramFailed:
        application = self._settings.applications.get(effect.application)
        if effect.application and application is None:
            return ProgramFailed(
                f"this terminal server has no application {effect.application!r}",
                ErrorCode.UNKNOWN_APPLICATION,
            )
        program = km.Program(
            session_id=effect.session_id,
            system_user=effect.system_user,
            allow_root=self._settings.allow_root,
            shell=self._settings.shell,
            arguments=application.command if application else (),
            command=effect.command,
            folder=application.folder if application else "",
            terminal=effect.terminal,
        )
        return await self._run(program, effect.columns, effect.rows)

    async def _run(
        self, program: km.Program, columns: int, rows: int
    ) -> HeldProgram | ProgramFailed:
        detail = ""
        for _ in range(START_ATTEMPTS):
            try:
                await self._keeper.connect()
                ring_bytes = self._settings.replay_bytes
                return await self._keeper.start(program, columns, rows, ring_bytes)
            except KeeperLost as error:
                detail = str(error)
            except KeeperError as error:
                return ProgramFailed(str(error))
        return ProgramFailed(detail)

    async def _adopt(self, session: km.KeptSession) -> None:
        session_id = session.session_id
        if session.exit_status is not None:
            self._statuses[session_id] = session.exit_status
        self._unreached[session_id] = None
        if detail := await self._reach(session_id):
            self._log.error("session.unreachable", session_id=session_id, detail=detail)
            self._spawn(self._reach_later(session_id))

    async def _reach(self, session_id: int) -> str:
        """Take up a session of the keeper's, or say why that cannot be done now; raises
        KeeperError when the connection broke."""
        try:
            held = await self._keeper.fetch(session_id)
            if isinstance(held, ProgramFailed):
                return held.detail
            rows, columns = termios.tcgetwinsize(held.master)
            self._take_up(session_id, held, columns, rows, is_new=False)
        except (OutOfDescriptors, OSError) as error:
            return str(error)
        return ""

    async def _reach_later(self, session_id: int) -> None:
        """It runs all the while, and must not be taken for one that has ended."""
        while session_id in self._unreached:
            await asyncio.sleep(RECONNECT_SECONDS)
            with contextlib.suppress(KeeperError):  # the next keeper's list tells what is left
                await self._reach(session_id)

    def _take_up(
        self, session_id: int, held: HeldProgram, columns: int, rows: int, *, is_new: bool
    ) -> None:
        """Raises OSError when there is no room for it; the descriptors are then closed."""
        try:
            ring = Ring(held.ring)
        except OSError:
            held.close()
            raise
        os.close(held.ring)
        self._unreached.pop(session_id, None)
        screen = Screen(ring, columns, rows, self._emulator)
        self._pumps[session_id] = Pump(
            held.master, screen, on_drained=lambda: self._on_drained(session_id), is_new=is_new
        )
        if session_id in self._statuses:
            self._pumps[session_id].on_program_ended()

    # --- ends ---

    def _on_program_ended(self, session_id: int, exit_status: int) -> None:
        if session_id in self._coming or session_id in self._unreached:
            self._statuses[session_id] = exit_status
        elif session_id in self._pumps:
            self._statuses[session_id] = exit_status
            self._pumps[session_id].on_program_ended()

    def _on_drained(self, session_id: int) -> None:
        self._report_end(session_id, self._statuses.pop(session_id, STATUS_UNKNOWN))

    def _report_end(self, session_id: int, exit_status: int) -> None:
        pump = self._pumps.pop(session_id, None)
        if pump is not None:
            self._forget_viewer(pump)
        for marked in (self._unkept, self._unreached, self._unwanted):
            marked.pop(session_id, None)
        self._keeper.forget(session_id)
        self._on_ended(session_id, exit_status)

    # --- the keeper's loss ---

    def _on_keeper_lost(self) -> None:
        """It was killed, or dropped us: whatever it was, the masters are still ours."""
        if not self._is_closed and not self._is_searching:
            self._is_searching = True
            self._log.warning("keeper.lost", sessions=len(self._pumps))
            self._spawn(self._find_keeper_again())

    async def _find_keeper_again(self) -> None:
        """A connection may break at once: a keeper that is killed listens a moment longer."""
        while self._is_searching:
            try:
                await self._keeper.connect()
                held = [*self._pumps, *self._unreached]
                kept = await self._keeper.sessions()
            except KeeperError as error:
                self._log.error("keeper.unreachable", detail=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._is_searching = False
                self._compare(held, {session.session_id: session for session in kept})

    def _compare(self, held: list[int], kept: dict[int, km.KeptSession]) -> None:
        """What became of the sessions that were ours, by what the keeper has now."""
        for session_id in held:
            session = kept.get(session_id)
            if session is not None and session.exit_status is not None:
                self._on_program_ended(session_id, session.exit_status)
            elif session is None and session_id in self._pumps:
                self._unkept[session_id] = None
                self._pumps[session_id].end_at_end_of_file()
            elif session is None and session_id in self._unreached:
                # Its terminal went with the keeper.
                self._report_end(session_id, self._statuses.pop(session_id, STATUS_UNKNOWN))
            if session_id in self._unwanted:
                self._hang_up(session_id)  # the keeper of then may not have heard it

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
