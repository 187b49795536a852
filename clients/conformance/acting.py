"""What a case can do: dial the target in any role, answer it as any daemon, take the steps of a
client. Cases are written in these words."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec

from clients.conformance import wire
from clients.conformance.device import DAY, Device, TokenClaims, sign_token
from clients.conformance.peer import Peer
from clients.conformance.target import (
    Issuer,
    Line,
    Setup,
    Target,
    Transcript,
    Unavailable,
    Unmet,
    User,
)
from tsproto import messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    Goodbye,
    Hello,
    LicenseAccepted,
    LicenseIssued,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonAccepted,
    LogonRequest,
    Message,
    NewLicense,
    Role,
    SessionRow,
    Welcome,
)

NAMES = {
    Role.CLIENT: "device",
    Role.TERMINAL_SERVER: "conformance-ts",
    Role.LICENSE_SERVER: "conformance-ls",
    Role.SESSION_DIRECTORY: "conformance-sd",
    Role.ADMINISTRATOR: "admin",
}
GAVE_UP = "the client gave up, as it may"


class CaseContext:
    """One run of one case: its target, and the peers that the suite plays."""

    def __init__(self, target: Target, setup: Setup, rng: random.Random) -> None:
        self.target = target
        self.setup = setup
        self.rng = rng
        self.transcript = Transcript()
        self.target_name = ""  # as its latest Welcome says
        self._peers: list[Peer] = []

    @property
    def now(self) -> float:
        return self.target.now()

    @property
    def product(self) -> str:
        return self.target.product

    def fresh_name(self, word: str) -> str:
        """A name that no earlier case has used with this target."""
        return f"{word}-{self.rng.randbytes(6).hex()}"

    def needs_seconds(self, seconds: float) -> None:
        """The case waits this long. Raises Unavailable when that exceeds the target's
        `longest_seconds`."""
        if seconds > self.target.longest_seconds:
            raise Unavailable(f"takes {seconds:g} s (--timeout)")

    def needs_sockets(self, why: str) -> None:
        if not self.target.has_sockets:
            raise Unavailable(f"needs sockets: {why}")

    def needs_certificates(self) -> None:
        if not self.target.has_certificates:
            raise Unavailable("on plain TCP nobody has a certificate")

    # --- links ------------------------------------------------------------------------------------

    def dial(self, role: Role = Role.CLIENT, *, name: str = "", to: Role | None = None) -> Peer:
        """A new link on which neither end has sent anything yet."""
        to = to or self.target.role
        name = name or NAMES[role]
        return self._peer(role, self.target.dial(role, name, to))

    def open(self, role: Role = Role.CLIENT, *, name: str = "", to: Role | None = None) -> Peer:
        """A link after Hello and Welcome."""
        peer = self.dial(role, name=name, to=to)
        peer.say(hello(role, peer.name))
        welcome = peer.hear(Welcome)
        if welcome.role is self.target.role:
            self.target_name = welcome.name
        return peer

    def accept(self, role: Role, *, seconds: float | None = None) -> Peer:
        """The link that the target dials to this role, after Hello and Welcome."""
        return self._welcomed(self.accept_unwelcomed(role, seconds=seconds))

    def accept_unwelcomed(self, role: Role, *, seconds: float | None = None) -> Peer:
        line = self.target.accept(role, self.target.seconds if seconds is None else seconds)
        return self._peer(role, line)

    def open_any(self) -> Peer:
        """A link after Hello and Welcome, in a role that this target accepts."""
        match self.target.role:
            case Role.CLIENT:
                return self.accept(Role.TERMINAL_SERVER)
            case Role.TERMINAL_SERVER:
                return self.licensing()[0]
        return self.open(Role.ADMINISTRATOR)

    def dial_any(self) -> Peer:
        """A link in a role that this target accepts: before our Hello, or, when the target is a
        client, after its Hello and before our Welcome."""
        match self.target.role:
            case Role.CLIENT:
                peer = self.accept_unwelcomed(Role.TERMINAL_SERVER)
                peer.hear(Hello)
                return peer
            case Role.TERMINAL_SERVER:
                return self.dial()
        return self.dial(Role.ADMINISTRATOR)

    def dial_with_no_identity(self) -> Peer:
        return self._peer(Role.ADMINISTRATOR, self.target.dial_with_no_identity())

    def accept_as_a_stranger(self) -> Peer:
        line = self.target.accept_as_a_stranger(self.target.seconds)
        return self._peer(Role.TERMINAL_SERVER, line)

    def accept_without_address(self) -> Peer:
        line = self.target.accept_without_address(self.target.seconds)
        return self._peer(Role.TERMINAL_SERVER, line)

    def begin_again(self) -> None:
        """A client under test is started again; a daemon is left running."""
        self.target.begin()

    def check(self, holds: bool, expected: str) -> None:
        if not holds:
            raise Unmet(f"expected {expected}")

    def expect_fields(
        self, message: Message | SessionRow, what: str = "", /, **wanted: object
    ) -> None:
        """The message has these values. Raises Unmet, which names each field that differs with both
        values; `what` says in words what the values mean."""
        came = {name: getattr(message, name) for name in wanted}
        differing = [name for name in wanted if wanted[name] != came[name]]
        if differing:
            expected = f"{what}: {_named(wanted, differing)}" if what else _named(wanted, differing)
            kind = type(message).__name__
            raise Unmet(f"expected {expected}; came {kind} with {_named(came, differing)}")

    def accept_again(self, seconds: float) -> Peer:
        """The link of a client under test that dials again, after Hello and Welcome. Raises
        Unavailable when it does not: it need not."""
        try:
            server = self.accept_unwelcomed(Role.TERMINAL_SERVER, seconds=seconds)
        except Unmet:
            raise Unavailable(GAVE_UP) from None
        return self._welcomed(server)

    def hear_logon_again(self, server: Peer, seconds: float | None = None) -> LogonRequest:
        """The client's next LogonRequest. Raises Unavailable when the client says Goodbye NORMAL
        instead: it need not try again."""
        message = server.next(seconds)
        if isinstance(message, Goodbye) and message.code is ErrorCode.NORMAL:
            raise Unavailable(GAVE_UP)
        if not isinstance(message, LogonRequest):
            raise Unmet(f"expected LogonRequest, or Goodbye with NORMAL, {came(message)}")
        return message

    def welcome(self, role: Role, name: str = "") -> Welcome:
        return Welcome(version=1, role=role, name=name or NAMES[role], farm=self.target.farm)

    def leave(self) -> None:
        for peer in self._peers:
            peer.hang_up()

    def _welcomed(self, peer: Peer) -> Peer:
        self.target_name = peer.hear(Hello).name
        peer.say(self.welcome(peer.role, peer.name))
        return peer

    def _peer(self, role: Role, line: Line) -> Peer:
        label = f"{role.name.lower()} {len(self._peers) + 1}"
        peer = Peer(
            label,
            role,
            line,
            seconds=self.target.seconds,
            now=self.target.now,
            said=self.transcript,
        )
        self._peers.append(peer)
        return peer

    # --- a client's way ----------------------------------------------------------------------

    def device(self) -> Device:
        return Device(self.rng)

    def licensing(self) -> tuple[Peer, LicenseRequest]:
        """A client that has received LicenseRequest."""
        client = self.open()
        return client, client.hear(LicenseRequest)

    def show(self, device: Device) -> Peer:
        """A client that has sent LicenseInfo with what its device holds."""
        client, request = self.licensing()
        client.say(device.show(request, client.certificate))
        return client

    def take_license(self, client: Peer, device: Device) -> LicenseAccepted:
        """The rest of the licensing phase; stores a new token if the target pushes one."""
        message = client.next()
        if isinstance(message, NewLicense):
            claims = device.store(message)
            client.say(LicenseStored(license_id=claims.license_id))
            message = client.next()
        if not isinstance(message, LicenseAccepted):
            raise Unmet(f"expected LicenseAccepted, {came(message)}")
        return message

    def licensed(self, device: Device | None = None) -> Peer:
        """A client in its logon phase."""
        device = device or self.device()
        client = self.show(device)
        self.take_license(client, device)
        return client

    def logged_on(self, device: Device | None = None, user: User | None = None) -> Peer:
        """A client that shows a session of its user."""
        client = self.licensed(device)
        self.log_on(client, user or self.user())
        return client

    def log_on(self, client: Peer, user: User) -> LogonAccepted:
        client.say(logon_request(user))
        return client.hear(LogonAccepted)

    def user(self, index: int = 0) -> User:
        users: Sequence[User] = self.target.users
        if index >= len(users):
            raise Unavailable(f"needs {index + 1} accounts of the target (--user)")
        return users[index]

    def applications(self, count: int) -> Sequence[str]:
        """The names of `count` applications that users of the target may start."""
        if count > len(self.target.applications):
            raise Unavailable(f"needs {count} applications of the target (--application)")
        return self.target.applications[:count]

    def scopes(self, *needed: int) -> dict[int, str]:
        """The scopes in which the target is found, at least one, and all of `needed`."""
        scopes = self.target.scopes
        if not scopes or any(number not in scopes for number in needed):
            raise Unavailable("needs more scopes of the target (--workgroup, --domain, --site)")
        return scopes

    def redirected(self) -> Peer:
        """A client that the target has redirected to another terminal server: one that the suite
        has joined to the directory, where the user has a session."""
        name, user = self.fresh_name("ts"), self.user()
        other = self.open(Role.TERMINAL_SERVER, name=name, to=Role.SESSION_DIRECTORY)
        newest = session_row(
            name, user.name, state=messages.SessionState.ACTIVE, created_at=int(self.now)
        )
        join(other, name, [newest])
        client = self.licensed()
        client.say(logon_request(user))
        client.hear(messages.Redirect)
        return client

    # --- a terminal server's way, towards a client under test ---------------------------------

    def client_logon(self, server: Peer) -> LogonRequest:
        """Licenses the client, and returns its LogonRequest."""
        ask_for_license(self, server)
        server.say(LicenseAccepted(kind=LicenseKind.FULL))
        return server.hear(LogonRequest)

    def client_session(self, cookie: bytes = b"") -> Peer:
        """The client shows a session."""
        server = self.accept(Role.TERMINAL_SERVER)
        request = self.client_logon(server)
        server.say(logon_accepted(request.user_name, cookie=cookie))
        server.expect_no_fault(0.1)  # a ResizeSession may come
        return server

    def redirect(self, host: str = "", session_id: int = 3) -> messages.Redirect:
        """A redirect to the address at which the client was accepted."""
        address, port = self.target.accepting_at()
        return messages.Redirect(
            host=host or NAMES[Role.TERMINAL_SERVER],
            address=address,
            port=port,
            ticket=self.rng.randbytes(16),
            session_id=session_id,
        )

    # --- licenses that the suite issues -------------------------------------------------------

    def issuer(
        self,
        name: str = "",
        farm: str = "",
        role: Role = Role.LICENSE_SERVER,
        expired: bool = False,
    ) -> Issuer:
        """A license server of the target's farm, unless another farm or role is named."""
        return self.target.issuer(role, name or NAMES[role], farm or self.target.farm, expired)

    def claims(self, device: Device, signer: Issuer, /, **changes: object) -> TokenClaims:
        """The claims of a good full token for this device and the target's product, half of its
        life over."""
        claims = self.claims_of(device.id, self.product, signer, license_id=device.id[:16])
        return msgspec.structs.replace(claims, **changes)

    def claims_of(
        self, device_id: bytes, product: str, issuer: Issuer, *, license_id: bytes
    ) -> TokenClaims:
        return TokenClaims(
            farm=self.target.farm,
            issuer=issuer.name,
            license_id=license_id,
            product=product,
            device_id=device_id,
            issued_at=int(self.now) - 30 * DAY,
            expires_at=int(self.now) + 30 * DAY,
        )

    def holds(self, device: Device, claims: TokenClaims, issuer: Issuer) -> None:
        """Gives the device this token."""
        device.token = sign_token(claims, issuer.key)
        device.issuer_certificate = issuer.certificate

    def issued(self, claims: TokenClaims, issuer: Issuer) -> LicenseIssued:
        """A license server's LicenseIssued with this token."""
        return LicenseIssued(
            license_id=claims.license_id,
            kind=LicenseKind(claims.kind),
            expires_at=claims.expires_at,
            token=sign_token(claims, issuer.key),
            issuer_certificate=issuer.certificate,
        )


