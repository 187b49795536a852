"""A terminal server that does what a test tells it, on real links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.integration.listener import listen
from tsproto import certificates, identity, transport
from tsproto.connection import Event, Opened, Received, SessionBytes
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Authority,
    DisconnectSession,
    LicenseAccepted,
    LicenseInfo,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogoffSession,
    LogonAccepted,
    LogonRequest,
    Message,
    NewLicense,
    QueryAuthority,
    ResizeSession,
    Role,
    SessionEnded,
)

NOW = 1_700_000_000.0
COOKIE = b"c" * 16


class Farm:
    """A farm's authority, and certificates for its daemons, in one folder."""

    def __init__(self, folder: Path, name: str = "lab") -> None:
        self.name = name
        self.authority, self._key = certificates.create_authority(name, NOW)
        self._folder = folder
        self._folder.mkdir()
        (folder / "authority.crt").write_bytes(self.authority)

    @property
    def fingerprint(self) -> str:
        der = certificates.certificate_der(self.authority)
        return identity.show_fingerprint(identity.fingerprint(der))

    def files(self, role: Role, name: str) -> tuple[Path, Path, Path]:
        """Certificate, key and authority of a daemon or administrator."""
        certificate, key = certificates.issue_certificate(
            self.authority, self._key, role, name, NOW
        )
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        for path, content in zip(paths, (certificate, key), strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
        return *paths, self._folder / "authority.crt"


class ScriptedServer:
    """Licenses every device, accepts every logon, and echoes what is typed; `on_logon` and
    `push` change that. What it was told stands in `logons`, `infos` and `typed`."""

    def __init__(self, farm: Farm, name: str = "ts1") -> None:
        self.farm = farm
        self.name = name
        self.port = 0
        self.links: list[transport.Link] = []
        self.logons: list[LogonRequest] = []
        self.infos: list[LicenseInfo] = []
        self.received: list[Message] = []
        self.typed = b""
        self.push: Callable[[LicenseInfo], NewLicense] | None = None
        self.on_logon: Callable[[transport.Link, LogonRequest], None] = self.accept
        self.shown_authority = certificates.certificate_der(farm.authority)
        self.certificate = bytes(32)
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

    def accept(self, link: transport.Link, request: LogonRequest) -> None:
        link.send(
            LogonAccepted(
                host=self.name,
                session_id=7,
                user_name=request.user_name,
                reattached=False,
                created_at=1,
                cookie=COOKIE,
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
                    link.send(
                        LicenseRequest(
                            nonce=b"n" * 32, product="terminal-server", product_version=1
                        )
                    )
                case Received(QueryAuthority() as query):
                    link.send(Authority(certificate=self.shown_authority), query.request_id)
                case Received(LicenseInfo() as info):
                    self._on_info(link, info)
                case Received(LogonRequest() as request):
                    self.logons.append(request)
                    self.on_logon(link, request)
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
