"""Targets that dial the suite: it listens as the license servers and the directory of their farm,
and reads their broadcasts."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from clients.conformance.listeners import Listener, first_caller
from clients.conformance.over_sockets import NOT_PLAYED, Address, OverSockets, Settings
from clients.conformance.target import Line, Unavailable, Unmet, word_of
from tsproto.addresses import is_loopback
from tsproto.messages import Role

DATAGRAM_BYTES = 2048
ANY_ADDRESS = "0.0.0.0"


class Playing(OverSockets):
    """`listeners` are the suite's listening sockets. Broadcasts of the target come to the discovery
    address of its settings, and are answered from the address of the played license server."""

    def __init__(self, settings: Settings, listeners: Sequence[Listener]) -> None:
        super().__init__(settings)
        self._listeners = listeners
        self._queries = _queries_at(settings.discovery)
        self._query_from: tuple[str, int] | None = None

    def start_anew(self, command: str) -> None:
        """Forgets the links and queries of the target that the last case has caused."""
        for listener in self._listeners:
            listener.forget_callers()
        while self._queries is not None and self.datagram(0.0) is not None:
            continue
        super().start_anew(command)

    def stop(self) -> None:
        super().stop()
        if self._queries is not None:
            self._queries.close()
        for listener in self._listeners:
            listener.close()

    def accept(self, role: Role, seconds: float) -> Line:
        listeners = [listener for listener in self._listeners if listener.role is role]
        if not listeners:
            raise Unavailable(f"nobody plays the {word_of(role)} that the target dials (--play)")
        line = first_caller(listeners, seconds)
        if line is None:
            where = " or ".join(str(listener.address) for listener in listeners)
            raise Unmet(f"the target did not dial {where}")
        return line

    def accepting_at(self) -> tuple[str, int]:
        address = self._license_server()
        return address.host, address.port

    def answer_query(self, datagram: bytes) -> None:
        if self._query_from is None:
            raise Unavailable("the target has sent no query yet")
        self._datagram_socket().sendto(datagram, self._query_from)

    def datagram(self, seconds: float) -> bytes | None:
        """The target's next datagram; our own, which a broadcast brings back, are skipped."""
        if self._queries is None:
            return super().datagram(seconds)
        own = self._datagram_socket()
        while ready := select.select([own, self._queries], [], [], seconds)[0]:
            datagram, came_from = ready[0].recvfrom(DATAGRAM_BYTES)
            if came_from == own.getsockname():
                continue
            if ready[0] is self._queries:
                self._query_from = came_from
            return bytes(datagram)
        return None

    def _datagram_host(self) -> str:
        """The address to answer from: the target dials the address that an answer came from."""
        return self._license_server().host

    def _license_server(self) -> Address:
        for listener in self._listeners:
            if listener.role is Role.LICENSE_SERVER:
                return listener.address
        raise Unavailable(NOT_PLAYED)


def _queries_at(where: Address | None) -> socket.socket | None:
    """A socket at the discovery address; license servers on this machine may share it."""
    if where is None:
        return None
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    heard.bind((where.host if is_loopback(where.host) else ANY_ADDRESS, where.port))
    return heard
