"""Performs the terminal server's own effects: has users proved, runs programs on PTYs, and shows
them to clients.

The core and the keeper decide; here are only the programs that run, the pumps of their bytes, and
the connection to the keeper that holds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeVar

from daemons import events, settings
from daemons.attachment_pump import Pump, SessionLink
from daemons.effects import (
    Attach,
    Challenge,
    Detach,
    Effect,
    EndProgram,
    NoteShown,
    NotProved,
    NotTaken,
    Outcome,
    PamAnswer,
    Peer,
    ProgramFailed,
    ProgramStarted,
    Prove,
    Resize,
    StartProgram,
    Take,
)
from daemons.keeper import messages as km
from daemons.keeper.client import (
    HeldProgram,
    KeeperClient,
    KeeperLost,
    OutOfDescriptors,
)
from daemons.keeper.starting import KeeperError
from daemons.logs import log
from daemons.screen.ring import Ring
from daemons.screen.screen import Screen, installed_emulator
from tsproto.errors import ErrorCode

RECONNECT_SECONDS = 1.0
BUSY_RETRY_SECONDS = 2
ATTEMPTS = 3  # a keeper that is ending may accept a link and break it

T = TypeVar("T")


class State(Enum):
    STARTING = auto()
    UNREACHED = auto()
    """Runs in the keeper, whose descriptors of it we have not got yet."""
    KEPT = auto()
    """Runs in the keeper and has a pump."""
    UNKEPT = auto()
    """Has a pump; its keeper died, and the next one did not adopt it."""
    ENDED = auto()


class _Program:
    """The program of one session. `exit_status` is set once the program has ended, while its output
    may still be read; `is_unwanted` once the core wants its end."""

    __slots__ = ("exit_status", "held", "is_unwanted", "pump", "session_id", "state")

    def __init__(self, session_id: int, state: State) -> None:
        self.session_id = session_id
        self.state = state
        self.pump: Pump | None = None
        self.held: HeldProgram | None = None
        self.exit_status: int | None = None
        self.is_unwanted = False

    @property
    def has_ended(self) -> bool:
        return self.state is State.ENDED

    def close(self) -> None:
        """Close its descriptors: the master is the pump's."""
        if self.pump is not None:
            self.pump.close()
        if self.held is not None:
            os.close(self.held.ring)
            self.held = None


