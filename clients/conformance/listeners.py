"""Listening sockets of the suite, in the roles of the daemons that a target dials."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterable

from clients.conformance.over_sockets import Address, SocketLine
from clients.conformance.trust import Trust
from tsproto import identity
from tsproto.error_text import words_of
from tsproto.messages import Role

HANDSHAKE_SECONDS = 5.0


class Listener:
    """A listening socket for one role and name, at an address of its own (port 0: a free one).

    Without `trust` its links are plain TCP. Links wait in the system's queue until a case takes
    them. Raises OSError when the address cannot be bound.
    """

    def __init__(self, role: Role, name: str, address: Address, trust: Trust | None) -> None:
        self.role = role
        self.name = name
        self._trust = trust
        self._contexts: dict[Trust, tuple[ssl.SSLContext, bytes]] = {}
        if trust is not None:
            self._context(trust)  # a missing certificate is told before anything is started
        try:
            self._listener = socket.create_server((address.host, address.port))
        except OSError as error:
            raise OSError(f"{address}: {words_of(error)}") from None
        self._listener.setblocking(False)
        self.address = Address(*self._listener.getsockname()[:2])

    def fileno(self) -> int:
        return self._listener.fileno()

    def pick_up(self, seconds: float) -> socket.socket | None:
        """The next link, on which neither end has sent anything yet."""
        select.select([self], [], [], max(seconds, 0.0))
        try:
            link, _ = self._listener.accept()
        except BlockingIOError:
            return None
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def secured(self, link: socket.socket, trust: Trust | None = None) -> SocketLine | None:
        """The link after its TLS handshake, with a certificate of `trust`, by default of the
        target's farm; None when the handshake fails."""
        trust = trust or self._trust
        if trust is None:
            return SocketLine(self.name, link, bytes(32))
        context, fingerprint = self._context(trust)
        try:
            link.settimeout(HANDSHAKE_SECONDS)
            secured = context.wrap_socket(link, server_side=True)
            return SocketLine(self.name, secured, fingerprint, fingerprint)
        except OSError:
            return None

    def forget_callers(self) -> None:
        """Drops the links that wait in the queue."""
        while (link := self.pick_up(0.0)) is not None:
            link.close()

    def close(self) -> None:
        self._listener.close()

    def _context(self, trust: Trust) -> tuple[ssl.SSLContext, bytes]:
        if trust not in self._contexts:
            files = trust.files(self.role, self.name)
            shown = trust.issuer(self.role, self.name, False).certificate
            self._contexts[trust] = trust.server_context(files), identity.fingerprint(shown)
        return self._contexts[trust]


def first_caller(listeners: Iterable[Listener], seconds: float) -> SocketLine | None:
    """The first link that comes to any of these, after its handshake. A link whose handshake fails
    is skipped."""
    deadline = time.monotonic() + seconds
    listeners = list(listeners)
    while (left := deadline - time.monotonic()) > 0:
        for listener in select.select(listeners, [], [], left)[0]:
            link = listener.pick_up(0.0)
            if link is not None and (line := listener.secured(link)) is not None:
                return line
    return None
