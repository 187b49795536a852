"""A visitor: one journey of one user, with the real client library.

Users must belong to the load run: their sessions in an unknown state are logged off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import msgspec

from clients.licensed_device import LicensedDevice
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Person
from clients.load.scenario import Act
from clients.load.scenario.validation import NUMBERS
from clients.load.visitors.client_session import ClientSession, DeviceFailed, StepFailed
from clients.load.visitors.devices import Devices
from clients.load.visitors.keys import Keys
from clients.load.visitors.shell import RuleBroken, Shell
from clients.logon.route import Randomness
from clients.logon.steps import Host, Plan
from clients.trust import FarmDialler
from tsproto.errors import ErrorCode, TsfarmError

PATIENCE_SECONDS = 30.0  # a step that takes longer counts as UNANSWERED
LEAVING_SECONDS = 5.0  # for the disconnect at a journey's end, which is not a step

SESSION_KEPT = "session kept"
LICENSE_KEPT = "license kept"

# After these errors a session may exist although the client never saw it.
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
    """The journey cannot go on; the failed step has been recorded."""


class Session(msgspec.Struct, frozen=True):
    """A session at its shell's prompt. `host` is the address dialled, `server` the terminal
    server's own name, `mark` the value that identifies the session's shell."""

    host: Host
    server: str
    session_id: int
    mark: str


class VirtualUser(msgspec.Struct, eq=False):
    """A synthetic user, with the device and the session of the last journey.

    `has_session` is true while there may be a session to log off, `session` is set only while its
    state is known.
    """

    person: Person
    device: LicensedDevice | None = None
    session: Session | None = None
    has_session: bool = False


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by all visitors of a worker. `sources` yields the address to dial from next."""

    hosts: tuple[Host, ...]
    authority: bytes | None
    devices: Devices
    keys: Keys
    measures: Measures
    on_violation: Callable[[str, str], None]
    sources: Iterator[str]
    patience_seconds: float = PATIENCE_SECONDS


