"""A link: a `Connection` on an asyncio transport.

It moves bytes between the two, keeps one timer, and reports events to its owner. Deadlines follow
the loop's monotonic clock, so setting the wall clock breaks no link.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from tsproto import identity, limits
from tsproto.connection import Closed, Connection, Event
from tsproto.error_text import refuses_our_certificate, words_of
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState, Message, Role
from tsproto.transport.local_peer import stranger
from tsproto.transport.tls import PLAIN_FINGERPRINT, FarmContext

if TYPE_CHECKING:
    from tsproto.deny_list import DenyLists
    from tsproto.transport import Listener

_link_ids = itertools.count(1)

RETRY_SECONDS = 5  # in the Goodbye of a full daemon
# For the Goodbye of a link that gives way: others may come quickly, and each holds a socket.
LINGER_SECONDS = 0.2


AUTHENTICATED = (LinkState.SESSION, LinkState.SERVICE)


class LinkOwner(Protocol):
    """The user of a link.

    An exception that it raises goes to the loop's exception handler, and the link is cut. `Closed`
    may be the first event of an accepted link; it is the last event of every link that the owner
    did not close itself.
    """

    def on_events(self, link: Link, events: list[Event]) -> None: ...
    def on_writable(self, link: Link) -> None: ...


class Observer(Protocol):
    """Sees the bytes inside TLS: those written, and those read, before they are processed. It must
    not raise."""

    def on_sent(self, link: Link, data: bytes) -> None: ...
    def on_received(self, link: Link, data: bytes) -> None: ...


class LocalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of this process towards its peers. Without a TLS context its links are plain
    TCP: on loopback addresses only, and for this process's user and root, unless
    `plain_anywhere`."""

    role: Role
    name: str
    farm: str = ""
    listen_tls: ssl.SSLContext | None = None
    dial_tls: ssl.SSLContext | None = None
    plain_anywhere: bool = False
    deny_lists: DenyLists | None = None