class ProgramRunner:
    """The programs of one terminal server. `config` is its configuration file, `folder` the
    keeper's, which `starts_keeper` false says to be started by a supervisor.

    `link_of` finds a client's link, None once it is gone. `on_outcome` is called once for every
    question of an effect; `on_ended` once for every program that was started or adopted, after all
    its output was sent or kept, with the exit status as a shell reports it.
    """

    def __init__(
        self,
        config: Path,
        sessions: settings.Sessions,
        folder: Path,
        *,
        link_of: Callable[[Peer], SessionLink | None],
        on_outcome: Callable[[int, Outcome], None],
        on_ended: Callable[[int, int], None],
        keeper_idle_seconds: float | None = None,
        starts_keeper: bool = True,
    ) -> None:
        self._settings = sessions
        self._emulator = installed_emulator() if sessions.screen else None
        self._link_of = link_of
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._keeper = KeeperClient(
            config,
            folder,
            on_ended=self._on_program_ended,
            on_lost=self._on_keeper_lost,
            idle_seconds=keeper_idle_seconds,
            starts=starts_keeper,
        )
        self._programs: dict[int, _Program] = {}  # by session id
        self._shown: dict[int, _Program] = {}  # by link id
        self._is_searching = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def performers(self) -> dict[type[Effect], Callable[[Any], None]]:
        return {
            Challenge: self.challenge,
            Prove: self.prove,
            PamAnswer: self.prove,
            Take: self.take,
            StartProgram: self.start_program,
            Attach: self.attach,
            Detach: self.detach,
            NoteShown: self.note_shown,
            Resize: self.resize,
            EndProgram: self.end_program,
        }

    async def adopt(self) -> list[int]:
        """Connect to the keeper, or start it, and take up the sessions that it still holds; raises
        KeeperError. Those whose program ended meanwhile are among them: `on_ended` follows."""
        await self._keeper.connect()
        kept = await self._keeper.sessions()
        for session in kept:
            if session.session_id not in self._programs:
                await self._adopt(session)
        return [session.session_id for session in kept]

    async def close(self) -> None:
        """Close pumps and the keeper's link; programs and keeper go on."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for program in self._programs.values():
            program.close()
        self._programs.clear()
        self._keeper.close()

    # --- effects ---

    def challenge(self, effect: Challenge) -> None:
        self._spawn(self._judge(effect.question_id, lambda: self._keeper.challenge(effect)))

    def prove(self, effect: Prove | PamAnswer) -> None:
        self._spawn(self._judge(effect.question_id, lambda: self._keeper.prove(effect)))

    def take(self, effect: Take) -> None:
        self._spawn(self._take(effect))

    async def _take(self, effect: Take) -> None:
        outcome: Outcome
        try:
            await self._keeper.connect()
            outcome = await self._keeper.take(effect)
        except KeeperError as error:
            outcome = NotTaken(ErrorCode.BUSY, str(error))
        self._on_outcome(effect.question_id, outcome)

    async def _judge(self, question_id: int, judge: Callable[[], Awaitable[Outcome]]) -> None:
        try:
            outcome = await self._answered(judge)
        except KeeperError as error:
            outcome = NotProved(ErrorCode.LOGON_BUSY, str(error), BUSY_RETRY_SECONDS)
        self._on_outcome(question_id, outcome)

    def start_program(self, effect: StartProgram) -> None:
        program = _Program(effect.session_id, State.STARTING)
        self._programs[effect.session_id] = program
        self._spawn(self._start(program, effect))

    def attach(self, effect: Attach) -> None:
        """Does nothing when the client or the program is gone: the core is told of both."""
        program = self._programs.get(effect.session_id)
        link = self._link_of(effect.peer)
        if program is None or link is None:
            return
        if program.state is State.UNREACHED:
            detail = "this host has as many files open as it may: the session cannot be shown now"
            link.close(ErrorCode.BUSY, detail)
        if program.pump is None:
            return
        self._forget_viewer(program.pump)
        self._shown[link.id] = program
        program.pump.attach(link, effect.columns, effect.rows, fresh=effect.fresh)

    def note_shown(self, effect: NoteShown) -> None:
        self._keeper.note_shown(effect.session_id, effect.proof_id, effect.attachment)

    def detach(self, effect: Detach) -> None:
        pump = self._pump_of(effect.session_id)
        if pump is not None:
            self._forget_viewer(pump)
            pump.detach()

    def resize(self, effect: Resize) -> None:
        pump = self._pump_of(effect.session_id)
        if pump is not None:
            pump.resize(effect.columns, effect.rows)

    def end_program(self, effect: EndProgram) -> None:
        """Does nothing when the program has ended: `on_ended` was called."""
        program = self._programs.get(effect.session_id)
        if program is None:
            return
        program.is_unwanted = True
        if program.state is not State.STARTING:
            self._hang_up(program)

    def _pump_of(self, session_id: int) -> Pump | None:
        program = self._programs.get(session_id)
        return None if program is None else program.pump

    def _hang_up(self, program: _Program) -> None:
        if program.state is State.UNKEPT and program.pump is not None:
            program.pump.close()  # the last master: the kernel hangs up
            self._report_end(program, km.STATUS_UNKNOWN)
            return
        self._keeper.hang_up(program.session_id)
        if program.pump is not None:
            program.pump.release()

    # --- what links report ---

    def on_session_bytes(self, link: SessionLink, data: bytes) -> None:
        program = self._shown.get(link.id)
        if program is not None and program.pump is not None:
            program.pump.on_input(data)

    def on_writable(self, link: SessionLink) -> None:
        program = self._shown.get(link.id)
        if program is not None and program.pump is not None:
            program.pump.on_writable()

    def _forget_viewer(self, pump: Pump) -> None:
        if pump.link_id is not None:
            self._shown.pop(pump.link_id, None)

    # --- starting and adopting ---

    async def _start(self, program: _Program, effect: StartProgram) -> None:
        session_id = effect.session_id
        outcome = await self._started(effect)
        if isinstance(outcome, HeldProgram):
            try:
                self._take_up(program, outcome, effect.columns, effect.rows, is_new=True)
            except OSError as error:
                self._keeper.hang_up(session_id)
                self._keeper.forget(session_id)
                outcome = ProgramFailed(f"this host has no room for the session: {error}")
        if isinstance(outcome, ProgramFailed):
            self._forget(program)
            self._on_outcome(effect.question_id, outcome)
            return
        self._on_outcome(effect.question_id, ProgramStarted(outcome.pid))
        if program.is_unwanted:
            self._hang_up(program)

    async def _started(self, effect: StartProgram) -> HeldProgram | ProgramFailed:
        try:
            return await self._answered(lambda: self._keeper.start(effect))
        except KeeperError as error:
            return ProgramFailed(str(error))

    async def _answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The keeper's answer; asked again when the keeper ends. Raises KeeperError."""
        for _ in range(ATTEMPTS):
            await self._keeper.connect()
            with contextlib.suppress(KeeperLost):
                return await ask()
        raise KeeperLost(f"the connection to the keeper broke {ATTEMPTS} times")

    async def _adopt(self, session: km.KeptSession) -> None:
        program = _Program(session.session_id, State.UNREACHED)
        program.exit_status = session.exit_status
        self._programs[session.session_id] = program
        if detail := await self._reach(program):
            log(events.SessionUnreachable(session_id=session.session_id, detail=detail))
            self._spawn(self._reach_later(program))

    async def _reach(self, program: _Program) -> str:
        """Get the descriptors of a program that the keeper runs, or say why that cannot be done
        now; raises KeeperError when the connection broke."""
        try:
            held = await self._keeper.fetch(program.session_id)
            if isinstance(held, ProgramFailed):
                return held.detail
            rows, columns = termios.tcgetwinsize(held.master)
            self._take_up(program, held, columns, rows, is_new=False)
        except (OutOfDescriptors, OSError) as error:
            return str(error)
        return ""

    async def _reach_later(self, program: _Program) -> None:
        """Try again until the keeper gives the descriptors: the program still runs."""
        while program.state is State.UNREACHED:
            await asyncio.sleep(RECONNECT_SECONDS)
            with contextlib.suppress(KeeperError):  # the next keeper's list tells which are left
                await self._reach(program)

    def _take_up(
        self, program: _Program, held: HeldProgram, columns: int, rows: int, *, is_new: bool
    ) -> None:
        """Raises OSError when there is no room for the program; the descriptors are then closed."""
        try:
            ring = Ring(held.ring)
        except OSError:
            held.close()
            raise
        screen = Screen(ring, columns, rows, self._emulator)
        program.state = State.KEPT
        program.held = held
        program.pump = Pump(
            held.master, screen, on_drained=lambda: self._on_drained(program), is_new=is_new
        )
        if program.exit_status is not None:
            program.pump.on_program_ended()

    # --- ends ---

    def _on_program_ended(self, session_id: int, exit_status: int) -> None:
        program = self._programs.get(session_id)
        if program is None:
            return
        program.exit_status = exit_status
        if program.pump is not None:
            program.pump.on_program_ended()

    def _on_drained(self, program: _Program) -> None:
        status = km.STATUS_UNKNOWN if program.exit_status is None else program.exit_status
        self._report_end(program, status)

    def _report_end(self, program: _Program, exit_status: int) -> None:
        self._forget(program)
        self._keeper.forget(program.session_id)
        self._on_ended(program.session_id, exit_status)

    def _forget(self, program: _Program) -> None:
        program.state = State.ENDED
        self._programs.pop(program.session_id, None)
        if program.pump is not None:
            self._forget_viewer(program.pump)
        program.close()

    # --- the keeper's loss ---

    def _on_keeper_lost(self) -> None:
        """The keeper was killed, or closed its link: this process still holds the PTYs' masters."""
        if not self._is_closed and not self._is_searching:
            self._is_searching = True
            pumped = [each for each in self._programs.values() if each.pump is not None]
            log(events.KeeperLost(sessions=len(pumped)))
            self._spawn(self._find_keeper_again())

    async def _find_keeper_again(self) -> None:
        """Connect until a link stays: a keeper that was killed may still accept one."""
        while self._is_searching:
            try:
                await self._keeper.connect()
                programs = self._programs.values()
                held = [each for each in programs if each.state is not State.STARTING]
                kept = {each.session_id: each for each in await self._keeper.sessions()}
                adopted = [
                    km.KeptSession(each.session_id, each.held.pid, None)
                    for each in held
                    if each.session_id not in kept and each.held and await self._adopted(each)
                ]
            except KeeperError as error:
                log(events.KeeperUnreachable(detail=str(error)))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._is_searching = False
                kept |= {session.session_id: session for session in adopted}
                self._compare(held, kept)
                unkept = sum(program.state is State.UNKEPT for program in held)
                log(events.KeeperFound(adopted=len(adopted), not_adopted=unkept))

    async def _adopted(self, program: _Program) -> bool:
        """Whether the keeper after a dead one took this program. Raises KeeperError."""
        if program.held is None:
            return False
        held = program.held
        return not await self._keeper.adopt(program.session_id, held.master, held.ring)

    def _compare(self, held: list[_Program], kept: dict[int, km.KeptSession]) -> None:
        """Learn from the keeper's list which of our programs have ended, and which it lost."""
        for program in held:
            if program.has_ended:
                continue  # while the list was on its way
            session = kept.get(program.session_id)
            if session is None:
                self._on_unkept(program)
            elif session.exit_status is not None:
                self._on_program_ended(program.session_id, session.exit_status)
            if program.is_unwanted and not program.has_ended:
                self._hang_up(program)  # the keeper of then may not have heard it

    def _on_unkept(self, program: _Program) -> None:
        if program.pump is None:
            self._on_drained(program)  # its terminal went with the keeper
        else:
            program.state = State.UNKEPT
            program.pump.end_at_end_of_file()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
