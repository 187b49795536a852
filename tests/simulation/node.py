"""A daemon in the simulation: a real core on the real switchboard, with real connections, under
virtual time. Here is only what its machine does: wires, timers, a clock, a disk, death.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daemons import effects, events
from daemons.alarm import Alarm
from daemons.denials import DenyListRecord
from daemons.effects import Core, Effect, Endpoint, Failed, Outcome, Persist, records_of
from daemons.switchboard import Step, Switchboard
from tests.simulation.clock import MOMENT, NodeClock
from tests.simulation.line import SimulatedLine
from tests.simulation.network import End, Network
from tests.simulation.store import Disk
from tests.simulation.witness import Witness
from tests.simulation.world import Timer, World
from tsproto import limits
from tsproto.deny_list import DenyLists
from tsproto.errors import ErrorCode
from tsproto.identity import Identity

if TYPE_CHECKING:
    from tests.simulation.kinds import Kind

Board = Switchboard[SimulatedLine]


class Node:
    """A machine with its disk, and the process that runs on it, one after another.

    Faults act on `clock`, `disk`, `missed`, `crash`; `on_answer` is called when an answer was
    sent, `on_commit` with the seconds that a commit will take, `on_disk_error` when one has failed.
    A wrong switchboard is planted in `make_switchboard`.
    """

    def __init__(self, world: World, network: Network, farm: str, name: str, host: str, kind: Kind):
        self.world = world
        self.network = network
        self.farm = farm
        self.name = name
        self.host = host
        self.kind = kind
        self.clock = NodeClock(world)
        self.disk = Disk(world)
        self.rng = random.Random(f"{world.seed}/{name}")
        self.alive = False
        self.life = 0
        self.core: Core
        self.switchboard: Board
        self.make_switchboard: type[Board] = Board
        self.authorities: tuple[bytes, ...] = ()  # whose deny lists count
        self.deny_lists: DenyLists
        self.on_answer: Callable[[SimulatedLine], None] = lambda line: None
        self.on_commit: Callable[[float], None] = lambda seconds: None
        self.on_disk_error: Callable[[], None] = lambda: None
        self._lines_made = 0
        self.missed: list[Callable[[], None]] | None = None  # while the process stands still
        network.add(self, Identity(farm, kind.role, name))

    # --- life and death -----------------------------------------------------------------------

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.clock.start()
        self.lines: dict[int, SimulatedLine] = {}
        self.world.trace(f"{self.name} starts")
        held = [row.signed for row in records_of(DenyListRecord, self.disk.load([DenyListRecord]))]
        self.deny_lists = DenyLists(self.farm, self.authorities, held)
        self.core = self.kind.make_core(self)
        self.witness = Witness(self.core, self.world, self.name)
        self.switchboard = self.make_switchboard(self.witness, self, self.deny_lists)
        self._deadline = Alarm(self.later, self._on_deadline)
        self._timeout = Alarm(self.later, partial(self.turn, self.switchboard.turn))
        self._call(self.witness.on_start)

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. A commit that was under way is on disk or is not, as chance has it."""
        self.world.trace(f"{self.name} crashes")
        self.world.saw("crash")
        self.alive = False
        self.switchboard.halt()
        self.missed = None
        for line in self.lines.values():
            line.die(silently=silently)
        self.lines.clear()
        self.kind.on_crash(self)
        self._deadline.cancel()
        self._timeout.cancel()

    # --- what the process notices ---------------------------------------------------------------

    def notice(self, switchboard: Board, action: Callable[..., None], *what: object) -> None:
        """Something happens to the process of this switchboard: it acts now, or when it runs on;
        never when it is dead."""
        if switchboard.is_halted:
            return
        if self.missed is None:
            action(*what)
        else:
            self.missed.append(partial(self.notice, switchboard, action, *what))

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something after a while, unless this process has died by then."""
        when = self.world.now + max(seconds, MOMENT)
        return self.world.at(when, partial(self.notice, self.switchboard, action))

    # --- one turn -------------------------------------------------------------------------------

    def feed(self, step: Step) -> None:
        self._call(lambda now: self.witness.decided(step(now)))

    def answer(self, question_id: int, outcome: Outcome) -> None:
        self.switchboard.answer(question_id, outcome)
        self.wake()

    def _call(self, step: Step) -> None:
        self.switchboard.add(step)
        self.wake()

    def wake(self) -> None:
        if (switchboard := self.switchboard).steps:
            self.turn(switchboard.turn)

    def turn(self, turn: Callable[[float, float], None]) -> None:
        now, ticks = self.clock.now(), self.world.now
        turn(now, ticks)
        if self.alive:
            self._deadline.set(self.core.next_deadline(), now)
            self._timeout.set(self.switchboard.next_timeout, ticks)

    def _on_deadline(self) -> None:
        self.switchboard.run_deadline()
        self.wake()

    # --- the switchboard's hands ----------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        self.witness.performed(effect)
        match effect:
            case events.Event():
                self.world.trace(f"{self.name} {type(effect).__name__}")
            case effects.Broadcast(datagram):
                self.network.broadcast(self, datagram)
            case effects.SendDatagram(host, _, datagram):
                self.network.send_datagram(self, host, datagram)
            case _:
                self.kind.perform(self, effect)

    def commit(self, batch: list[Persist]) -> None:
        switchboard = self.switchboard

        def durable() -> None:
            self.witness.committed(batch)
            self.turn(switchboard.committed)

        def tell(is_written: bool) -> None:
            self.notice(switchboard, durable if is_written else self.on_disk_error)

        self.on_commit(self.disk.commit(batch, lambda: not switchboard.is_halted, tell))

    def dial(self, endpoint: Endpoint) -> None:
        switchboard = self.switchboard

        def settle(end: End | None) -> None:
            if end is None:
                switchboard.dial_failed(endpoint, Failed(ErrorCode.UNREACHABLE))
                self.wake()
            else:
                line = self._line(end, endpoint)
                switchboard.dialled(endpoint, line)
                line.flush()

        def dialled(end: End | None = None) -> None:
            if switchboard.is_halted and end is not None:
                end.close()
            self.notice(switchboard, partial(settle, end))

        seconds = limits.DIAL_SECONDS
        self.network.dial(self.name, self.host, endpoint.host, dialled, dialled, seconds)

    # --- the wire -------------------------------------------------------------------------------

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        if self.alive:
            hear = partial(self.witness.on_datagram, host, port, datagram)
            self.notice(self.switchboard, self._call, hear)

    def on_connection(self, end: End) -> bool:
        """The kernel accepts, also while the process stands still."""
        if self.alive:
            self._line(end, None).flush()
        return self.alive

    def _line(self, end: End, dialled: Endpoint | None) -> SimulatedLine:
        self._lines_made += 1
        line = self.lines[self._lines_made] = SimulatedLine(self, self._lines_made, end, dialled)
        return line
