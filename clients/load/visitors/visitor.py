"""A visitor: one journey of one person's, as a real user makes it, with a real client.

People must be the load's own: a session of theirs that is found in an unknown state is logged off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import msgspec

from clients.licenses import LicensedDevice
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Person
from clients.load.scenario import Act
from clients.load.visitors.devices import Devices
from clients.load.visitors.shell import RuleBroken, Shell
from clients.load.visitors.surface import DeviceFailed, Sitting, StepFailed
from clients.route import Randomness
from clients.steps import Host
from clients.trust import FarmDialler
from tsproto.errors import ErrorCode, TsfarmError

# How long a step may take before it counts as UNANSWERED; as long as a person waits.
PATIENCE_SECONDS = 30.0
# Leaving at a journey's end is no step of anybody's, and is not waited for as long.
LEAVING_SECONDS = 5.0

SESSION_KEPT = "session kept"
LICENSE_KEPT = "license kept"

# After these a session may be there though nobody saw it.
_UNCERTAIN = frozenset(
    {
        ErrorCode.UNANSWERED,
        ErrorCode.CONNECTION_LOST,
        ErrorCode.PEER_SILENT,
        ErrorCode.TIMED_OUT,
        ErrorCode.SHUTTING_DOWN,
    }
)


class JourneyEnded(TsfarmError):
    """The journey cannot go on; what it failed with has been recorded."""


class Session(msgspec.Struct, frozen=True):
    """A session at its shell's prompt. `host` is where it is dialled, `server` what its terminal
    server calls itself, `mark` the value by which its shell knows it again."""

    host: Host
    server: str
    session_id: int
    mark: str


class Desk:
    """What a person comes back to: the device that they use, and the session that they left.

    `has_session` while there may be one to log off, `session` only while its state is known.
    """

    def __init__(self, person: Person) -> None:
        self.person = person
        self.device: LicensedDevice | None = None
        self.session: Session | None = None
        self.has_session = False


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What all visitors of one worker share. `sources` gives the address to dial from next."""

    hosts: tuple[Host, ...]
    authority: bytes | None
    devices: Devices
    measures: Measures
    on_violation: Callable[[str, str], None]
    sources: Iterator[str]
    patience_seconds: float = PATIENCE_SECONDS


