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
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tsproto import limits
from tsproto.addresses import is_loopback
from tsproto.error_text import refuses_our_certificate, words_of
from tsproto.errors import ErrorCode, PeerError, TsfarmError
from tsproto.fairness import Shares, Turns, source_of
from tsproto.identity import Identity
from tsproto.messages import LinkState, Role
from tsproto.transport.link import Link, LinkOwner, LocalIdentity, Observer
from tsproto.transport.tls import client_tls, client_tls_unverified, daemon_tls, server_tls

if TYPE_CHECKING:
    from tsproto.deny_list import DenyLists

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
    "server_tls",
]

ACCEPT_PAUSE_SECONDS = 0.5  # after running out of descriptors, until one may be free
BACKLOG = 4096  # clients that wait to be accepted; somaxconn on Linux
DIAL_ADDRESSES = (Role.CLIENT, Role.ADMINISTRATOR)  # a person typed them
ACCEPTED_AT_ONCE = 64  # sockets in one iteration of the loop: about a millisecond
HANDSHAKE_SPARED_SECONDS = 0.1  # a peer in the LAN that computes is done by then


class DialFailed(PeerError):
    """No link was made. `code` is UNREACHABLE when another try can help; WRONG_ROLE when the
    certificate is not of the farm's authority, or not the expected one; NOT_PERMITTED for plain
    TCP, and for a source that is no address of this machine."""


class WrongPeer(DialFailed):
    """The peer's certificate has another role or name than expected."""


class WrongAddress(WrongPeer):
    """Role and name are right, but the certificate does not carry the address that was dialled."""


class Handshake(NamedTuple):
    task: asyncio.Task[None]
    begun_at: float  # of the loop's time


