"""Users with terminals: journeys of people on devices, each with the real client library."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from clients.ask import asking_through
from clients.load.checks import LOGGED_OFF
from clients.load.drivers.journeys import chooser
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment
from clients.load.scenario import Act
from clients.load.visitors.devices import Devices
from clients.load.visitors.keys import Keys
from clients.load.visitors.shell import KEYS_COME_BACK, OUTPUT_COMPLETE
from clients.load.visitors.visitor import (
    LICENSE_KEPT,
    SESSION_KEPT,
    JourneyEnded,
    VirtualUser,
    Visitor,
    WorkerContext,
)
from clients.logon.route import Randomness
from clients.logon.steps import Host
from clients.say import show
from clients.trust import FarmDialler
from tsproto.errors import TsfarmError

# Time limit of `close`, and how many users it logs off at one time.
CLOSING_SECONDS = 10.0
SESSIONS_A_SECOND = 20
CLOSING_AT_ONCE = 64

JOURNEYS_RUN = "journeys run without a fault of their own"


Take = Callable[[Visitor], Awaitable[None]]


class Users:
    """A `Driver`. A user is on one journey at a time; the user who has waited longest goes next."""

    rules = {
        SESSION_KEPT: ("roam", "reconnect"),
        KEYS_COME_BACK: ("keystroke",),
        OUTPUT_COMPLETE: ("output",),
        LICENSE_KEPT: ("first-visit", "logon", "roam", "reconnect", "renew"),
        LOGGED_OFF: (),
        JOURNEYS_RUN: (),
    }

    def __init__(
        self,
        assignment: Assignment,
        measures: Measures,
        on_violation: Callable[[str, str], None],
        rng: Randomness,
    ) -> None:
        self.in_flight = 0
        self.on_finished: Callable[[], None] = lambda: None
        self._assignment = assignment
        self._measures = measures
        self._on_violation = on_violation
        self._rng = rng
        self._users = [VirtualUser(person) for person in assignment.people]
        self._free = deque(self._users)
        self._running: set[asyncio.Task[None]] = set()
        self._close_until: float | None = None

    async def open(self) -> None:
        """Checks that the farm answers; users dial when their journeys begin."""
        given, farm = self._assignment, self._assignment.farm
        if not farm.terminal_servers:
            raise TsfarmError("the farm has no terminal server to log on to")
        if not self._users:
            raise TsfarmError("there are no users to log on")
        self._choose = chooser(_weighted(given), self._rng)
        authority = None if farm.authority is None else farm.authority.read_bytes()
        faults = await greet(farm.terminal_servers, FarmDialler("load", authority))
        for fault in faults if given.share == 0 else ():
            show(f"a host cannot be logged on to: {fault}", err=True)
        self._context = WorkerContext(
            hosts=farm.terminal_servers,
            authority=authority,
            devices=Devices(given.seed, given.devices),
            keys=Keys(),
            measures=self._measures,
            on_violation=self._on_violation,
            sources=itertools.cycle(given.sources or ("",)),
        )

    def begin(self, due: float) -> bool:
        if not self._free or self._close_until is not None:
            return False
        user = self._free.popleft()
        take = self._choose()
        task = asyncio.get_running_loop().create_task(self._go(take, self._visitor(user, due)))
        self.in_flight += 1
        self._running.add(task)
        task.add_done_callback(partial(self._ended, user))
        return True

    async def close(self) -> None:
        """Log off the sessions of this run, within CLOSING_SECONDS and a second more for each
        SESSIONS_A_SECOND. Sessions that remain are reported as a violation."""
        sessions = sum(user.has_session for user in self._users)
        seconds = CLOSING_SECONDS + sessions / SESSIONS_A_SECOND
        self._close_until = time.monotonic() + seconds
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        turns = asyncio.Semaphore(CLOSING_AT_ONCE)
        left = [user for user in self._users if user.has_session]
        cleared = await asyncio.gather(*(self._clear(user, turns) for user in left))
        if remaining := cleared.count(False):
            detail = f"those of {remaining} people could not be within {seconds:.0f} seconds"
            self._on_violation(LOGGED_OFF, detail)

    async def _go(self, take: Take, visitor: Visitor) -> None:
        try:
            with contextlib.suppress(JourneyEnded):
                await take(visitor)
        finally:
            await visitor.leave(logging_off_seconds=self._closing_seconds())

    def _ended(self, user: VirtualUser, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.in_flight -= 1
        self._free.append(user)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_violation(JOURNEYS_RUN, _where(error))
        self._measures.finished()
        self.on_finished()

    async def _clear(self, user: VirtualUser, turns: asyncio.Semaphore) -> bool:
        async with turns:
            remaining = self._closing_seconds()
            return remaining > 0 and await self._visitor(user, 0.0).clear(remaining)

    def _visitor(self, user: VirtualUser, due: float) -> Visitor:
        """Its own random generator keeps its choices apart from other journeys'."""
        return Visitor(self._context, user, due, random.Random(self._rng.random()))

    def _closing_seconds(self) -> float:
        """The time left for logging off; 0 before `close`."""
        return max(0.0, (self._close_until or 0.0) - time.monotonic())


def _weighted(assignment: Assignment) -> list[tuple[Take, int]]:
    if assignment.script:
        from clients.load.scenario import script

        return [(script.load(assignment.script).journey, 1)]
    return [(partial(_act, each.acts), each.weight) for each in assignment.scenario.journeys]


async def _act(acts: tuple[Act, ...], visitor: Visitor) -> None:
    for act in acts:
        await visitor.do(act)


def _where(error: BaseException) -> str:
    """An error in a journey's own code, with file and line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"


# --- before users come ----------------------------------------------------------------------------


class NobodyAnswers(TsfarmError):
    """No host of the farm accepts logons; the text says why."""


async def greet(hosts: Sequence[Host], dialler: FarmDialler) -> list[str]:
    """Open and close a connection to each host. Returns the errors of hosts that cannot be used;
    raises NobodyAnswers when none can."""
    said = await asyncio.gather(*(_greet(host, dialler) for host in hosts))
    faults = [fault for fault in said if fault]
    if len(faults) == len(hosts):
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise NobodyAnswers(
            f"no host of the farm can be logged on to ({faults[0]}{more}): see that its terminal"
            " servers run, and that their addresses, --ca and --plain are right"
        )
    return faults


async def _greet(host: Host, dialler: FarmDialler) -> str:
    """The host's error; empty after a welcome."""
    try:
        async with asking_through(partial(dialler.dial, host), host):
            return ""
    except TsfarmError as error:
        return str(error)