class Link(asyncio.Protocol):
    """One link.

    `id` is unique in this process. `own_certificate` is the SHA-256 of the certificate that the
    peer saw, 32 zero bytes for none; `peer_certificate_der` is the peer's, `peer_certificate` its
    SHA-256, both empty for none. `flush` writes
    everything that was sent, in one write. A link flushes by itself after its owner has handled its
    events; an owner that sends at another time calls it.
    """

    connection: Connection

    def __init__(
        self,
        owner: LinkOwner,
        local: LocalIdentity,
        listener: Listener | None = None,
        observer: Observer | None = None,
        *,
        expect_role: Role | None = None,
        expect_name: str = "",
        expect_address: str = "",
    ) -> None:
        self.id = next(_link_ids)
        self.host = ""
        self.port = 0
        self._tls = tls = local.dial_tls if listener is None else local.listen_tls
        self.own_certificate = (
            tls.fingerprint if isinstance(tls, FarmContext) else PLAIN_FINGERPRINT
        )
        self.peer_certificate_der = b""
        self.peer_certificate = b""
        self.certificate_fault = ""
        self.peer_identity: identity.Identity | None = None
        self._owner = owner
        self._local = local
        self._listener = listener
        self._expect_role = expect_role
        self._expect_name = expect_name
        self._expect_address = expect_address
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._writing_paused = False
        self._hung_up = False
        self._linger_seconds = limits.GOODBYE_SECONDS
        self._is_authenticated = listener is None
        self._gone = asyncio.Event()

    # --- for the owner ----------------------------------------------------------------------------

    def send(self, message: Message, request_id: int = 0) -> None:
        """As `Connection.send`."""
        self.connection.tell_time(self._loop.time())
        self.connection.send(message, request_id)

    def request(self, message: Message) -> int:
        """As `Connection.request`."""
        return self.connection.request(message)

    def give_up(self, request_id: int) -> None:
        self.connection.give_up(request_id)

    def flush(self) -> None:
        """Writes everything queued, unless the peer does not read; after the end, hangs up."""
        if not self._is_authenticated and self.connection.state in AUTHENTICATED:
            self._is_authenticated = True
            if self._listener is not None:
                self._listener.on_authenticated(self)
        if self._transport.is_closing():
            return
        if self.connection.state is LinkState.CLOSED:
            self._hang_up()
        elif not self._writing_paused:
            if data := self.connection.data_to_send():
                self._write(data)
        elif self.connection.is_overfull:
            self._loop.call_soon(self._end_if_overfull)

    def send_session_bytes(self, data: bytes) -> bool:
        """Queues session bytes. False: SESSION_OUTBOX_BYTES wait for the peer, so send no more
        before `on_writable`."""
        self.connection.send_session_bytes(data)
        self.flush()
        return not self._writing_paused

    def pause_reading(self) -> None:
        """Stops reading, so that the peer has to wait. Until reading resumes, the peer's silence
        and its loss are not noticed."""
        if not self._transport.is_closing() and not self._hung_up:
            self.connection.pause_receiving()
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing() and not self._hung_up:
            self.connection.resume_receiving(self._loop.time())
            self._transport.resume_reading()

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        """Sends everything queued and a Goodbye, and hangs up; no event follows. A caller that ends
        the process afterwards awaits `wait_closed`."""
        self.connection.close(code, detail, trace_id, retry_after_seconds)
        self.flush()

    def turn_away(self, detail: str) -> None:
        """Ends a link that finds no room with TOO_MANY_CONNECTIONS; `Closed` follows. The peer may
        miss the Goodbye when it is slow."""
        code = ErrorCode.TOO_MANY_CONNECTIONS
        self._linger_seconds = LINGER_SECONDS
        self.connection.close(code, detail, retry_after_seconds=RETRY_SECONDS)
        self._report([Closed(code, detail, by_peer=False)])

    def abort(self) -> None:
        """Cuts the link without a Goodbye; `Closed(CONNECTION_LOST)` follows."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Returns when the transport has closed, at most GOODBYE_SECONDS after the end."""
        await self._gone.wait()

    # --- for the transport ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(
            high=limits.SESSION_OUTBOX_BYTES, low=limits.SESSION_OUTBOX_BYTES // 4
        )
        self.host, self.port = (transport.get_extra_info("peername") or ("", 0))[:2]
        _set_socket_options(transport.get_extra_info("socket"))
        self.connection = Connection(
            self._local.role,
            self._local.name,
            dialling=self._listener is None,
            now=self._loop.time(),
            farm=self._local.farm,
            certified=self._certified(),
            trusted=self._tls is None,
            expect_role=self._expect_role,
            expect_name=self._expect_name,
            deny_lists=self._local.deny_lists,
            certificate=self.peer_certificate,
        )
        if self._listener is None:
            self._transport.pause_reading()  # until `dial` has given the link to its caller
            return
        if self.certificate_fault:
            self.connection.close(ErrorCode.WRONG_ROLE, self.certificate_fault)
        elif detail := self._is_strangers():
            self.connection.close(ErrorCode.NOT_PERMITTED, detail)
        self._listener.admit(self)
        self.begin()

    def _is_strangers(self) -> str:
        """Says that another local user has connected without TLS; empty for all others."""
        if self._tls is not None or self._local.plain_anywhere:
            return ""
        return stranger(self._transport.get_extra_info("socket"))

    def begin(self) -> None:
        """Sends the connection's first message, and reports events from now on."""
        self._begun = True
        if self._listener is None:
            self._transport.resume_reading()
        self.flush()
        if self.connection.state is not LinkState.CLOSED:
            self._arm()

    def data_received(self, data: bytes) -> None:
        if self._observer is not None:
            self._observer.on_received(self, data)
        self._report(self.connection.receive_data(data, self._loop.time()))

    def eof_received(self) -> None:
        self._report(self.connection.receive_eof(self._loop.time(), self._suspicion()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.forget(self)
        self._gone.set()
        detail = self._suspicion() if exc is None else words_of(exc)
        refused = refuses_our_certificate(exc)
        code = ErrorCode.WRONG_ROLE if refused else ErrorCode.CONNECTION_LOST
        self._report(self.connection.receive_eof(self._loop.time(), detail, code))

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._hung_up:
            return
        self.flush()
        if not self._writing_paused:
            self._guard(lambda: self._owner.on_writable(self))

    # --- within -----------------------------------------------------------------------------------

    def _certified(self) -> identity.Identity | None:
        ssl_object = self._transport.get_extra_info("ssl_object")
        if ssl_object is None:
            return None
        self.peer_certificate_der = ssl_object.getpeercert(binary_form=True) or b""
        if not self.peer_certificate_der:
            return None
        self.peer_certificate = identity.fingerprint(self.peer_certificate_der)
        try:
            found, addresses = _shown(ssl_object)
        except identity.IdentityError as error:
            self.certificate_fault = str(error)
            return None
        self.peer_identity = found
        self.certificate_fault = self._fault_of(found, addresses)
        return found

    def _fault_of(self, found: identity.Identity, addresses: list[str]) -> str:
        """Why this is not the expected peer; empty when it is."""
        wanted_role = self._expect_role or found.role
        wanted_name = self._expect_name or found.name
        if (found.role, found.name) != (wanted_role, wanted_name):
            wanted = f" {wanted_name!r}" if self._expect_name else ""
            return (
                f"its certificate is of {found.role.words} {found.name!r}, wanted was"
                f" {wanted_role.words}{wanted}"
            )
        address = self._expect_address
        carried = map(identity.shown_address, addresses)
        if address and identity.shown_address(address) not in carried:
            return (
                f"its certificate, of {found.role.words} {found.name!r}, is not for {address!r} but"
                f" for {', '.join(addresses) or 'no address'}; if {address} is this host's, run"
                f" `tsfarm pki renew {found.name} --address {address}`"
            )
        return ""

    def _suspicion(self) -> str:
        """Why a link without a first message may have been cut: neither loop reports the TLS alert
        by which a server refuses a client's certificate, and plain TCP has no alerts."""
        if self._listener is not None or self.connection.peer_role is not None:
            return ""
        if self._tls is None:
            return "the peer hung up without a word: it may want TLS"
        if self.own_certificate != PLAIN_FINGERPRINT:
            return "the peer hung up without a word: it may not trust our certificate"
        return ""

    def _report(self, events: list[Event]) -> None:
        if events and self._begun:
            self._guard(lambda: self._owner.on_events(self, events))
        self.flush()

    def _write(self, data: bytes) -> None:
        if self._observer is not None:
            self._observer.on_sent(self, data)
        self._transport.write(data)

    def _guard(self, call: Callable[[], None]) -> None:
        # The transport would take an OSError of the owner for one of the network.
        try:
            call()
        except Exception as error:
            self._transport.abort()
            self._loop.call_exception_handler(
                {"message": f"the owner of link {self.id} failed", "exception": error}
            )

    def _arm(self) -> None:
        deadline = self.connection.next_deadline()
        assert deadline is not None
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        deadline = self.connection.next_deadline()
        now = self._loop.time()
        if deadline is not None and deadline <= now:
            self._report(self.connection.on_deadline(now))
        if self.connection.state is not LinkState.CLOSED:
            self._arm()

    def _end_if_overfull(self) -> None:
        if self.connection.is_overfull:
            self._report(self.connection.on_deadline(self._loop.time()))

    def _hang_up(self) -> None:
        """Sends the last bytes and then the FIN; cuts the link when this takes too long.

        Unread bytes of the peer would make the kernel send a reset, which overtakes the Goodbye. So
        they are read and dropped until the peer has closed its side too.
        """
        if self._hung_up:
            return
        self._hung_up = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._linger_seconds, self._transport.abort)
        last_words = self.connection.data_to_send()
        if not last_words:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._write(last_words)
        if self._transport.can_write_eof():
            self._transport.write_eof()


def _set_socket_options(found: socket.socket) -> None:
    """Small frames are sent at once, and a peer that vanished is noticed on an idle link.

    TCP_USER_TIMEOUT is not set: it would cut a client that only stopped reading for a while.
    """
    options = [
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", int(limits.SILENT_SECONDS)),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", int(limits.HEARTBEAT_SECONDS)),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    ]
    with contextlib.suppress(OSError):  # the peer is gone already
        for level, option, value in options:
            if hasattr(socket, option):
                found.setsockopt(level, getattr(socket, option), value)


def _shown(tls: ssl.SSLObject) -> tuple[identity.Identity, list[str]]:
    """The identity in the peer's certificate, and the addresses. Raises IdentityError."""
    verified = tls.getpeercert()
    if verified:
        names = cast("tuple[tuple[str, str], ...]", verified.get("subjectAltName", ()))
        found = identity.identity_among(value for kind, value in names if kind == "URI")
        return found, [value for kind, value in names if kind in ("DNS", "IP Address")]
    # OpenSSL parses verified certificates only. The X.509 library is slow to import, rarely needed.
    from tsproto.certificates import addresses_in, identity_in, parse_certificate

    certificate = parse_certificate(tls.getpeercert(binary_form=True) or b"")
    return identity_in(certificate), addresses_in(certificate)
