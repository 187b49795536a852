"""A device and whoever sits at it: the real logon procedure, on a store that keeps what it stored.

It visits the farm again and again: connects to some host, works a while, then leaves in one of the
ways in which people leave.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from clients.logon import steps
from clients.logon.procedure import Logon, Phase
from clients.logon.steps import Host, Outcome, Plan
from tests.simulation.kinds import APPLICATIONS
from tests.simulation.network import End, LinkTimer, Network
from tests.simulation.world import Timer, World
from tsproto import license_token, limits
from tsproto.connection import Closed, Connection, Event, Opened, Received
from tsproto.deny_list import DenyLists
from tsproto.errors import DenyListError, ErrorCode
from tsproto.identity import DeviceKey
from tsproto.license_token import Claims
from tsproto.messages import (
    LicenseInfo,
    LicenseRequest,
    LogonAccepted,
    Message,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.misuse import Loot

STORE_SECONDS = 0.01
TYPING_SECONDS = 2.0
HURRY_SECONDS = 1.0
IMPATIENT_SECONDS = 1.0  # with a password that was typed
WRONG_PASSWORD = b"wrong"
WORK_SECONDS = 20.0
PAUSE_SECONDS = 8.0
PATIENCE_SECONDS = 90.0
LOG_OFF = "log off"
LEAVING = ("disconnect", LOG_OFF, "network loss", "battery")
BY_MESSAGE = "log off by message"


class Visit(msgspec.Struct, gc=False):
    """One try to get in, and what it came to."""

    began_at: float
    user_name: str
    in_a_hurry: bool = False
    application: str = ""
    command: str = ""
    misuses: bool = False  # the protocol, or what is somebody else's
    attached_to: str = ""
    session_id: int = 0
    outcome: Outcome | None = None
    code: ErrorCode | None = None


class Device:
    def __init__(
        self, world: World, network: Network, name: str, host: str, hosts: list[Host]
    ) -> None:
        self.world = world
        self.network = network
        self.name = name
        self.host = host
        self.rng = random.Random(f"{world.seed}/{name}")
        self.key = DeviceKey(self.rng.randbytes(32))
        self.token = b""
        self.claims: Claims | None = None  # the token's
        self.issuer_certificate = b""
        self.deny_lists = DenyLists()
        self.device_id = self.key.device_id
        self.habits: frozenset[str] = frozenset()
        self.loot: Loot | None = None
        self.visits: list[Visit] = []
        self.passwords: dict[str, bytes] = {}
        self.leaving: Sequence[str] = LEAVING
        self.exit_session: Callable[[Visit], None] = lambda visit: None
        self.on_token: Callable[[Device, Claims], None] = lambda device, claims: None
        self.on_attached: Callable[[Device, LogonAccepted], None] = lambda device, accepted: None
        self.hosts = hosts
        self._logon: Logon | None = None
        self._end: End | None = None
        self._connection: Connection
        self._link_timer: LinkTimer
        self._number = 0
        self._timer: Timer | None = None
        network.add(self)

    @property
    def visit(self) -> Visit:
        return self.visits[-1]

    @property
    def is_attached(self) -> bool:
        return self._logon is not None and self._logon.phase is Phase.SESSION

    def on_connection(self, end: End) -> bool:
        return False

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        """Devices hear no broadcasts."""

    # --- visits ---------------------------------------------------------------------------------

    def live(self, users: Sequence[str]) -> None:
        """Visit, pause, visit again."""
        self._abandon()
        self.begin(self.rng.choice(users))
        number = len(self.visits)

        def again() -> None:
            if len(self.visits) == number:
                self.live(users)

        self.world.after(self.rng.random() * (WORK_SECONDS + PAUSE_SECONDS), again)

    def begin(self, user: str, in_a_hurry: bool = False, first: str = "") -> Visit:
        """In a hurry means the right password, typed as fast as on every other device. The host at
        the address `first` is tried first, else a random one."""
        self._abandon()
        visit = Visit(self.world.now, user, in_a_hurry)
        self.visits.append(visit)
        hosts = list(self.hosts)
        self.rng.shuffle(hosts)
        hosts.sort(key=lambda host: host.address != first)
        what = self.rng.random()
        if "commands" in self.habits and what < 0.1 and not in_a_hurry:
            visit.command = "true"
        elif "applications" in self.habits and what > 0.6:
            visit.application = APPLICATIONS[0]
        plan = Plan(
            hosts=tuple(hosts),
            user_name=user,
            application=visit.application,
            command=visit.command,
            connect_seconds=PATIENCE_SECONDS,
            reconnect_seconds=PATIENCE_SECONDS,
        )
        self._logon = Logon(plan, self.rng)
        self.world.trace(f"{self.name} begins as {user}")
        self._take(self._logon.start(self.world.now))
        return visit

    def leave(self) -> None:
        """In one of the ways in which people leave."""
        if not self.is_attached or self._logon is None:
            return
        way = self.rng.choice(self.leaving)
        if way == LOG_OFF and self._is_inclined(BY_MESSAGE, 0.5):
            way = BY_MESSAGE
        self.world.trace(f"{self.name} leaves: {way}")
        self.world.saw(f"leaving: {way}")
        match way:
            case "disconnect":
                self._take(self._logon.disconnect(self.world.now))
            case "log off":
                self.exit_session(self.visit)
            case "log off by message":
                self._take(self._logon.log_off(self.world.now))
            case "network loss":
                if self._end:
                    self._end.close()
                    self._on_lost(self._number, ErrorCode.CONNECTION_LOST)
            case _:
                self._abandon()

    def _give_up(self) -> list[steps.Step]:
        """Unplug the device, unless the session is there by now."""
        if not self.is_attached:
            self._abandon()
        return []

    def _abandon(self) -> None:
        """The battery is empty: the machine is gone without a word."""
        self._logon = None
        self._drop_link()
        if self._timer:
            self._timer.cancel()

    # --- steps ------------------------------------------------------------------------------------

    def _take(self, todo: list[steps.Step]) -> None:
        for step in todo:
            self._take_one(step)
        self._flush()
        self._arm()

    def _take_one(self, step: steps.Step) -> None:
        logon = self._logon
        assert logon is not None
        match step:
            case steps.Send(message):  # first, as the most frequent
                self._send(message)
            case steps.DialHost(host):
                self._dial(host)
            case steps.HangUp(code, detail):
                self._hang_up(code, detail)
            case steps.ShowLicense(request):
                info = self._license_info(request)
                self._later(STORE_SECONDS, lambda now: logon.on_license_info(info, now))
            case steps.StoreLicense(token, certificate):
                self._later(STORE_SECONDS, lambda now: self._stored(token, certificate, now))
            case steps.StoreDenyList(signed):
                self._store_deny_list(signed)
            case steps.AskPassword(again):
                password = self.passwords[self.visit.user_name]
                seconds = TYPING_SECONDS * self.rng.random()
                if self.visit.in_a_hurry:
                    seconds = HURRY_SECONDS
                elif not again and self._is_inclined("wrong passwords", 0.15):
                    password = WRONG_PASSWORD
                self._later(seconds, lambda now: logon.on_password(password, now), any_link=True)
                if self._is_inclined("impatience", 0.2):
                    seconds += IMPATIENT_SECONDS * self.rng.random()
                    self._later(seconds, lambda now: self._give_up(), any_link=True)
            case steps.Attached(host, session_id):
                self._attached(host, session_id)
            case steps.Redirected():
                self.world.saw("redirect")
            case steps.Finished(outcome, code):
                self.world.trace(f"{self.name} finished: {outcome.name} {code.name}")
                self.visit.outcome, self.visit.code = outcome, code
            case _:
                pass

    def _store_deny_list(self, signed: bytes) -> None:
        with contextlib.suppress(DenyListError):
            self.deny_lists.take(signed, self.world.now)
        if self._end and self.deny_lists.denies_certificate(self._certificate_of(self._end)):
            self._connection.close(ErrorCode.CERTIFICATE_REVOKED)
            self._on_lost(self._number, ErrorCode.CERTIFICATE_REVOKED)

    def _certificate_of(self, end: End) -> bytes:
        return self.network.certificate_of(end.other.owner)

    def _attached(self, host: str, session_id: int) -> None:
        self.world.trace(f"{self.name} is attached to {host}/{session_id}")
        self.visit.attached_to, self.visit.session_id = host, session_id
        seconds = WORK_SECONDS * self.rng.random()
        visit = self.visit
        self.world.after(seconds, lambda: self.leave() if self.visit is visit else None)
        if "resize" in self.habits and self._logon is not None:
            self._take(self._logon.resize(80 + self.rng.randrange(40), 24))

    def _send(self, message: Message) -> None:
        """Also what a careless or dishonest client sends in its place, or behind it."""
        self._connection.send(message)
        if self._is_inclined("pipelining", 0.1):
            self.visit.misuses = True
            self._connection.send(msgspec.structs.replace(message))
            self.world.saw(f"pipelined: {type(message).__name__}")

    def _is_inclined(self, habit: str, chance: float) -> bool:
        return habit in self.habits and self.rng.random() < chance

    def _stored(self, token: bytes, certificate: bytes, now: float) -> list[steps.Step]:
        assert self._logon
        self.token, self.issuer_certificate = token, certificate
        self.claims = claims = license_token.read_claims(token)
        self.on_token(self, claims)
        return self._logon.on_stored(claims.license_id, now)

    def _license_info(self, request: LicenseRequest) -> LicenseInfo:
        token, certificate = self.token, self.issuer_certificate
        if self.loot and self._is_inclined("misuse", 0.1):
            self.visit.misuses = True
            token, certificate = self.loot.token(self.device_id, self.rng)
        return LicenseInfo(
            public_key=self.key.public_key,
            signature=self.key.prove(request.nonce, self._seen().certificate),
            device_name=self.name,
            user_name=self.visit.user_name,
            token=token,
            issuer_certificate=certificate,
        )

    def _later(
        self,
        seconds: float,
        tell: Callable[[float], list[steps.Step]],
        any_link: bool = False,
    ) -> None:
        logon, number = self._logon, self._number

        def act() -> None:
            if self._logon is logon and (any_link or self._number == number):
                self._take(tell(self.world.now))

        self.world.after(seconds, act)

    def _arm(self) -> None:
        logon = self._logon
        when = logon.next_deadline() if logon else None
        if self._timer:
            if self._timer.action and self._timer.at == when:
                return
            self._timer.cancel()
        if logon is not None and when is not None:
            self._timer = self.world.at(when, lambda: self._on_timer(logon))

    def _on_timer(self, logon: Logon) -> None:
        self._timer = None
        if self._logon is logon:
            self._take(logon.on_deadline(self.world.now))

    # --- the link ---------------------------------------------------------------------------------

    def _dial(self, host: Host) -> None:
        self._drop_link()
        number = self._number
        logon = self._logon

        def opened(end: End) -> None:
            if self._number != number or self._logon is not logon:
                end.close()
                return
            self._end = end
            self._connection = Connection(
                Role.CLIENT,
                self.name,
                dialling=True,
                now=self.world.now,
                certified=self.network.identity_of(end.other.owner),
                trusted=False,
                expect_role=Role.TERMINAL_SERVER,
                expect_name=host.name,
                deny_lists=self.deny_lists,
                certificate=self._certificate_of(end),
            )
            self._link_timer = LinkTimer(
                self.world, self._connection, partial(self._on_link_timer, number)
            )
            end.receive = lambda data: self._on_bytes(number, data)
            end.lost = lambda: self._on_lost(number, ErrorCode.CONNECTION_LOST)
            self._flush()

        def failed() -> None:
            if self._number == number and self._logon is logon and logon is not None:
                self._take(logon.on_unreachable(ErrorCode.UNREACHABLE, str(host), self.world.now))

        self.network.dial(self.name, self.host, host.address, opened, failed, limits.DIAL_SECONDS)

    def _on_bytes(self, number: int, data: bytes) -> None:
        if self._number == number:
            self._on_events(number, self._connection.receive_data(data, self.world.now))

    def _on_events(self, number: int, events: list[Event]) -> None:
        for event in events:
            logon = self._logon
            if self._number != number or logon is None:
                return
            self.world.messages += 1
            match event:
                case Received(message):  # first, as the most frequent
                    if self.loot:
                        self.loot.overheard(self, message)
                    if isinstance(message, LogonAccepted):
                        self.on_attached(self, message)
                    self._take(logon.on_message(message, self.world.now))
                case Opened():
                    self._take(logon.on_opened(self._seen(), self.world.now))
                case Closed(code, detail):
                    self._on_lost(number, code, detail)
                case _:
                    pass
        if self._number == number:
            self._flush()

    def _seen(self) -> steps.Seen:
        assert self._end is not None
        own = self.network.identity_of(self._end.other.owner)
        assert own is not None
        return steps.Seen(own.farm, own.name, self._certificate_of(self._end), self.device_id)

    def _on_lost(self, number: int, code: ErrorCode, detail: str = "") -> None:
        if self._number == number and self._logon is not None:
            self._flush()
            logon = self._logon
            self._drop_link()
            self._take(logon.on_closed(code, detail, 0, self.world.now))

    def _hang_up(self, code: ErrorCode, detail: str) -> None:
        if self._end:
            self._connection.close(code, detail)
            self._flush()
        self._drop_link()

    def _drop_link(self) -> None:
        self._number += 1
        if self._end:
            self._end.close()
            self._link_timer.cancel()
        self._end = None

    def _flush(self) -> None:
        if self._end is None:
            return
        if data := self._connection.data_to_send():
            self._end.write(data)
        self._link_timer.set()

    def _on_link_timer(self, number: int) -> None:
        if self._number == number:
            self._on_events(number, self._connection.on_deadline(self.world.now))
