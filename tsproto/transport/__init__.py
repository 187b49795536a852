"""Makes links: accepted or dialled, plain or TLS, on asyncio and uvloop.

In TLS 1.3 a client's handshake succeeds before the server has checked its certificate: a link that
`dial` returned is good only once `Opened` was reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from tsproto import limits
from tsproto.errors import ErrorCode, PeerError, TsfarmError
from tsproto.identity import Identity
from tsproto.messages import LinkState, Role
from tsproto.transport.error_text import refuses_our_certificate, words_of
from tsproto.transport.handshakes import Handshakes
from tsproto.transport.link import Link, LinkOwner, LocalIdentity, Observer
from tsproto.transport.tls import client_tls, client_tls_unverified, daemon_tls, server_tls

__all__ = [
    "DialFailed",
    "Link",
    "LinkOwner",
    "Listener",
    "LocalIdentity",
    "Observer",
    "WrongAddress",
    "WrongPeer",
    "bind",
    "client_tls",
    "client_tls_unverified",
    "daemon_tls",
    "dial",
    "is_loopback",
    "server_tls",
]

ACCEPT_PAUSE_SECONDS = 0.5  # after running out of descriptors, until one may be free
BACKLOG = 4096  # clients that wait to be accepted; somaxconn on Linux
REFUSAL_RETRY_SECONDS = 5  # in the Goodbye of a full daemon
DIAL_ADDRESSES = (Role.CLIENT, Role.ADMINISTRATOR)  # a person typed them


class DialFailed(PeerError):
    """No link was made. `code` is UNREACHABLE when another try can help; WRONG_ROLE when the
    certificate is not of the farm's authority, or not the expected one; NOT_PERMITTED for plain
    TCP, and for a source that is no address of this machine."""


class WrongPeer(DialFailed):
    """The peer's certificate has another role or name than expected."""


class WrongAddress(WrongPeer):
    """Role and name are right, but the certificate does not carry the address that was dialled."""


