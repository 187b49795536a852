"""Targets in this process: the real cores behind real connections, under virtual time.

Time stands still while nobody waits, so a case that waits for a deadline takes microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from clients.conformance.own_configuration import BROKEN, SCOPES, STARTED, USERS
from clients.conformance.target import Issuer, Line, Setup, Unavailable, Unmet
from clients.conformance.user import User
from clients.logon.steps import Host
from tests.conformance.in_process_client import ClientUnderTest
from tests.conformance.in_process_kinds import (
    FARM,
    PORT,
    Authority,
    LicenseServerUnderTest,
    SessionDirectoryUnderTest,
    TerminalServerUnderTest,
    Wrap,
    unwrapped,
)
from tests.simulation.kinds import Kind
from tests.simulation.network import End, Network
from tests.simulation.network import Host as NetworkHost
from tests.simulation.node import Node
from tests.simulation.world import World
from tsproto import limits
from tsproto.deny_list import DenyLists
from tsproto.identity import ADMINISTRATOR_ROLES, Identity
from tsproto.messages import AdministratorRole, Role

BY_NAME = {user.name: user for user in USERS}
NAMES = {Role.TERMINAL_SERVER: "ts1", Role.LICENSE_SERVER: "ls1", Role.SESSION_DIRECTORY: "sd1"}
PLAYED = {
    Role.TERMINAL_SERVER: ("10.9.0.2", "conformance-ts"),
    Role.LICENSE_SERVER: ("10.9.0.3", "conformance-ls"),
    Role.SESSION_DIRECTORY: ("10.9.0.4", "conformance-sd"),
}
SECOND = ("conformance-ls2", "10.9.0.5")
WITH_RIGHT_DAEMONS = (
    *(Setup.RIGHT, Setup.OUTSIDE_A_LAB, Setup.BUSY, Setup.PAM, Setup.ONE_SESSION),
)
NO_TLS = "there is no TLS in process"
PATIENCE_SECONDS = 4.0  # virtual ones; less than any time-out of the protocol
SETTLING_SECONDS = 3.0


class Heard(Exception):
    """What was waited for has happened."""


class DirectNetwork(Network):
    """Links without delay, in whole pieces, and identities for whoever the suite plays."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.played: dict[str, Identity] = {}

    def identity_of(self, name: str) -> Identity | None:
        return self.played.get(name) or super().identity_of(name)

    def delay(self) -> float:
        return 0.0

    def pieces(self, data: bytes) -> list[bytes]:
        return [data]

    def send_datagram(self, sender: NetworkHost, target: str, datagram: bytes) -> None:
        host = self._hosts.get(target)
        if host is not None and host.name != sender.name:
            heard = partial(host.on_datagram, sender.host, limits.DISCOVERY_PORT, datagram)
            self.world.after(0.0, heard)


class DirectLine:
    """The suite's end of a link in process."""

    def __init__(
        self, target: InProcess, name: str, certificate: bytes, own_certificate: bytes
    ) -> None:
        self.name = name
        self.certificate = certificate
        self.own_certificate = own_certificate
        self._target = target
        self.end: End | None = None
        self._came: list[bytes] = []

    def take(self, end: End) -> None:
        self.end = end
        end.receive = self._came.append
        end.lost = lambda: self._came.append(b"")

    def write(self, data: bytes) -> None:
        assert self.end is not None
        self.end.write(data)

    def read(self, seconds: float) -> bytes | None:
        self._target.wait(seconds, lambda: bool(self._came))
        return self._came.pop(0) if self._came else None

    def close(self) -> None:
        if self.end is not None:
            self.end.close()


class Listener:
    """Where the suite is dialled, as a daemon of one role."""

    def __init__(self, target: InProcess, name: str, host: str) -> None:
        self.name = name
        self.host = host
        self.lines: list[DirectLine] = []
        self.datagrams: list[bytes] = []
        self._target = target

    def on_connection(self, end: End) -> bool:
        own = self._target.certificate_of(self.name)
        line = DirectLine(self._target, self.name, own, own)
        line.take(end)
        self.lines.append(line)
        return True

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None:
        self.datagrams.append(datagram)