def hello(role: Role = Role.CLIENT, name: str = "", lowest: int = 1, highest: int = 1) -> Hello:
    name = name or NAMES[role]
    return Hello(version_min=lowest, version_max=highest, role=role, name=name)


def logon_request(
    user: User, kind: Credential = Credential.PASSWORD, credential: bytes | None = None
) -> LogonRequest:
    return LogonRequest(
        user_name=user.name,
        credential_kind=kind,
        credential=user.password if credential is None else credential,
    )


def came(message: Message | None) -> str:
    if message is None:
        return "nothing came"
    said = f" with {message.code.name}: {message.detail}" if isinstance(message, Goodbye) else ""
    return f"came {type(message).__name__}{said}"


def _named(values: Mapping[str, object], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {wire.shown(values[name])}" for name in names)


def ask_for_license(context: CaseContext, server: Peer) -> messages.LicenseInfo:
    """As the client's terminal server, sends LicenseRequest and returns its LicenseInfo."""
    nonce = context.rng.randbytes(32)
    server.say(LicenseRequest(nonce=nonce, product=context.product, product_version=1))
    return server.hear(messages.LicenseInfo)


def logon_accepted(user_name: str, session_id: int = 1, cookie: bytes = b"") -> LogonAccepted:
    return LogonAccepted(
        host=NAMES[Role.TERMINAL_SERVER],
        session_id=session_id,
        user_name=user_name,
        reattached=False,
        created_at=1,
        cookie=cookie,
    )


def session_row(host: str, user_name: str, session_id: int = 1, /, **changes: object) -> SessionRow:
    row = SessionRow(
        host=host,
        session_id=session_id,
        user_name=user_name,
        application="",
        state=messages.SessionState.DISCONNECTED,
        created_at=1,
        placement=1,
    )
    return msgspec.structs.replace(row, **changes)


def join(server: Peer, name: str, rows: Sequence[SessionRow] = (), sessions_max: int = 100) -> None:
    """Joins the directory as this terminal server, and synchronises these sessions."""
    server.ask_for(messages.Joined, join_farm(sessions_max=sessions_max))
    sync = messages.SyncSessions(sessions=list(rows), last=True)
    server.ask_for(messages.Done, sync)


def join_farm(sessions_max: int = 100, incarnation: bytes = bytes(16)) -> messages.JoinFarm:
    return messages.JoinFarm(
        address="10.9.0.2", port=5600, incarnation=incarnation, sessions_max=sessions_max
    )
