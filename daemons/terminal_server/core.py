"""Decides for one terminal server: hands each event to the part that it is for.

A client's link is in its licensing phase, then in its logon phase, and then shows a session. Links
to license servers and to the session directory are dialled; administrators only ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from daemons.effects import (
    Answer,
    Caller,
    Close,
    Durable,
    Effect,
    Endpoint,
    Note,
    Outcome,
    Peer,
    Randomness,
    Record,
    earliest,
)
from daemons.procedures import Procedure, Procedures
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.host import Host
from daemons.terminal_server.license_servers import LicenseServers
from daemons.terminal_server.licensing import LicensingParts, LicensingPhase, out_of_order
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.logon import LogonParts, LogonPhase
from daemons.terminal_server.records import HostRecord, SessionRecord
from daemons.terminal_server.sessions import SessionTable
from daemons.terminal_server.tickets import Tickets
from daemons.terminal_server.validation import Validations
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.license_token import Verifier
from tsproto.messages import (
    Authority,
    JoinFarm,
    LicenseInfo,
    LicenseStored,
    LogonRequest,
    Message,
    QueryAuthority,
    QueryLicenseServers,
    QuerySessions,
    Role,
    Sessions,
)
from tsproto.messages import (
    LicenseServers as LicenseServersAnswer,
)

TRACE_ID_BYTES = 5  # ten characters that a person can read out

R = TypeVar("R", bound=Record)


class TerminalServerCore:
    """`port` is where it listens, `running` the sessions that the keeper still runs, `incarnation`
    16 random bytes new with each start, `authority` the farm's certificate in DER form."""

    def __init__(
        self,
        settings: TerminalServerSettings,
        *,
        name: str,
        port: int,
        verifier: Verifier,
        rng: Randomness,
        incarnation: bytes,
        records: Mapping[type[Record], Sequence[Record]],
        running: Collection[int],
        authority: bytes = b"",
    ) -> None:
        self._name = name
        self._rng = rng
        self._authority = authority
        self._records = _of_type(SessionRecord, records)
        self._running = frozenset(running)
        self._clients: dict[int, LicensingPhase | LogonPhase] = {}
        self._procedures = Procedures()
        self._tickets = Tickets(self._procedures)
        self._table = SessionTable()
        hosts = _of_type(HostRecord, records)
        self._host = Host(
            hosts[0] if hosts else HostRecord(name=name),
            settings.grace_days,
            [*(record.session_id for record in self._records), *sorted(running)],
        )
        self._servers = LicenseServers(
            settings.farm,
            settings.discovery,
            procedures=self._procedures,
            tickets=self._tickets,
            rng=rng,
        )
        self._directory = DirectoryLink(
            _directory_of(settings),
            JoinFarm(
                address=settings.listen.advertise or settings.listen.host,
                port=port,
                incarnation=incarnation,
                weight=settings.weight,
                sessions_max=settings.sessions.sessions_max,
            ),
            name=name,
            table=self._table,
            procedures=self._procedures,
            tickets=self._tickets,
            rng=rng,
        )
        self._lifecycle = Lifecycle(
            name,
            table=self._table,
            host=self._host,
            directory=self._directory,
            procedures=self._procedures,
            rng=rng,
            sessions_max=settings.sessions.sessions_max,
        )
        self._licensing = LicensingParts(
            name=name,
            settings=settings,
            verifier=verifier,
            rng=rng,
            procedures=self._procedures,
            servers=self._servers,
            host=self._host,
        )
        self._logon = LogonParts(
            name=name,
            settings=settings,
            procedures=self._procedures,
            directory=self._directory,
            lifecycle=self._lifecycle,
            validations=Validations(settings.product, self._servers, self._procedures),
        )

    def on_start(self, now: float) -> list[Effect]:
        return [
            *self._host.end_grace_in_time(now),
            *self._lifecycle.on_start(self._records, self._running, now),
            *self._servers.on_start(now),
            *self._directory.on_start(),
        ]

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        if peer.dialled is not None:
            self._directory.on_peer_opened(peer)
            return self._settled(self._servers.on_peer_opened(peer, now), now)
        if peer.role is not Role.CLIENT:
            return []
        if len(self._clients) >= limits.CONNECTIONS_MAX:
            detail = f"{self._name} has as many clients as it may; try another terminal server"
            return [Close(peer, ErrorCode.TOO_MANY_CONNECTIONS, detail)]
        trace_id = self._rng.randbytes(TRACE_ID_BYTES).hex()
        phase = self._clients[peer.link] = LicensingPhase(peer, trace_id, self._licensing)
        opened = Note("client.opened", {"trace_id": trace_id, "host": peer.host})
        return [opened, *self._procedures.start(peer, self._serve(peer, phase), now)]

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self._settled(self._on_message(caller, message, now), now)

    def on_answer(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        return self._settled(self._tickets.close(ticket, outcome, now), now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.dialled is not None:
            return self._settled(self._on_dialled_lost(peer, now), now)
        self._clients.pop(peer.link, None)
        return self._settled(self._procedures.stop(peer, now), now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self._settled(self._servers.on_datagram(host, port, datagram, now), now)

    def on_program_ended(self, session_id: int, exit_status: int, now: float) -> list[Effect]:
        """The keeper reports that a session's program ended, and all its output was read."""
        return self._settled(self._lifecycle.on_program_ended(session_id, exit_status, now), now)

    def next_deadline(self) -> float | None:
        return earliest(self._servers.next_deadline(), self._directory.next_deadline())

    def on_deadline(self, now: float) -> list[Effect]:
        return self._settled(
            [*self._servers.on_deadline(now), *self._directory.on_deadline(now)], now
        )

    def durable(self) -> Durable:
        """As of a core made anew from the disk; a size reaches it with the next transition, and a
        session that is being logged off ends there as it is."""
        return Durable(
            frozenset([*self._host.rows(), *self._table.rows()]),
            counters=(self._host.next_session_id,),
        )

    # --- messages -----------------------------------------------------------------------------

    def _on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        match message:
            case QueryAuthority():
                return [Answer(caller, Authority(certificate=self._authority))]
            case QueryLicenseServers():
                return [Answer(caller, self._license_servers())]
            case QuerySessions():
                return [Answer(caller, self._sessions(message))]
            case _ if caller.peer.role is Role.CLIENT:
                return self._on_client_message(caller.peer, message, now)
            case _:
                lost = self._on_dialled_lost(caller.peer, now)
                return [*lost, _out_of_order(caller.peer, message)]

    def _on_client_message(self, peer: Peer, message: Message, now: float) -> list[Effect]:
        phase = self._clients.get(peer.link)
        if phase is None:
            return []  # its Close is on its way
        expected = phase.inbox.take(message)
        if expected is not None:
            return self._procedures.settle(expected, message, now)
        match message, phase:
            case LicenseInfo() | LicenseStored(), LicensingPhase():
                detail = f"{type(message).__name__} does not come now in the licensing phase"
                return self._procedures.interrupt(peer, out_of_order(detail), now)
            case LogonRequest(), LogonPhase():
                detail = "an earlier LogonRequest is not answered yet"
                close = Close(peer, ErrorCode.OUT_OF_ORDER, detail, phase.trace_id)
            case _:
                close = _out_of_order(peer, message, phase.trace_id)
        return [*self._procedures.stop(peer, now), close]

    def _on_dialled_lost(self, peer: Peer, now: float) -> list[Effect]:
        return [*self._servers.on_peer_lost(peer, now), *self._directory.on_peer_lost(peer, now)]

    def _serve(self, peer: Peer, licensing: LicensingPhase) -> Procedure[None]:
        device = yield from licensing.run()
        if device is not None:
            logon = self._clients[peer.link] = LogonPhase(peer, device, self._logon)
            yield from logon.run()

    def _settled(self, effects: list[Effect], now: float) -> list[Effect]:
        """Forget the links that are being closed: nothing more is heard of them."""
        for effect in effects:
            if isinstance(effect, Close):
                self._clients.pop(effect.peer.link, None)
                effects = effects + self._procedures.stop(effect.peer, now)
        return effects

    # --- what administrators ask ----------------------------------------------------------------

    def _license_servers(self) -> LicenseServersAnswer:
        return LicenseServersAnswer(
            servers=self._servers.rows(), grace_ends_at=self._host.grace_ends_at
        )

    def _sessions(self, query: QuerySessions) -> Sessions:
        """This host's own list, the sessions of single commands included."""
        rows = [
            session.row(self._name)
            for session in self._table.ordered()
            if (self._name, session.session_id) > (query.after_host, query.after_id)
            and query.user_name in ("", session.user_name)
        ]
        return Sessions(sessions=rows[: limits.PAGE_ROWS], more=len(rows) > limits.PAGE_ROWS)


def _of_type(kind: type[R], records: Mapping[type[Record], Sequence[Record]]) -> list[R]:
    return [record for record in records.get(kind, ()) if isinstance(record, kind)]


def _directory_of(settings: TerminalServerSettings) -> Endpoint | None:
    directory = settings.directory
    if directory is None:
        return None
    return Endpoint(Role.SESSION_DIRECTORY, directory.host, directory.port, directory.name)


def _out_of_order(peer: Peer, message: Message, trace_id: str = "") -> Close:
    detail = f"{type(message).__name__} is not expected now"
    return Close(peer, ErrorCode.OUT_OF_ORDER, detail, trace_id)