class Listener:
    """A listening socket and the links that it accepted. `port` is the real one when 0 was asked
    for; `local` is shown on the links that are accepted next.

    At most `handshakes_max` handshakes run at a time, `handshakes_per_address_max` of them from one
    address; further clients wait, at most for as long as two silent ones take. A link above one of
    the other limits is opened only to say TOO_MANY_CONNECTIONS; it is cut at once when too many
    handshakes are unfinished, in all or of its address.
    """

    def __init__(
        self,
        listening: socket.socket,
        owner: LinkOwner,
        local: LocalIdentity,
        *,
        connections_max: int = limits.CONNECTIONS_MAX,
        connections_per_address_max: int = limits.CONNECTIONS_PER_ADDRESS_MAX,
        handshakes_max: int = limits.HANDSHAKES_MAX,
        handshakes_per_address_max: int = limits.HANDSHAKES_PER_ADDRESS_MAX,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self.links: dict[int, Link] = {}
        self._listening = listening
        self._owner = owner
        self.local = local
        self._connections_max = connections_max
        self._connections_per_address_max = connections_per_address_max
        self._handshakes = Handshakes(handshakes_max, handshakes_per_address_max)
        self._refused: dict[int, Link] = {}
        self._per_address: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._accept())

    async def close(self, code: ErrorCode = ErrorCode.SHUTTING_DOWN, detail: str = "") -> None:
        """Stop listening, say Goodbye on every link, and wait until all are gone; no event is
        reported for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        links = [*self.links.values(), *self._refused.values()]
        for link in links:
            link.close(code, detail)
        await asyncio.gather(*(link.wait_closed() for link in links))

    def admit(self, link: Link) -> None:
        full = len(self.links) >= self._connections_max
        if full or self._per_address[link.host] >= self._connections_per_address_max:
            whose = "" if full else " from one address"
            detail = f"this daemon has as many connections{whose} as it may"
            link.connection.close(
                ErrorCode.TOO_MANY_CONNECTIONS, detail, retry_after_seconds=REFUSAL_RETRY_SECONDS
            )
        if link.connection.state is LinkState.CLOSED:
            self._refused[link.id] = link
        else:
            self.links[link.id] = link
            self._per_address[link.host] += 1

    def forget(self, link: Link) -> None:
        if self._refused.pop(link.id, None) is None and self.links.pop(link.id, None) is not None:
            self._per_address[link.host] -= 1
            if not self._per_address[link.host]:
                del self._per_address[link.host]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            if self._has_room_for(address[0]):
                self._start(self._shake_hands(accepted, address[0]))
            else:
                accepted.close()
            await asyncio.sleep(0)  # so that the next link is checked after this one is counted

    def _has_room_for(self, host: str) -> bool:
        """Whether a further handshake may begin. Above the limit of links there is room for
        `at_once` handshakes, so that a link can be refused with a code."""
        room = max(self._connections_max - len(self.links), self._handshakes.at_once)
        unfinished = self._handshakes.unfinished
        return unfinished.total() < room and unfinished[host] < self._connections_per_address_max

    async def _shake_hands(self, accepted: socket.socket, host: str) -> None:
        local, seconds = self.local, limits.TLS_HANDSHAKE_SECONDS
        with contextlib.ExitStack() as unused:
            unused.callback(accepted.close)
            # A failed handshake made no link, so no owner is told.
            with contextlib.suppress(OSError):
                async with self._handshakes.turn(host, patience_seconds=2 * seconds):
                    unused.pop_all()
                    await asyncio.get_running_loop().connect_accepted_socket(
                        lambda: Link(self._owner, local, self),
                        accepted,
                        **_tls_options(local.listen_tls, seconds),
                    )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()


def bind(host: str, port: int, local: LocalIdentity) -> socket.socket:
    """A socket for a Listener; clients may connect at once, and wait until it accepts.

    Raises OSError when the address cannot be bound, and TsfarmError for plain TCP on an address
    that is not loopback, unless the identity allows `plain_anywhere`.
    """
    if local.listen_tls is None and not local.plain_anywhere and not is_loopback(host):
        raise TsfarmError(f"{host} is no loopback address: listen with TLS, or allow plain TCP")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


async def dial(
    host: str,
    port: int,
    owner: LinkOwner,
    *,
    role: Role,
    name: str,
    farm: str = "",
    tls: ssl.SSLContext | None,
    server_hostname: str = "",
    expect_role: Role | None = None,
    expect_name: str = "",
    timeout_seconds: float = limits.DIAL_SECONDS,
    plain_anywhere: bool = False,
    observer: Observer | None = None,
    source: str = "",
) -> Link:
    """A link after its TCP and TLS handshakes, to a peer whose certificate has the expected role
    and name; where a client or an administrator expects no name, it must carry `host`.

    `server_hostname` is the TLS server name, on which balancers route; empty means `host`, or none
    for an IP address (RFC 6066, 3). `source` is the local address to dial from; the system chooses
    one when it is empty. Each source has ports of its own, some 28,000 on Linux. The first event
    comes after the caller has the link. Raises DialFailed.
    """
    where = f"{host}:{port} from {source}" if source else f"{host}:{port}"
    if tls is None and not plain_anywhere and not is_loopback(host):
        raise DialFailed(ErrorCode.NOT_PERMITTED, f"{where} is no loopback address: TLS is needed")
    local = LocalIdentity(role=role, name=name, farm=farm, dial_tls=tls)
    link = Link(
        owner,
        local,
        observer=observer,
        expect_role=expect_role,
        expect_name=expect_name,
        expect_address=host if role in DIAL_ADDRESSES and not expect_name else "",
    )
    options = {**_tls_options(tls, timeout_seconds), **_source_options(source)}
    if tls is not None:
        options["server_hostname"] = server_hostname or ("" if _is_ip(host) else host)
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.get_running_loop().create_connection(lambda: link, host, port, **options)
    except TimeoutError:
        raise DialFailed(
            ErrorCode.UNREACHABLE, f"{where} did not answer within {timeout_seconds:g} seconds"
        ) from None
    except (OSError, UnicodeError) as error:  # UnicodeError: no host name, says the idna codec
        if source and getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise DialFailed(
                ErrorCode.NOT_PERMITTED, f"{source} is no address of this machine to dial from"
            ) from None
        bad = isinstance(error, ssl.SSLCertVerificationError) or refuses_our_certificate(error)
        code = ErrorCode.WRONG_ROLE if bad else ErrorCode.UNREACHABLE
        raise DialFailed(code, f"{where}: {words_of(error)}") from None
    if link.connection.state is LinkState.CLOSED:
        raise DialFailed(ErrorCode.UNREACHABLE, f"{where} hung up at once")
    if link.certificate_fault:
        link.abort()
        failure = _failure(link.peer_identity, expect_role, expect_name)
        raise failure(ErrorCode.WRONG_ROLE, f"{where}: {link.certificate_fault}")
    link.begin()
    return link


def _failure(
    found: Identity | None, expect_role: Role | None, expect_name: str
) -> type[DialFailed]:
    if found is None:
        return DialFailed
    is_right = expect_role in (None, found.role) and expect_name in ("", found.name)
    return WrongAddress if is_right else WrongPeer


def _tls_options(tls: ssl.SSLContext | None, handshake_seconds: float) -> dict[str, Any]:
    if tls is None:
        return {}
    return {
        "ssl": tls,
        "ssl_handshake_timeout": handshake_seconds,
        "ssl_shutdown_timeout": limits.GOODBYE_SECONDS,
    }


def _source_options(source: str) -> dict[str, Any]:
    if not source:
        return {}
    if not _is_ip(source):
        raise DialFailed(ErrorCode.NOT_PERMITTED, f"{source!r} is no IP address")
    return {"local_addr": (source, 0)}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether this address or name reaches this machine alone, so that plain TCP is allowed."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