class Visitor:
    """Carries out acts, and records each as a step: how long it took, or the code that it failed
    with. An act that fails, or sees a rule broken, ends the journey with JourneyEnded.

    Every step is timed from when it was due: the first from the journey's arrival, each further one
    from the end of the one before. An act that needs a session gets one first, by an act of its own
    that is recorded as such.
    """

    def __init__(self, around: Surroundings, desk: Desk, due: float, rng: Randomness) -> None:
        self._around = around
        self._rng = rng
        self._desk = desk
        self._due = due
        self._sitting: Sitting | None = None
        self._shell = Shell(f"{int(rng.random() * 2**48):012x}")

    @property
    def name(self) -> str:
        """The user's."""
        return self._desk.person.name

    @property
    def session(self) -> Session | None:
        """The one that is shown, or was left; None for none, or one whose state is not known."""
        return self._desk.session

    def check(self, rule: str, kept: bool, detail: str = "") -> None:
        """A check of a scenario's own, as `visitor.check("the editor opens", "vim" in shown)`.
        Where it is not kept the run fails by this rule, as by those of the farm; the journey goes
        on."""
        if not kept:
            self._around.on_violation(rule, f"{self.name}{', ' if detail else ''}{detail}")

    async def do(self, act: Act) -> None:
        match act.do:
            case "first-visit":
                await self.first_visit()
            case "logon":
                await self.logon()
            case "work":
                await self.work(act.seconds, act.keystrokes, act.output)
            case "disconnect":
                await self.disconnect()
            case "reconnect":
                await self.reconnect()
            case "roam":
                await self.roam()
            case "renew":
                await self.renew()
            case "logoff":
                await self.logoff()
            case _:
                await self.think(act.seconds)

    # --- acts that lead to a session --------------------------------------------------------------

    async def first_visit(self) -> None:
        """Log on from a device that no farm has seen, and that has no license."""
        await self.disconnect()
        self._desk.device = self._around.devices.fresh(self._desk.person.name)
        await self._log_on("first-visit", self._hosts())

    async def logon(self) -> None:
        """Log on from the person's device to any host. A session that an earlier journey left in
        good order is kept; there is a new one otherwise."""
        await self.disconnect()
        await self._log_on("logon", self._hosts())

    async def reconnect(self) -> None:
        """Come back to the session, at its own host."""
        session = await self._leave_session()
        await self._log_on("reconnect", (session.host,))

    async def roam(self) -> None:
        """Come back to the session by way of another host, which redirects to it. A farm of one
        host has only its own."""
        session = await self._leave_session()
        others = tuple(host for host in self._hosts() if not _is_at(session, host))
        await self._log_on("roam", others[:1] or (session.host,))

    async def renew(self) -> None:
        """Show the device's license, take what there is new, and leave before logon."""
        await self.disconnect()
        with self._step("renew"):
            sitting = self._sit_down(self._hosts(), password=None)
            await sitting.begun()
        self._took("renew", sitting.came_at)
        await self._hang_up()

    # --- acts in a session ------------------------------------------------------------------------

    async def work(self, seconds: float = 0.0, keystrokes: int = 0, output: int = 0) -> None:
        """Type `keystrokes` keys spread evenly over `seconds` (step "keystroke": each from when it
        was due until its echo), then have the session print `output` bytes (step "output": from the
        command until the last byte)."""
        sitting, measures = await self._seated(), self._around.measures
        session, self._desk.session = self._desk.session, None  # its state is unknown for now
        if keystrokes:
            with self._step("keystroke"):
                await self._shell.type_keys(
                    sitting, seconds, keystrokes, lambda took: measures.took("keystroke", took)
                )
        elif seconds:
            with self._step("work"):
                await sitting.lasts(seconds)
        if output:
            with self._step("output"):
                measures.took("output", await self._shell.print_bytes(sitting, output))
        self._desk.session = session
        self._due = time.monotonic()

    async def disconnect(self) -> None:
        """Leave the session running. Nothing happens where none is shown."""
        if self._sitting is not None:
            with self._step("disconnect"):
                await self._sitting.disconnect()
            self._sitting = None
            self._took("disconnect", time.monotonic())

    async def logoff(self) -> None:
        """End the session. Nothing happens where there is none."""
        if self._sitting is None and self._desk.session is None:
            return
        sitting = await self._seated()
        with self._step("logoff"):
            await self._end_session(sitting)
        self._took("logoff", time.monotonic())

    async def think(self, seconds: float) -> None:
        """Do nothing; a session that is shown must go on meanwhile."""
        self._due += seconds
        remaining = max(0.0, self._due - time.monotonic())
        if self._sitting is None:
            await asyncio.sleep(remaining)
            return
        with self._step("think"):
            await self._sitting.lasts(remaining)

    # --- the end of a journey ---------------------------------------------------------------------

    async def leave(self, *, logging_off_seconds: float = 0.0) -> None:
        """End the journey, however far it came. A session that is shown is left running, unless
        there are seconds to log it off in."""
        sitting = self._sitting
        with contextlib.suppress(StepFailed, TimeoutError):
            async with asyncio.timeout(logging_off_seconds or LEAVING_SECONDS):
                if sitting is not None and sitting.is_attached and logging_off_seconds:
                    await self._end_session(sitting)
                elif sitting is not None and sitting.is_attached:
                    await sitting.disconnect()
        await self._hang_up()

    async def clear(self, seconds: float) -> bool:
        """Come back to log off what the person has left. False: it could not be done in time."""
        known = self._desk.session
        own = () if known is None else (known.host,)
        hosts = own + tuple(host for host in self._hosts() if host not in own)
        try:
            async with asyncio.timeout(seconds):
                await self._end_session(await self._attach(hosts))
        except (StepFailed, TimeoutError):
            return False
        finally:
            await self._hang_up()
        return True

    # --- connections ------------------------------------------------------------------------------

    def _hosts(self) -> tuple[Host, ...]:
        """All hosts, beginning with any: as a balancer or a list of names gives them."""
        hosts = self._around.hosts
        first = int(self._rng.random() * len(hosts))
        return hosts[first:] + hosts[:first]

    def _sit_down(self, hosts: tuple[Host, ...], password: bytes | None) -> Sitting:
        around, person = self._around, self._desk.person
        device = self._desk.device or around.devices.usual(person.name)
        self._desk.device = device
        dialler = FarmDialler(device.name, around.authority, source=next(around.sources))
        self._sitting = Sitting(
            hosts, person.name, password, device, dialler, self._rng, around.patience_seconds
        )
        return self._sitting

    async def _hang_up(self) -> None:
        sitting, self._sitting = self._sitting, None
        if sitting is not None:
            await sitting.hang_up()

    async def _seated(self) -> Sitting:
        """With a session before us."""
        if self._sitting is None and self._desk.session is not None:
            await self.reconnect()
        elif self._sitting is None:
            await self.logon()
        assert self._sitting is not None
        return self._sitting

    async def _leave_session(self) -> Session:
        """The session that is to be come back to, with nobody in front of it."""
        if self._desk.session is None:
            await self._seated()
        await self.disconnect()
        assert self._desk.session is not None
        return self._desk.session

    async def _log_on(self, step: str, hosts: tuple[Host, ...]) -> None:
        with self._step(step):
            sitting = await self._attach(hosts)
            if self._desk.session is None and sitting.shown.reattached:
                await self._end_session(sitting)
                sitting = await self._attach(hosts)
            attached_at = sitting.came_at
            if self._desk.session is None:
                self._desk.session = self._new_session(sitting)
            else:
                await self._check_kept(sitting, self._desk.session)
        self._took(step, attached_at)

    async def _attach(self, hosts: tuple[Host, ...]) -> Sitting:
        sitting = self._sit_down(hosts, self._desk.person.password)
        try:
            await sitting.begun()
        except (StepFailed, asyncio.CancelledError) as ended:
            code = ended.code if isinstance(ended, StepFailed) else ErrorCode.UNANSWERED
            self._desk.has_session |= code in _UNCERTAIN
            raise
        self._desk.has_session = True
        return sitting

    async def _end_session(self, sitting: Sitting) -> None:
        self._desk.session = None
        await sitting.log_off()
        self._sitting = None
        self._desk.has_session = False

    def _new_session(self, sitting: Sitting) -> Session:
        shown = sitting.shown
        return Session(sitting.host, shown.host, shown.session_id, self._shell.mark(sitting))

    async def _check_kept(self, sitting: Sitting, known: Session) -> None:
        shown = sitting.shown
        found = f"session {shown.session_id} on {shown.host}"
        if (shown.host, shown.session_id) == (known.server, known.session_id):
            if await self._shell.read_mark(sitting) == known.mark:
                return
            found = "another one of that number"
        left = f"session {known.session_id} on {known.server}"
        raise RuleBroken(SESSION_KEPT, f"{left} was left, and {found} was found")

    # --- steps ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        try:
            yield
        except StepFailed as failed:
            self._around.measures.failed(name, failed.code)
            if isinstance(failed, DeviceFailed):
                self._violated(LICENSE_KEPT, str(failed))
            raise JourneyEnded(f"{name}: {failed}") from None
        except RuleBroken as broken:
            self._violated(broken.rule, f"by {name}: {broken.detail}")
            raise JourneyEnded(f"{name}: {broken}") from None

    def _violated(self, rule: str, detail: str) -> None:
        self._desk.session = None
        self._around.on_violation(rule, f"{self.name}, {detail}")

    def _took(self, step: str, ended_at: float) -> None:
        self._around.measures.took(step, ended_at - self._due)
        self._due = time.monotonic()


def _is_at(session: Session, host: Host) -> bool:
    same_address = (host.address, host.port) == (session.host.address, session.host.port)
    return same_address or host.name == session.server
