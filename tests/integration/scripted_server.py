"""A terminal server that does what a test tells it, on real links."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from argon2.low_level import Type, hash_secret_raw

from tests.integration.farm import ADDRESSES, DAYS, NOW
from tests.integration.listener import listen
from tsproto import certificates, deny_list, identity, limits, transport
from tsproto.authorities import endorse
from tsproto.connection import Event, Opened, Received, SessionBytes
from tsproto.deny_list import DenyKind, DenyList
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DAEMONS,
    Authority,
    DisconnectSession,
    LicenseAccepted,
    LicenseInfo,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogoffSession,
    LogonAccepted,
    LogonChallenge,
    LogonProof,
    LogonStart,
    Message,
    NewDenyList,
    NewLicense,
    PamAnswers,
    QueryAuthority,
    ResizeSession,
    Role,
    SessionEnded,
)
from tsproto.ssh_keys import SshKey
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement, is_signed, key_of_tag

NONCE, SALT = b"N" * 32, b"s" * 16
CHEAP = Cost(memory_kib=limits.ARGON2_MEMORY_KIB_MIN, passes=limits.ARGON2_PASSES_MIN)


class Farm:
    """A farm's authority, and certificates for its daemons, in one folder. With `older` it is the
    next authority of that farm, which endorses it."""

    def __init__(
        self,
        folder: Path,
        name: str = "lab",
        *,
        addresses: tuple[str, ...] = ADDRESSES,
        older: Farm | None = None,
    ) -> None:
        self.name = name
        self.authority, self._key = certificates.create_authority(name, NOW)
        self._addresses = addresses
        self.endorsement = b""
        if older is not None:
            key = identity.load_key(older._key)
            self.endorsement = endorse(certificates.certificate_der(self.authority), key)
        self._folder = folder
        self._folder.mkdir()
        (folder / "authority.crt").write_bytes(self.authority)

    @property
    def fingerprint(self) -> str:
        der = certificates.certificate_der(self.authority)
        return identity.show_fingerprint(identity.fingerprint(der))

    def denying(self, *certificates: bytes) -> bytes:
        """A deny list of these SHA-256, signed by the authority."""
        content = DenyList(
            farm=self.name,
            kind=DenyKind.CERTIFICATES,
            number=deny_list.next_number(0, NOW),
            entries=[*certificates],
        )
        return deny_list.sign(content, identity.load_key(self._key))

    def files(self, role: Role, name: str) -> tuple[Path, Path, Path]:
        """Certificate, key and authority of a daemon or administrator."""
        at = self._addresses if role in DAEMONS else ()
        certificate, key = certificates.issue_certificate(
            self.authority,
            self._key,
            role,
            name,
            NOW,
            days=DAYS,
            addresses=at,
            asks_secrets=role is Role.TERMINAL_SERVER,
        )
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        for path, content in zip(paths, (certificate, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
            path.chmod(0o600)
        return *paths, self._folder / "authority.crt"


class Logon(msgspec.Struct, frozen=True):
    """What a client asked for and proved, and the statement that it should have signed."""

    start: LogonStart
    proof: LogonProof
    statement: Statement

    @property
    def user_name(self) -> str:
        return self.start.user_name

    def is_proved_with(self, password: bytes) -> bool:
        """Whether the key of this password signed."""
        cost = CHEAP
        tag = hash_secret_raw(password, SALT, cost.passes, cost.memory_kib, cost.lanes, 32, Type.ID)
        key = key_of_tag(self.statement.farm, self.user_name, tag).public_key()
        return is_signed(key.public_bytes_raw(), self.statement, self.proof.signature)

    def is_proved_by(self, key: SshKey) -> bool:
        signed = self.statement.signed_bytes()
        return key.is_signed(signed, self.proof.algorithm, self.proof.signature)


class ScriptedServer:
    """Licenses every device, accepts every logon, and echoes what is typed; `on_logon` and
    `push` change that. What it was told stands in `starts`, `logons`, `infos` and `typed`.
    `ssh_keys` are fingerprints that it knows, `salt` and `methods` what it says to every user."""

    def __init__(self, farm: Farm, name: str = "ts1") -> None:
        self.farm = farm
        self.name = name
        self.port = 0
        self.links: list[transport.Link] = []
        self.starts: list[LogonStart] = []
        self.logons: list[Logon] = []
        self.infos: list[LicenseInfo] = []
        self.received: list[Message] = []
        self.typed = b""
        self.push: Callable[[LicenseInfo], NewLicense] | None = None
        self.on_logon: Callable[[transport.Link, Logon], None] = self.accept
        self.answers: list[PamAnswers] = []
        self.on_answers: Callable[[transport.Link, PamAnswers], None] = lambda link, answers: None
        self.ssh_keys: list[bytes] = []
        self.salt = SALT
        self.methods = Methods.PASSWORD | Methods.SSH_KEY
        self.shown_authority = certificates.certificate_der(farm.authority)
        self.certificate = bytes(32)
        self.deny_list = b""
        self.session_shown = asyncio.Event()
        self.resized = asyncio.Event()

    async def __aenter__(self) -> ScriptedServer:
        await self.listen()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._listener.close()

    async def listen(
        self, role: Role = Role.TERMINAL_SERVER, port: int = 0, tls: bool = True
    ) -> None:
        files = self.farm.files(role, self.name)
        if tls:
            der = certificates.certificate_der(files[0].read_bytes())
            self.certificate = identity.fingerprint(der)
        self._listener = await listen(
            "127.0.0.1",
            port,
            self,
            role=role,
            name=self.name,
            farm=self.farm.name,
            tls=transport.server_tls(*files) if tls else None,
        )
        self.port = self._listener.port

    async def close(self) -> None:
        await self._listener.close()

    def accept(self, link: transport.Link, request: Logon) -> None:
        link.send(
            LogonAccepted(
                host=self.name,
                session_id=7,
                user_name=request.user_name,
                reattached=False,
                created_at=1,
                attachment=len(self.logons),
            )
        )
        self.session_shown.set()

    def end_session(self, exit_status: int) -> None:
        self.links[-1].send(SessionEnded(exit_status=exit_status))
        self.links[-1].flush()

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            match event:
                case Opened():
                    self.links.append(link)
                    if self.deny_list:
                        link.send(NewDenyList(signed=self.deny_list))
                    link.send(
                        LicenseRequest(
                            nonce=b"n" * 32, product="terminal-server", product_version=1
                        )
                    )
                case Received(QueryAuthority() as query):
                    shown = Authority(
                        certificate=self.shown_authority, endorsement=self.farm.endorsement
                    )
                    link.send(shown, query.request_id)
                case Received(LicenseInfo() as info):
                    self._on_info(link, info)
                case Received(LogonStart() as start):
                    self.starts.append(start)
                    link.send(self.challenge())
                case Received(LogonProof() as proof):
                    self.logons.append(self._logon(self.starts[-1], proof))
                    self.on_logon(link, self.logons[-1])
                case Received(PamAnswers() as answers):
                    self.answers.append(answers)
                    self.on_answers(link, answers)
                case Received(DisconnectSession()):
                    link.close(ErrorCode.DISCONNECTED_BY_USER)
                case Received(message):
                    self.received.append(message)
                    if isinstance(message, LicenseStored):
                        self._let_in(link)
                    elif isinstance(message, LogoffSession):
                        link.send(SessionEnded(exit_status=129))
                    elif isinstance(message, ResizeSession):
                        self.resized.set()
                case SessionBytes(data):
                    self.typed += data
                    link.send_session_bytes(data)
                case _:
                    pass

    def challenge(self) -> LogonChallenge:
        offered = self.starts[-1].key_fingerprints
        return LogonChallenge(
            nonce=NONCE,
            time=int(NOW),
            methods=self.methods,
            salt=self.salt,
            memory_kib=CHEAP.memory_kib,
            passes=CHEAP.passes,
            lanes=CHEAP.lanes,
            key_fingerprint=next((each for each in offered if each in self.ssh_keys), b""),
        )

    def _logon(self, start: LogonStart, proof: LogonProof) -> Logon:
        asked = Asked(start.application, proof.command, start.session_id, start.attachment)
        statement = Statement(
            farm=self.farm.name,
            server=self.name,
            certificate=self.certificate,
            nonce=NONCE,
            time=int(NOW),
            device_id=hashlib.sha256(self.infos[-1].public_key).digest(),
            user_name=start.user_name,
            method=Method(proof.method),
            methods=self.methods,
            salt=self.salt,
            cost=CHEAP,
            asked=asked,
        )
        return Logon(start, proof, statement)

    def _on_info(self, link: transport.Link, info: LicenseInfo) -> None:
        self.infos.append(info)
        if self.push is not None:
            link.send(self.push(info))
        else:
            self._let_in(link)

    def _let_in(self, link: transport.Link) -> None:
        link.send(LicenseAccepted(kind=LicenseKind.TEMPORARY, notice="90 days to go"))

    def on_writable(self, link: transport.Link) -> None:
        """Echoes are short."""
