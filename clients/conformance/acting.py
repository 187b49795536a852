"""What a case can do: dial the target in any role, answer it as any daemon, take the steps of a
client. Cases are written in these words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clients.conformance import wire
from clients.conformance.attempt import Attempt, challenge_to, challenged
from clients.conformance.device import DAY, Device, TokenClaims, sign_token
from clients.conformance.linking import NAMES, Links
from clients.conformance.peer import Peer
from clients.conformance.target import (
    Issuer,
    Unavailable,
    Unmet,
)
from clients.conformance.user import User
from tsproto import messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Goodbye,
    Hello,
    LicenseAccepted,
    LicenseIssued,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonAccepted,
    LogonProof,
    LogonStart,
    Message,
    NewLicense,
    Role,
    SessionRow,
)

GAVE_UP = "the client gave up, as it may"


class CaseContext(Links):
    """What a case can do and say."""

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

    def hear_logon_again(self, server: Peer, seconds: float | None = None) -> LogonStart:
        """The client's next LogonStart. Raises Unavailable when the client says Goodbye NORMAL
        instead: it need not try again."""
        message = server.next(seconds)
        if isinstance(message, Goodbye) and message.code is ErrorCode.NORMAL:
            raise Unavailable(GAVE_UP)
        if not isinstance(message, LogonStart):
            raise Unmet(f"expected LogonStart, or Goodbye with NORMAL, {came(message)}")
        return message

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
        client.device_id = device.id
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

    def challenged(self, client: Peer, user: User, **start: Any) -> Attempt:
        """The target's challenge to a LogonStart."""
        return challenged(client, user, self.target.farm, self.target_name, **start)

    def prove(self, client: Peer, user: User, **asked: Any) -> None:
        """Sends a LogonStart and a good proof; `asked` are fields of both. The answer is not
        read."""
        start = {name: asked.pop(name) for name in LogonStart.__struct_fields__ if name in asked}
        attempt = self.challenged(client, user, **start)
        client.say(attempt.proof(**asked))

    def log_on(self, client: Peer, user: User, **asked: Any) -> LogonAccepted:
        self.prove(client, user, **asked)
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
        name, client = self.fresh_name("ts"), self.licensed()
        told = self.challenged(client, self.user()).challenge
        salted = {name: getattr(told, name) for name in self.user().salted}
        user = msgspec.structs.replace(self.user(), **salted)
        client.hang_up()
        other = self.open(Role.TERMINAL_SERVER, name=name, to=Role.SESSION_DIRECTORY)
        join(other, name)
        question = messages.PlaceSession(
            user_name=user.name, application="", proof=[self.given_to(other, user).for_directory()]
        )
        placed = other.ask_for(messages.SessionPlaced, question)
        newest = session_row(
            name,
            user.name,
            state=messages.SessionState.ACTIVE,
            created_at=int(self.now),
            placement=placed.placement,
            receipt=placed.receipt,
        )
        other.say(messages.UpdateSession(session=newest))
        other.expect_refused(messages.SyncSessions(sessions=[], last=True))  # it has heard that
        client = self.licensed()
        self.prove(client, user)
        client.hear(messages.Redirect)
        return client

    def given_to(self, server: Peer, user: User, **start: Any) -> Attempt:
        """What the user would sign at this terminal server, which the suite plays."""
        challenge = challenge_to(user, self.rng.randbytes(32), self.now)
        seen = {
            "farm": self.target.farm,
            "server": server.name,
            "certificate": server.own_certificate,
            "device_id": self.rng.randbytes(32),
        }
        return Attempt(LogonStart(user_name=user.name, **start), challenge, user, seen)

    # --- a terminal server's way, towards a client under test ---------------------------------

    def client_logon(self, server: Peer) -> LogonStart:
        """Licenses the client, and returns its LogonStart."""
        info = ask_for_license(self, server)
        server.device_id = hashlib.sha256(info.public_key).digest()
        server.say(LicenseAccepted(kind=LicenseKind.FULL))
        return server.hear(LogonStart)

    def challenge(self, server: Peer, start: LogonStart, **changes: Any) -> Attempt:
        """Sends the client a challenge, good but for `changes`."""
        user = next((user for user in self.target.users if user.name == start.user_name), None)
        user = user or User(start.user_name, b"")
        challenge = challenge_to(user, self.rng.randbytes(32), self.now, **changes)
        server.say(challenge)
        seen = {
            "farm": self.target.farm,
            "server": server.name,
            "certificate": server.certificate,
            "device_id": server.device_id,
        }
        return Attempt(start, challenge, user, seen)

    def client_proof(self, server: Peer) -> tuple[LogonStart, LogonProof]:
        """Licenses and challenges the client, and returns its LogonStart and its proof."""
        start = self.client_logon(server)
        self.challenge(server, start)
        return start, server.hear(LogonProof)

    def client_session(self, attachment: int = 1) -> Peer:
        """The client shows a session."""
        server = self.accept(Role.TERMINAL_SERVER)
        start, _ = self.client_proof(server)
        server.say(logon_accepted(start.user_name, attachment=attachment))
        server.expect_no_fault(0.1)  # a ResizeSession may come
        return server

    def redirect(self, host: str = "", session_id: int = 3) -> messages.Redirect:
        """A redirect to the address at which the client was accepted."""
        address, port = self.target.accepting_at()
        return messages.Redirect(
            host=host or NAMES[Role.TERMINAL_SERVER],
            address=address,
            port=port,
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


def logon_accepted(user_name: str, session_id: int = 1, attachment: int = 1) -> LogonAccepted:
    return LogonAccepted(
        host=NAMES[Role.TERMINAL_SERVER],
        session_id=session_id,
        user_name=user_name,
        reattached=False,
        created_at=1,
        attachment=attachment,
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