class Visitor:
    """Carries out acts, and records each as a step: its duration, or its error code. An act that
    fails or finds a rule broken raises JourneyEnded.

    The first step is timed from the journey's arrival, each further one from the end of the one
    before. An act that needs a session begins one first, by an act that is recorded as such.
    """

    def __init__(
        self, context: WorkerContext, user: VirtualUser, due: float, rng: Randomness
    ) -> None:
        self._context = context
        self._rng = rng
        self._user = user
        self._due = due
        self._client: ClientSession | None = None
        self._shell = Shell(f"{int(rng.random() * 2**48):012x}")

    @property
    def name(self) -> str:
        return self._user.person.name

    @property
    def session(self) -> Session | None:
        """The attached or left session; None for none, or for an unknown state."""
        return self._user.session

    def check(self, rule: str, kept: bool, detail: str = "") -> None:
        """A scenario's own check, as `visitor.check("the editor opens", "vim" in shown)`. A failed
        check fails the run; the journey goes on."""
        if not kept:
            self._context.on_violation(rule, f"{self.name}{', ' if detail else ''}{detail}")

    async def do(self, act: Act) -> None:
        numbers = {name: getattr(act, name) for name in NUMBERS.get(act.do, ())}
        await getattr(self, act.do.replace("-", "_"))(**numbers)  # acts are named like the methods

    # --- acts that lead to a session --------------------------------------------------------------

    async def first_visit(self) -> None:
        """Log on from a new device without a license."""
        await self.disconnect()
        self._user.device = self._context.devices.fresh(self._user.person.name)
        await self._log_on("first-visit", self._hosts())

    async def logon(self) -> None:
        """Log on from the user's device to any host. A session that an earlier journey left is
        kept; otherwise a new one begins."""
        await self.disconnect()
        await self._log_on("logon", self._hosts())

    async def reconnect(self) -> None:
        """Come back to the session at its own host."""
        session = await self._leave_session()
        await self._log_on("reconnect", (session.host,))

    async def roam(self) -> None:
        """Come back to the session through another host, if the farm has one, which redirects."""
        session = await self._leave_session()
        others = tuple(host for host in self._hosts() if not _is_at(session, host))
        await self._log_on("roam", others[:1] or (session.host,))

    async def renew(self) -> None:
        """Present the device's license, accept a renewed one, and leave before logon."""
        await self.disconnect()
        with self._step("renew"):
            client = self._connect(self._hosts(), password=None)
            await client.begun()
        self._took("renew", client.came_at)
        await self._hang_up()

    # --- acts in a session ------------------------------------------------------------------------

    async def work(self, seconds: float = 0.0, keystrokes: int = 0, output: int = 0) -> None:
        """Type `keystrokes` keys evenly over `seconds` (step "keystroke": from when each was due to
        its echo), then print `output` bytes in the session (step "output": from the command to the
        last byte)."""
        client, measures = await self._shown_client(), self._context.measures
        session, self._user.session = self._user.session, None  # unknown until this act has ended
        if keystrokes:
            with self._step("keystroke"):
                await self._shell.type_keys(
                    client, seconds, keystrokes, lambda took: measures.took("keystroke", took)
                )
        elif seconds:
            with self._step("work"):
                await client.lasts(seconds)
        if output:
            with self._step("output"):
                measures.took("output", await self._shell.print_bytes(client, output))
        self._user.session = session
        self._due = time.monotonic()

    async def disconnect(self) -> None:
        """Leave the session running; does nothing without an attached session."""
        if self._client is not None:
            with self._step("disconnect"):
                await self._client.disconnect()
            self._client = None
            self._took("disconnect", time.monotonic())

    async def logoff(self) -> None:
        """End the session; does nothing without one."""
        if self._client is None and self._user.session is None:
            return
        client = await self._shown_client()
        with self._step("logoff"):
            await self._end_session(client)
        self._took("logoff", time.monotonic())

    async def think(self, seconds: float) -> None:
        """Wait; an attached session must last meanwhile."""
        self._due += seconds
        remaining = max(0.0, self._due - time.monotonic())
        if self._client is None:
            await asyncio.sleep(remaining)
            return
        with self._step("think"):
            await self._client.lasts(remaining)

    # --- the end of a journey ---------------------------------------------------------------------

    async def leave(self, *, logging_off_seconds: float = 0.0) -> None:
        """End the journey. An attached session is left running, or logged off in that time."""
        client = self._client
        with contextlib.suppress(StepFailed, TimeoutError):
            async with asyncio.timeout(logging_off_seconds or LEAVING_SECONDS):
                if client is not None and client.is_attached and logging_off_seconds:
                    await self._end_session(client)
                elif client is not None and client.is_attached:
                    await client.disconnect()
        await self._hang_up()

    async def clear(self, seconds: float) -> bool:
        """Come back and log off the user's session. Returns False when the time runs out."""
        known = self._user.session
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
        """All hosts, beginning with a random one, as behind a balancer."""
        hosts = self._context.hosts
        first = int(self._rng.random() * len(hosts))
        return hosts[first:] + hosts[:first]

    def _connect(self, hosts: tuple[Host, ...], password: bytes | None) -> ClientSession:
        context, person = self._context, self._user.person
        device = self._user.device or context.devices.usual(person.name)
        self._user.device = device
        dialler = FarmDialler(device.name, context.authority, source=next(context.sources))
        patience_seconds = context.patience_seconds
        plan = Plan(
            hosts=hosts,
            user_name=person.name,
            password_attempts=1,
            connect_seconds=patience_seconds,
            reconnect_seconds=0.0,
        )
        keys = context.keys.of(person)
        self._client = ClientSession(
            plan, password, device, dialler, self._rng, keys, patience_seconds
        )
        return self._client

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.hang_up()

    async def _shown_client(self) -> ClientSession:
        """The client with an attached session; reconnects or logs on without one."""
        if self._client is None and self._user.session is not None:
            await self.reconnect()
        elif self._client is None:
            await self.logon()
        assert self._client is not None
        return self._client

    async def _leave_session(self) -> Session:
        """The session to come back to, disconnected."""
        if self._user.session is None:
            await self._shown_client()
        await self.disconnect()
        assert self._user.session is not None
        return self._user.session

    async def _log_on(self, step: str, hosts: tuple[Host, ...]) -> None:
        with self._step(step):
            client = await self._attach(hosts)
            if self._user.session is None and client.shown.reattached:
                await self._end_session(client)
                client = await self._attach(hosts)
            attached_at = client.came_at
            if self._user.session is None:
                self._user.session = self._new_session(client)
            else:
                await self._check_kept(client, self._user.session)
        self._took(step, attached_at)

    async def _attach(self, hosts: tuple[Host, ...]) -> ClientSession:
        client = self._connect(hosts, self._user.person.password)
        try:
            await client.begun()
        except (StepFailed, asyncio.CancelledError) as ended:
            code = ended.code if isinstance(ended, StepFailed) else ErrorCode.UNANSWERED
            self._user.has_session |= code in _UNCERTAIN
            raise
        self._user.has_session = True
        return client

    async def _end_session(self, client: ClientSession) -> None:
        self._user.session = None
        await client.log_off()
        self._client = None
        self._user.has_session = False

    def _new_session(self, client: ClientSession) -> Session:
        shown = client.shown
        return Session(client.host, shown.host, shown.session_id, self._shell.mark(client))

    async def _check_kept(self, client: ClientSession, known: Session) -> None:
        shown = client.shown
        found = f"session {shown.session_id} on {shown.host}"
        if (shown.host, shown.session_id) == (known.server, known.session_id):
            if await self._shell.read_mark(client) == known.mark:
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
            self._context.measures.failed(name, failed.code)
            if isinstance(failed, DeviceFailed):
                self._violated(LICENSE_KEPT, str(failed))
            raise JourneyEnded(f"{name}: {failed}") from None
        except RuleBroken as broken:
            self._violated(broken.rule, f"by {name}: {broken.detail}")
            raise JourneyEnded(f"{name}: {broken}") from None

    def _violated(self, rule: str, detail: str) -> None:
        self._user.session = None
        self._context.on_violation(rule, f"{self.name}, {detail}")

    def _took(self, step: str, ended_at: float) -> None:
        self._context.measures.took(step, ended_at - self._due)
        self._due = time.monotonic()


def _is_at(session: Session, host: Host) -> bool:
    same_address = (host.address, host.port) == (session.host.address, session.host.port)
    return same_address or host.name == session.server