class Listener:
    """A listening socket and the links that it accepted. `port` is the real one when 0 was asked
    for; `local` is shown on the links that are accepted next.

    Peers that have not proved who they are have bounds of their own, shared among source networks
    (`tsproto.fairness`); at each bound the network with the largest share gives way:

    - `waiting_max` accepted sockets wait for their handshake; the oldest is cut.
    - `handshakes_max` handshakes run at a time, the shorter the more there are. Where a network
      waits that has fewer, one that has taken HANDSHAKE_SPARED_SECONDS is cut.
    - `unauthenticated_max` links have neither a certificate nor a user yet; one, chosen by chance,
      is told TOO_MANY_CONNECTIONS.

    An eighth of `connections_max` is kept for peers with certificates. A link above that limit, or
    above the limit of its address, is opened only to say TOO_MANY_CONNECTIONS.
    """

    def __init__(
        self,
        listening: socket.socket,
        owner: LinkOwner,
        local: LocalIdentity,
        *,
        connections_max: int = limits.CONNECTIONS_MAX,
        connections_per_address_max: int = limits.CONNECTIONS_PER_ADDRESS_MAX,
        unauthenticated_max: int = limits.UNAUTHENTICATED_MAX,
        handshakes_max: int = limits.HANDSHAKES_MAX,
        waiting_max: int = limits.HANDSHAKES_WAITING_MAX,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self.links: dict[int, Link] = {}
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._owner = owner
        self.local = local
        self._connections_max = connections_max
        self._connections_per_address_max = connections_per_address_max
        self._unauthenticated_max = unauthenticated_max
        self._turns: Turns[socket.socket] = Turns(handshakes_max, waiting_max)
        self._handshakes: dict[socket.socket, Handshake] = {}
        self._unauthenticated: Shares[Link] = Shares()
        self._refused: dict[int, Link] = {}
        self._per_address: Counter[str] = Counter()
        self._next: asyncio.TimerHandle | None = None
        self._loop.add_reader(listening, self._accept)

    async def close(self, code: ErrorCode = ErrorCode.SHUTTING_DOWN, detail: str = "") -> None:
        """Stop listening, say Goodbye on every link, and wait until all are gone; no event is
        reported for them."""
        if self._is_listening:
            self._loop.remove_reader(self._listening)
            self._listening.close()
        for accepted in [*self._turns.waiting]:
            self._turns.leave(accepted)
            accepted.close()
        tasks = [handshake.task for handshake in self._handshakes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        links = [*self.links.values(), *self._refused.values()]
        for link in links:
            link.close(code, detail)
        await asyncio.gather(*(link.wait_closed() for link in links))

    # --- handshakes -------------------------------------------------------------------------------

    def _accept(self) -> None:
        """Accepts many at a time: all networks share the kernel's queue, and a full one drops."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._listening.accept()
            except BlockingIOError:
                break
            except OSError:
                self._loop.remove_reader(self._listening)
                self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._accept_again)
                break
            cut = self._turns.wait(accepted, source_of(address[0]))
            if cut is not None:
                cut.close()
        self._schedule()

    def _accept_again(self) -> None:
        if self._is_listening:
            self._loop.add_reader(self._listening, self._accept)

    @property
    def _is_listening(self) -> bool:
        return self._listening.fileno() >= 0

    def _schedule(self, seconds: float = 0) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(seconds, self._begin_handshake)

    def _begin_handshake(self) -> None:
        """Begins one in each iteration of the loop: links wait while OpenSSL computes."""
        self._next = None
        accepted = self._turns.next()
        if accepted is not None:
            task = self._loop.create_task(self._shake_hands(accepted))
            self._handshakes[accepted] = Handshake(task, self._loop.time())
            task.add_done_callback(partial(self._on_shaken, accepted))
            self._schedule()
        elif (intruder := self._turns.intruder()) is not None:
            handshake = self._handshakes[intruder]
            spared_until = handshake.begun_at + HANDSHAKE_SPARED_SECONDS
            if spared_until <= self._loop.time():
                handshake.task.cancel()
            else:
                self._schedule(spared_until - self._loop.time())

    async def _shake_hands(self, accepted: socket.socket) -> None:
        local = self.local
        # A failed handshake made no link, so no owner is told.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: Link(self._owner, local, self),
                accepted,
                **_tls_options(local.listen_tls, handshake_seconds(self._turns.load)),
            )

    def _on_shaken(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        del self._handshakes[accepted]
        self._turns.leave(accepted)
        self._schedule()
        if task.cancelled():
            accepted.close()
        else:
            task.result()

    # --- links ------------------------------------------------------------------------------------

    def admit(self, link: Link) -> None:
        if detail := self._no_room_for(link):
            link.turn_away(detail)
        if link.connection.state is LinkState.CLOSED:
            self._refused[link.id] = link
            return
        self.links[link.id] = link
        self._per_address[link.host] += 1
        if link.peer_identity is None:
            self._unauthenticated.add(link, source_of(link.host))
            if len(self._unauthenticated) > self._unauthenticated_max:
                from random import choice  # slow to import, and not needed to dial

                chosen = choice(self._unauthenticated.crowd())
                self._unauthenticated.discard(chosen)
                chosen.turn_away("too many connections from your network wait for a logon")

    def on_authenticated(self, link: Link) -> None:
        """The link has a user, or on plain TCP a role that is believed."""
        self._unauthenticated.discard(link)

    def forget(self, link: Link) -> None:
        self._unauthenticated.discard(link)
        if self._refused.pop(link.id, None) is None and self.links.pop(link.id, None) is not None:
            self._per_address[link.host] -= 1
            if not self._per_address[link.host]:
                del self._per_address[link.host]

    def _no_room_for(self, link: Link) -> str:
        kept = 0 if link.peer_identity else self._connections_max // 8
        if len(self.links) >= self._connections_max - kept:
            return "this daemon has as many connections as it may"
        if self._per_address[link.host] >= self._connections_per_address_max:
            return "this daemon has as many connections from one address as it may"
        return ""


def handshake_seconds(load: float) -> float:
    """The time for a handshake: TLS_HANDSHAKE_SECONDS while at most half of the turns are taken,
    then less and less, down to TLS_HANDSHAKE_SECONDS_MIN when all are."""
    most = limits.TLS_HANDSHAKE_SECONDS
    least = min(most, limits.TLS_HANDSHAKE_SECONDS_MIN)
    return most - (most - least) * max(0.0, 2 * load - 1)


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
    deny_lists: DenyLists | None = None,
) -> Link:
    """A link after its TCP and TLS handshakes, to a peer whose certificate has the expected role
    and name; where a client or an administrator expects no name, it must carry `host`.

    `server_hostname` is the TLS server name, on which balancers route; empty means `host`, or none
    for an IP address (RFC 6066, 3). `source` is the local address to dial from; the system chooses
    one when it is empty. Each source has ports of its own, some 28,000 on Linux. `deny_lists` may
    refuse its certificate. The first event comes after the caller has the link. Raises DialFailed.
    """
    where = f"{host}:{port} from {source}" if source else f"{host}:{port}"
    if tls is None and not plain_anywhere and not is_loopback(host):
        raise DialFailed(ErrorCode.NOT_PERMITTED, f"{where} is no loopback address: TLS is needed")
    local = LocalIdentity(role=role, name=name, farm=farm, dial_tls=tls, deny_lists=deny_lists)
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
