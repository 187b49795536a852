"""A daemon in the simulation: a real core on the real switchboard, with real connections, under
virtual time. Here is only what its machine does: wires, timers, a clock, a disk, death.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

from daemons import effects, events
from daemons.effects import Core, Effect, Endpoint, Failed, Outcome, Persist
from daemons.switchboard import Step, Switchboard
from tests.simulation.clock import NodeClock
from tests.simulation.line import SimulatedLine
from tests.simulation.network import End, Network
from tests.simulation.store import Disk
from tests.simulation.witness import Witness
from tests.simulation.world import Timer, World
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.identity import Identity
from tsproto.messages import Role

Board = Switchboard[SimulatedLine]

RESTART_SECONDS = 1.0


class Kind(Protocol):
    """What makes a node a license server, a directory or a terminal server."""

    role: Role

    def make_core(self, node: Node) -> Core: ...
    def perform(self, node: Node, effect: Effect) -> None: ...
    def on_crash(self, node: Node) -> None: ...


class Node:
    """A machine with its disk, and the process that runs on it, one after another.

    Faults act on `clock`, `disk`, `stand_still`, `crash`, `crash_after_answer`, `crash_in_commit`;
    a wrong switchboard is planted in `make_switchboard`.
    """

    def __init__(self, world: World, network: Network, farm: str, name: str, host: str, kind: Kind):
        self.world = world
        self.network = network
        self.farm = farm
        self.name = name
        self.host = host
        self.kind = kind
        self.clock = NodeClock(world)
        self.disk = Disk()
        self.rng = random.Random(f"{world.seed}/{name}")
        self.alive = False
        self.life = 0
        self.core: Core
        self.switchboard: Board
        self.make_switchboard: type[Board] = Board
        self.crash_after_answer = 0.0
        self.crash_in_commit = 0.0
        self._lines_made = 0
        self._missed: list[Callable[[], None]] | None = None  # while the process stands still
        network.add(self, Identity(farm, kind.role, name))

    # --- life and death -----------------------------------------------------------------------

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.lines: dict[int, SimulatedLine] = {}
        self._deadline: Timer | None = None
        self._timeout: Timer | None = None
        self.world.trace(f"{self.name} starts")
        self.core = self.kind.make_core(self)
        self.witness = Witness(self.core, self.world, self.name)
        self.switchboard = self.make_switchboard(self.witness, self)
        self.switchboard.add(self.witness.on_start)
        self.turn()

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. A commit that was under way is on disk or is not, as chance has it."""
        self.world.trace(f"{self.name} crashes")
        self.world.saw("crash")
        self.alive = False
        self.switchboard.halt()
        self._missed = None
        for line in self.lines.values():
            line.die(silently=silently)
        self.lines.clear()
        self.kind.on_crash(self)
        for timer in (self._deadline, self._timeout):
            if timer:
                timer.cancel()

    def maybe_crash(self, line: SimulatedLine) -> None:
        if self.crash_after_answer and self.world.rng.random() < self.crash_after_answer:
            self.world.saw("crash right after an answer")
            line.flush()
            self._crash_and_return(self.life)

    def _crash_and_return(self, life: int) -> None:
        if self.alive and self.life == life:
            self.crash()
            self.world.after(RESTART_SECONDS, lambda: None if self.alive else self.start())

    # --- what the process notices ---------------------------------------------------------------

    def notice(self, switchboard: Board, action: Callable[[], None]) -> None:
        """Something happens to the process of this switchboard: it acts now, or when it runs on;
        never when it is dead."""
        if switchboard.is_halted:
            return
        if self._missed is None:
            action()
        else:
            self._missed.append(partial(self.notice, switchboard, action))

    def stand_still(self, seconds: float) -> None:
        """Stop the process, as SIGSTOP does: what happens meanwhile it notices afterwards."""
        if self.alive and self._missed is None:
            self._missed = []
            self.world.after(seconds, partial(self._run_on, self.switchboard))

    def _run_on(self, switchboard: Board) -> None:
        if not switchboard.is_halted:
            self.witness.forgive_lateness()
            missed, self._missed = self._missed or [], None
            for action in missed:
                action()

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something after a while, unless this process has died by then."""
        return self._at(self.world.now + seconds, action)

    def _at(self, when: float, action: Callable[[], None]) -> Timer:
        return self.world.at(when, partial(self.notice, self.switchboard, action))

    # --- one turn -------------------------------------------------------------------------------

    def feed(self, step: Step) -> None:
        self._run(lambda now: self.witness.decided(step(now)))

    def _run(self, step: Step) -> None:
        self.switchboard.add(step)
        self.turn()

    def answer(self, question_id: int, outcome: Outcome) -> None:
        self.switchboard.answer(question_id, outcome)
        self.turn()

    def turn(self) -> None:
        self.switchboard.turn(self.clock.now(), self.world.now)
        self._arm()

    def _arm(self) -> None:
        if not self.alive:
            return
        when = self.core.next_deadline()
        when = None if when is None else self.clock.world_time(when)
        self._deadline = self._rearmed(self._deadline, when, self._on_deadline)
        self._timeout = self._rearmed(
            self._timeout, self.switchboard.next_timeout(), self._on_timeout
        )

    def _rearmed(
        self, timer: Timer | None, when: float | None, due: Callable[[], None]
    ) -> Timer | None:
        if timer is not None:
            if when is not None and timer.at == max(when, self.world.now):
                return timer
            timer.cancel()
        return None if when is None else self._at(when, due)

    def _on_deadline(self) -> None:
        self._deadline = None
        self.switchboard.run_deadline()
        self.turn()

    def _on_timeout(self) -> None:
        self._timeout = None
        self.turn()

    # --- the switchboard's hands ----------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        self.witness.performed(effect)
        match effect:
            case events.Event():
                self.world.trace(f"{self.name} {effect.event}")
            case effects.Broadcast(datagram):
                self.network.broadcast(self.name, self.host, limits.DISCOVERY_PORT, datagram)
            case effects.SendDatagram(host, _, datagram):
                self.network.send_datagram(
                    self.name, self.host, limits.DISCOVERY_PORT, host, datagram
                )
            case _:
                self.kind.perform(self, effect)

    def commit(self, batch: list[Persist]) -> None:
        life, switchboard = self.life, self.switchboard
        seconds = self.disk.draw_seconds(self.world.rng)

        def durable() -> None:
            self.disk.apply(batch)
            self.witness.committed(batch)
            switchboard.committed(self.clock.now(), self.world.now)
            self._arm()

        def done() -> None:
            if not switchboard.is_halted:
                self.notice(switchboard, durable)
            elif self.world.rng.random() < 0.5:
                self.disk.apply(batch)  # the write had reached the disk before the process died
                self.world.saw("committed, never acknowledged")

        self.world.after(seconds, done)
        if self.crash_in_commit and self.world.rng.random() < self.crash_in_commit:
            self.world.after(
                seconds * self.world.rng.random(), lambda: self._crash_and_return(life)
            )

    def dial(self, endpoint: Endpoint) -> None:
        switchboard = self.switchboard

        def stands(end: End) -> None:
            line = self._line(end, endpoint)
            switchboard.dialled(endpoint, line)
            line.flush()

        def opened(end: End) -> None:
            if switchboard.is_halted:
                end.close()
            else:
                self.notice(switchboard, partial(stands, end))

        def has_failed() -> None:
            switchboard.dial_failed(endpoint, Failed(ErrorCode.UNREACHABLE))
            self.turn()

        def failed() -> None:
            self.notice(switchboard, has_failed)

        self.network.dial(self.name, self.host, endpoint.host, opened, failed, limits.DIAL_SECONDS)

    # --- the wire -------------------------------------------------------------------------------

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        if self.alive:
            hear = partial(self.witness.on_datagram, host, port, datagram)
            self.notice(self.switchboard, partial(self._run, hear))

    def on_connection(self, end: End) -> bool:
        """The kernel accepts, also while the process stands still."""
        if self.alive:
            self._line(end, None).flush()
        return self.alive

    def _line(self, end: End, dialled: Endpoint | None) -> SimulatedLine:
        self._lines_made += 1
        line = self.lines[self._lines_made] = SimulatedLine(self, self._lines_made, end, dialled)
        return line