class InProcess:
    """`wrap` goes around the target's core: a deliberately wrong one is made so."""

    farm = FARM
    product = "terminal-server"
    seconds = PATIENCE_SECONDS
    longest_seconds = float("inf")
    has_sockets = False
    has_certificates = True

    def __init__(
        self,
        role: Role,
        setup: Setup = Setup.RIGHT,
        *,
        all_points: bool = False,
        wrap: Wrap = unwrapped,
    ) -> None:
        self.role = role
        self.all_points = all_points
        self.users: Sequence[User] = USERS
        self._lines = 0
        self.applications: Sequence[str] = STARTED
        self.scopes = dict(enumerate(SCOPES.values(), start=1))
        self._setup = setup
        self._world = World(1)
        self._network = DirectNetwork(self._world)
        self._listeners = self._listen()
        self._nodes: dict[Role, Node] = {}
        self._client: ClientUnderTest | None = None
        if role is Role.CLIENT:
            self._client = self._make_client()
        else:
            self._make_daemons(wrap)
        self.let_pass(0.1)

    def _listen(self) -> dict[Role, Listener]:
        listeners = {}
        for role, (host, name) in PLAYED.items():
            listeners[role] = Listener(self, name, host)
            self._network.add(listeners[role], Identity(FARM, role, name))
        second = Listener(self, *SECOND)
        second.lines = listeners[Role.LICENSE_SERVER].lines
        self._network.add(second, Identity(FARM, Role.LICENSE_SERVER, second.name))
        return listeners

    def _make_daemons(self, wrap: Wrap) -> None:
        match self.role:
            case Role.LICENSE_SERVER:
                self._start(self.role, 1, self._license_server(wrap))
            case Role.SESSION_DIRECTORY:
                self._start(self.role, 1, self._directory(wrap))
            case Role.TERMINAL_SERVER:
                if self._setup in WITH_RIGHT_DAEMONS:
                    self._start(Role.LICENSE_SERVER, 2, self._license_server(unwrapped))
                    self._start(Role.SESSION_DIRECTORY, 3, self._directory(unwrapped))
                self._start(self.role, 1, self._terminal_server(wrap))

    def _license_server(self, wrap: Wrap) -> LicenseServerUnderTest:
        peers = [PLAYED[Role.LICENSE_SERVER]] if self._setup is Setup.PLAYED else []
        return LicenseServerUnderTest(peers, is_choosy=self._setup is Setup.CHOOSY, wrap=wrap)

    def _directory(self, wrap: Wrap) -> SessionDirectoryUnderTest:
        return SessionDirectoryUnderTest(BY_NAME, is_choosy=self._setup is Setup.CHOOSY, wrap=wrap)

    def _terminal_server(self, wrap: Wrap) -> TerminalServerUnderTest:
        addresses = dict(PLAYED)
        if self._setup in WITH_RIGHT_DAEMONS:
            addresses = {role: (node.host, node.name) for role, node in self._nodes.items()}
        license_servers = [addresses[Role.LICENSE_SERVER]]
        if self._setup is Setup.TWO_LICENSE_SERVERS:
            license_servers.append((SECOND[1], SECOND[0]))
        if self._setup in (Setup.SEARCHED, Setup.GRACE):
            license_servers = []
        directory = None if self._setup is Setup.GRACE else addresses[Role.SESSION_DIRECTORY]
        return TerminalServerUnderTest(
            license_servers, directory, BY_NAME, setup=self._setup, wrap=wrap
        )

    def _start(self, role: Role, number: int, kind: Kind) -> None:
        node = Node(self._world, self._network, FARM, NAMES[role], f"10.0.0.{number}", kind)
        node.authorities = (Authority.of(FARM).der,)
        self._nodes[role] = node
        node.start()

    def _make_client(self) -> ClientUnderTest:
        host, name = PLAYED[Role.TERMINAL_SERVER]
        client = ClientUnderTest(self._world, self._network, Host(host, PORT, name), BY_NAME)
        client.deny_lists = DenyLists(FARM, [Authority.of(FARM).der])
        return client

    # --- what cases ask of it -----------------------------------------------------------------

    def stop(self) -> None:
        if self._client is not None:
            self._client.stop()

    def begin(self) -> None:
        if self._client is not None:
            self._listeners[Role.TERMINAL_SERVER].lines.clear()
            self._client.begin(USERS[0].name, in_a_hurry=True)

    def dial(self, role: Role, name: str, to: Role) -> Line:
        node = self._nodes.get(to)
        if node is None:
            raise Unavailable(f"there is no right {to.name.lower()} beside the target here")
        owner = f"{role.name}/{name}"
        if role is not Role.CLIENT:
            permits = None
            if role is Role.ADMINISTRATOR:
                permits = ADMINISTRATOR_ROLES.get(name, AdministratorRole.ADMIN)
            self._network.played[owner] = Identity(FARM, role, name, permits)
        # A terminal server slows down a network that guesses: each line comes from another one.
        self._lines += 1
        source = f"172.{self._lines >> 8 & 255}.{self._lines & 255}.9"
        line = DirectLine(self, name, *map(self.certificate_of, (node.name, owner)))
        self._network.dial(owner, source, node.host, line.take, lambda: None, 1.0)
        self.wait(1.0, lambda: line.end is not None)
        return line

    def accept(self, role: Role, seconds: float) -> Line:
        lines = self._listeners[role].lines
        self.wait(seconds, lambda: bool(lines))
        if not lines:
            raise Unmet(f"the target did not dial the {role.name.lower()} that is played")
        return lines.pop(0)

    def issuer(self, role: Role, name: str, farm: str, expired: bool) -> Issuer:
        return Authority.of(farm).issuer(role, name, expired)

    def authority(self) -> Issuer:
        return Authority.of(FARM).itself

    def fingerprint(self, role: Role, name: str) -> bytes:
        """One for those whom the target dials, and one for those who dial it."""
        is_dialled = (role, name) in [(each, played) for each, (_, played) in PLAYED.items()]
        owner = name if is_dialled else f"{role.name}/{name}"
        return self._network.certificate_of(owner)

    def broken_application(self) -> str:
        return BROKEN

    def now(self) -> float:
        return self._world.now

    def let_pass(self, seconds: float) -> None:
        self.wait(seconds, lambda: False)

    def move_clock(self, seconds: float) -> None:
        self._world.jump(seconds)
        self.let_pass(SETTLING_SECONDS)

    def disconnect(self) -> None:
        assert self._client is not None
        self._client.disconnect()

    def accepting_at(self) -> tuple[str, int]:
        return PLAYED[Role.TERMINAL_SERVER][0], PORT

    def send_datagram(self, datagram: bytes) -> None:
        listener = self._listeners[Role.LICENSE_SERVER]
        target = self._nodes[self.role].host
        self._network.send_datagram(listener, target, datagram)

    def answer_query(self, datagram: bytes) -> None:
        self.send_datagram(datagram)

    def datagram(self, seconds: float) -> bytes | None:
        heard = self._listeners[Role.LICENSE_SERVER].datagrams
        self.wait(seconds, lambda: bool(heard))
        return heard.pop(0) if heard else None

    def dial_with_no_identity(self) -> Line:
        raise Unavailable(NO_TLS)

    def accept_as_a_stranger(self, seconds: float) -> Line:
        raise Unavailable(NO_TLS)

    def strangers_authority(self) -> bytes:
        raise Unavailable(NO_TLS)

    def accept_without_address(self, seconds: float) -> Line:
        raise Unavailable(NO_TLS)

    def accepts_tls_1_2(self) -> bool:
        raise Unavailable(NO_TLS)

    def accepts_a_foreign_certificate(self) -> bool:
        raise Unavailable(NO_TLS)

    def restart(self) -> None:
        node = self._nodes[self.role]
        node.crash()
        node.start()
        self.let_pass(SETTLING_SECONDS)

    def certificate_of(self, owner: str) -> bytes:
        """Stands for the SHA-256 of a certificate; zeros for a device, which has none."""
        return self._network.certificate_of(owner) or bytes(32)

    def wait(self, seconds: float, is_there: Callable[[], bool]) -> None:
        """Let time pass, at most so much, until something is there."""
        if is_there():
            return

        def check() -> None:
            if is_there():
                raise Heard

        self._world.on_event = check
        try:
            self._world.run_until(self._world.now + seconds)
        except Heard:
            pass
        finally:
            self._world.on_event = None
