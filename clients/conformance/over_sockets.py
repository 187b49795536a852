"""A target at an address, over TLS or plain TCP: any implementation, or a lab's daemon."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from clients.conformance import wire
from clients.conformance.linking import hello
from clients.conformance.target import Issuer, Line, Unavailable, word_of
from clients.conformance.trust import Files, Trust, fingerprint_of
from clients.conformance.user import User
from tsproto import identity
from tsproto.addresses import is_loopback
from tsproto.error_text import words_of
from tsproto.messages import Role

READ_BYTES = 256 * 1024
WRITE_SECONDS = 10.0
START_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.02
STRANGER = "stranger"
NOT_PLAYED = "the daemons that this target dials are not the suite's (--lab, --play)"


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SocketLine:
    """The suite's end of a TCP or TLS link, see Line."""

    def __init__(
        self,
        name: str,
        link: socket.socket,
        certificate: bytes,
        own_certificate: bytes = bytes(32),
    ) -> None:
        self.name = name
        self.certificate = certificate
        self.own_certificate = own_certificate
        self._link = link

    def write(self, data: bytes) -> None:
        """A write to a link that the target has closed is dropped; the next read tells the end."""
        with contextlib.suppress(OSError):
            self._link.settimeout(WRITE_SECONDS)
            self._link.sendall(data)

    def read(self, seconds: float) -> bytes | None:
        try:
            self._link.settimeout(max(seconds, 0.001))
            return self._link.recv(READ_BYTES)
        except TimeoutError:
            return None
        except OSError:
            return b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._link.close()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the suite knows of a target.

    `beside` are right daemons of the same farm, `lab` is the folder of the lab that runs it,
    `restart` the command that kills and starts it outside of a lab. Without `tls` its links are
    plain TCP, and `trust` is for tokens only.
    """

    role: Role
    address: Address
    trust: Trust | None = None
    tls: bool = True
    farm: str = "farm"
    product: str = "terminal-server"
    users: tuple[User, ...] = ()
    applications: tuple[str, ...] = ()
    broken_application: str = ""
    seconds: float = 5.0
    longest_seconds: float = 10.0
    all_points: bool = True
    beside: dict[Role, Address] = {}
    discovery: Address | None = None
    scopes: dict[int, str] = {}
    lab: Path | None = None
    restart: str = ""
    name: str = ""


class OverSockets:
    has_sockets = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.role = settings.role
        self.name = settings.name
        self.farm = settings.trust.farm if settings.trust else settings.farm
        self.product = settings.product
        self.seconds = settings.seconds
        self.longest_seconds = settings.longest_seconds
        self.all_points = settings.all_points
        self.users: Sequence[User] = settings.users
        self.applications: Sequence[str] = settings.applications
        self.scopes = settings.scopes
        self.has_certificates = settings.tls
        self._addresses = {**settings.beside, settings.role: settings.address}
        self._contexts: dict[tuple[Role, str], ssl.SSLContext] = {}
        self._datagrams: socket.socket | None = None
        self._sources = itertools.count(os.getpid())

    def check_is_there(self) -> None:
        """Raises ConnectionError when nobody listens, or the listener does not speak TLS."""
        context = self._trust_of_links().client_context(None) if self._settings.tls else None
        self._dial(self._settings.address, "", context).close()

    def begin(self) -> None:
        """Nothing: a daemon stays as the last case has left it."""

    def stop(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    # --- links ------------------------------------------------------------------------------------

    def dial(self, role: Role, name: str, to: Role) -> Line:
        if to not in self._addresses:
            raise Unavailable(f"needs a right {word_of(to)} beside it (--lab, --beside)")
        context = self._context(role, name) if self._settings.tls else None
        line = self._dial(self._addresses[to], name, context)
        if context is not None and role is not Role.CLIENT:
            shown = self._trust_of_links().issuer(role, name, False).certificate
            line.own_certificate = identity.fingerprint(shown)
        return line

    def _dial(self, address: Address, name: str, context: ssl.SSLContext | None) -> SocketLine:
        try:
            where, source = (address.host, address.port), self._source(address.host)
            link = socket.create_connection(where, self.seconds, source_address=source)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is None:
                return SocketLine(name, link, bytes(32))
            secured = context.wrap_socket(link)
        except OSError as error:
            raise ConnectionError(f"{address}: {words_of(error)}") from None
        return SocketLine(name, secured, fingerprint_of(secured))

    def _source(self, host: str) -> tuple[str, int] | None:
        """On loopback each link comes from another network: a terminal server slows down one that
        guesses passwords."""
        if not host.startswith("127."):
            return None
        number = next(self._sources)
        return f"127.{number >> 8 & 127}.{number & 255}.9", 0

    def _context(self, role: Role, name: str) -> ssl.SSLContext:
        trust = self._trust_of_links()
        if (role, name) not in self._contexts:
            files = None if role is Role.CLIENT else trust.files(role, name)
            self._contexts[role, name] = trust.client_context(files)
        return self._contexts[role, name]

    def dial_with_no_identity(self) -> Line:
        trust = self._trust_of_links()
        context = trust.client_context(trust.unidentified())
        return self._dial(self._settings.address, "nobody", context)

    def accepts_tls_1_2(self) -> bool:
        context = self._trust_of_links().client_context(None)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._dial(self._settings.address, "", context).close()
        except ConnectionError:
            return False
        return True

    def accepts_a_foreign_certificate(self) -> bool:
        """A TLS 1.3 client's handshake succeeds before the server has checked the client's
        certificate: a read after it tells whether the server accepted it."""
        foreign: Files = Trust.invented(self.farm, STRANGER).files(Role.ADMINISTRATOR, "admin")
        context = self._trust_of_links().client_context(foreign)
        try:
            line = self._dial(self._settings.address, "admin", context)
        except ConnectionError:
            return False
        line.write(wire.message_bytes(hello(Role.ADMINISTRATOR, "admin")))
        heard = line.read(self.seconds)
        line.close()
        return bool(heard)

    def accept(self, role: Role, seconds: float) -> Line:
        raise Unavailable(NOT_PLAYED)

    def accept_as_a_stranger(self, seconds: float) -> Line:
        raise Unavailable(NOT_PLAYED)

    def strangers_authority(self) -> bytes:
        raise Unavailable(NOT_PLAYED)

    def accept_without_address(self, seconds: float) -> Line:
        raise Unavailable(NOT_PLAYED)

    def accepting_at(self) -> tuple[str, int]:
        raise Unavailable(NOT_PLAYED)

    def disconnect(self) -> None:
        raise Unavailable("a daemon has no user")

    def broken_application(self) -> str:
        if not self._settings.broken_application:
            raise Unavailable("needs an application that does not start (--broken-application)")
        return self._settings.broken_application

    def issuer(self, role: Role, name: str, farm: str, expired: bool) -> Issuer:
        trust = self._trust()
        if farm != trust.farm:
            trust = Trust.invented(farm)
        return trust.issuer(role, name, expired)

    def authority(self) -> Issuer:
        return self._trust().authority()

    def fingerprint(self, role: Role, name: str) -> bytes:
        return hashlib.sha256(self._trust().issuer(role, name, False).certificate).digest()

    def _trust_of_links(self) -> Trust:
        if not self._settings.tls:
            raise Unavailable("the target is plain TCP")
        return self._trust()

    def _trust(self) -> Trust:
        if self._settings.trust is None:
            raise Unavailable("needs the farm's authority (--ca, --lab)")
        return self._settings.trust

    # --- datagrams --------------------------------------------------------------------------------

    def send_datagram(self, datagram: bytes) -> None:
        where = self._settings.discovery
        if where is None:
            raise Unavailable("where the target hears datagrams is not known (--lab, --discovery)")
        self._datagram_socket().sendto(datagram, (where.host, where.port))

    def answer_query(self, datagram: bytes) -> None:
        raise Unavailable(NOT_PLAYED)

    def datagram(self, seconds: float) -> bytes | None:
        link = self._datagram_socket()
        link.settimeout(seconds)
        try:
            return link.recv(2048)
        except TimeoutError:
            return None

    def _datagram_socket(self) -> socket.socket:
        if self._datagrams is None:
            self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._datagrams.bind((self._datagram_host(), 0))
        return self._datagrams

    def _datagram_host(self) -> str:
        where = self._settings.discovery
        return "127.0.0.1" if where is None or is_loopback(where.host) else ""

    # --- time -------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.time()

    def let_pass(self, seconds: float) -> None:
        time.sleep(seconds)

    def move_clock(self, seconds: float) -> None:
        raise Unavailable("needs a lab to move the clock (--lab)")

    def start_anew(self, command: str) -> None:
        """Runs this command, which starts the target, and waits until it listens. Raises
        ConnectionError when the command fails, or the target does not listen in time."""
        status = subprocess.run(["sh", "-c", command]).returncode
        if status:
            raise ConnectionError(f"{command}: ended with status {status}")
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.check_is_there()
            except ConnectionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_AGAIN_SECONDS)

    def restart(self) -> None:
        if not self._settings.restart:
            command = "a command (--restart) to kill and start the target"
            raise Unavailable(f"needs a lab (--lab) or {command}")
        self.start_anew(self._settings.restart)
