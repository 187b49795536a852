"""Decides for one terminal server: hands each event to the part that decides about it.

A client's link is in its licensing phase, then in its logon phase, and then shows a session. Links
to license servers and to the session directory are dialled; administrators only ask.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

from daemons import events
from daemons.effects import (
    Answer,
    Caller,
    Close,
    Durable,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Randomness,
    Records,
    earliest,
    records_of,
)
from daemons.procedures import Inbox, Procedure, Procedures
from daemons.refusal import Refusal
from daemons.settings import TerminalServerSettings
from daemons.statements import Statements
from daemons.terminal_server.client import Client
from daemons.terminal_server.destinations import Destinations
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.license_servers import KnownLicenseServers
from daemons.terminal_server.licensing import Licensing
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.logon import Logon
from daemons.terminal_server.own_record import GracePeriod, OwnRecord, SessionIds
from daemons.terminal_server.penalties import Penalties
from daemons.terminal_server.records import ServerRecord, SessionRecord
from daemons.terminal_server.sessions import Session, SessionTable
from daemons.terminal_server.validation import Validations
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.license_token import Verifier
from tsproto.messages import Message, Role

TRACE_ID_BYTES = 5  # ten characters that a person can read out


class TerminalServerCore:
    """`port` is where it listens, `running` the sessions that the keeper still runs, `incarnation`
    16 random bytes new with each start, `authority` the certificate (DER) of the authority that
    signed the server's, `endorsement` that of the authority before it."""

    def __init__(
        self,
        settings: TerminalServerSettings,
        *,
        name: str,
        port: int,
        verifier: Verifier,
        rng: Randomness,
        incarnation: bytes,
        records: Records,
        running: Collection[int],
        authority: bytes = b"",
        endorsement: bytes = b"",
    ) -> None:
        self._name = name
        self._rng = rng
        self._authority = authority
        self._endorsement = endorsement
        self._records = records_of(SessionRecord, records)
        self._running = frozenset(running)
        self._clients: dict[int, Client] = {}  # by link
        self._procedures = procedures = Procedures()
        self._table = SessionTable()
        own = [*records_of(ServerRecord, records), ServerRecord(name=name)]
        self._own = OwnRecord(own[0])
        self._statements = Statements(
            procedures,
            records,
            lambda statement: self._directory.tell_password(statement),
            keeps_told=False,
        )
        self._grace = GracePeriod(self._own, settings.grace_days)
        used = [*(record.session_id for record in self._records), *sorted(running)]
        self._ids = SessionIds(self._own, used)
        self._servers = KnownLicenseServers(
            settings.farm, settings.discovery, procedures=procedures, rng=rng
        )
        self._directory = DirectoryLink(
            _directory_of(settings),
            _join_request(settings, port, incarnation),
            name=name,
            table=self._table,
            procedures=procedures,
            rng=rng,
            statements=self._statements,
        )
        self._lifecycle = Lifecycle(
            name=name,
            table=self._table,
            ids=self._ids,
            directory=self._directory,
            procedures=procedures,
            sessions_max=settings.sessions.sessions_max,
        )
        self._licensing = Licensing(
            name, settings, verifier, rng, procedures, self._servers, self._grace
        )
        destinations = Destinations(
            name, settings.sessions.applications, self._directory, self._lifecycle, procedures
        )
        self._logon = Logon(
            procedures=procedures,
            lifecycle=self._lifecycle,
            destinations=destinations,
            statements=self._statements,
            validations=Validations(settings.product, self._servers, procedures),
            penalties=Penalties(),
        )

    def renew(self, verifier: Verifier, authority: bytes, endorsement: bytes) -> None:
        """The daemon has read its certificate and authorities again."""
        self._licensing.verifier = verifier
        self._authority = authority
        self._endorsement = endorsement

    def on_start(self, now: float) -> list[Effect]:
        return [
            *self._grace.end_in_time(now),
            *self._lifecycle.on_start(self._records, self._running, now),
            *self._servers.on_start(now),
            *self._directory.on_start(now),
        ]

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        if peer.dialled is not None:
            self._directory.on_peer_opened(peer)
            return self._forget_closed(self._servers.on_peer_opened(peer, now), now)
        if peer.role is not Role.CLIENT:
            return []
        if len(self._clients) >= limits.CONNECTIONS_MAX:
            detail = f"{self._name} has as many clients as it may; try another terminal server"
            return [Close(peer, ErrorCode.TOO_MANY_CONNECTIONS, detail)]
        trace_id = self._rng.randbytes(TRACE_ID_BYTES).hex()
        client = self._clients[peer.link] = Client(peer=peer, trace_id=trace_id, inbox=Inbox())
        opened = events.ClientOpened(trace_id=trace_id, address=peer.host)
        return [opened, *self._procedures.start(peer, self._serve(client), now)]

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self._forget_closed(self._on_message(caller, message, now), now)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        effects = self._procedures.on_answer(question_id, outcome, now)
        if isinstance(outcome, Failed):
            effects += self._servers.on_dial_failed(question_id, outcome, now)
        return self._forget_closed(effects, now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.dialled is not None:
            return self._forget_closed(self._on_dialled_lost(peer, now), now)
        self._clients.pop(peer.link, None)
        return self._forget_closed(self._on_left(peer, now), now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self._forget_closed(self._servers.on_datagram(host, port, datagram, now), now)

    def on_program_ended(self, session_id: int, exit_status: int, now: float) -> list[Effect]:
        """The keeper reports that a session's program ended, and all its output was read."""
        return self._forget_closed(self._lifecycle.on_program_ended(session_id, exit_status), now)

    def next_deadline(self) -> float | None:
        return earliest(self._servers.next_deadline(), self._directory.next_deadline())

    def on_deadline(self, now: float) -> list[Effect]:
        return self._forget_closed(
            [*self._servers.on_deadline(now), *self._directory.on_deadline(now)], now
        )

    def durable(self) -> Durable:
        """Equals that of a core made anew from the disk, but for sessions that are being logged off
        and for new sizes, which are written with the next transition."""
        return Durable(
            frozenset([*self._own.rows(), *self._table.rows(), *self._statements.rows()]),
            counters=(self._ids.next_id,),
        )

    def whereabouts(self) -> dict[Hashable, list[str]]:
        """Where each procedure waits: for administrators, and for tests that fail."""
        return self._procedures.whereabouts()

    # --- clients ------------------------------------------------------------------------------

    def _serve(self, client: Client) -> Procedure[None]:
        """License the client, then log it on; a shown session needs no procedure."""
        if (yield from self._licensing.admit(client)):
            yield from self._logon.log_on(client)

    def _on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        match message:
            case messages.QueryAuthority():
                shown = messages.Authority(
                    certificate=self._authority, endorsement=self._endorsement
                )
                return [Answer(caller, shown)]
            case messages.QueryLicenseServers():
                return [Answer(caller, self._license_servers())]
            case messages.QuerySessions():
                return [Answer(caller, self._sessions(message))]
            case messages.AccountStatement():
                return self._statements.on_account(caller, message, now)
            case messages.PasswordStatement():
                return self._statements.on_password(message, now)
            case _ if caller.peer.role is Role.CLIENT:
                client = self._clients.get(caller.peer.link)
                # Without one, its Close is on its way.
                return [] if client is None else self._on_client_message(client, message, now)
            case _:
                lost = self._on_dialled_lost(caller.peer, now)
                return [*lost, _out_of_order(caller.peer, message)]

    def _on_client_message(self, client: Client, message: Message, now: float) -> list[Effect]:
        expected = client.inbox.take(message)
        if expected is not None:
            return self._procedures.settle(expected, message, now)
        session = self._table.shown_to(client.peer)
        if session is not None:
            return self._on_session_message(client, session, message, now)
        match message:
            case messages.LicenseInfo() | messages.LicenseStored() if client.license is None:
                detail = f"{type(message).__name__} does not come now in the licensing phase"
                refusal = Refusal(ErrorCode.OUT_OF_ORDER, detail)
                return self._procedures.interrupt(client.peer, refusal, now)
            case messages.LogonStart() | messages.LogonProof() | messages.ChangePassword() if (
                client.license is not None
            ):
                detail = f"{type(message).__name__} does not come now in the logon phase"
                close = Close(client.peer, ErrorCode.OUT_OF_ORDER, detail, client.trace_id)
            case _:
                close = _out_of_order(client.peer, message, client.trace_id)
        return [*self._procedures.stop(client.peer, now), close]

    def _on_session_message(
        self, client: Client, session: Session, message: Message, now: float
    ) -> list[Effect]:
        match message:
            case messages.ResizeSession():
                return self._lifecycle.resize(session, message.columns, message.rows)
            case messages.LogoffSession():
                return self._lifecycle.log_off(session)
            case messages.DisconnectSession():
                code, detail = ErrorCode.DISCONNECTED_BY_USER, "disconnected; the session goes on"
                close = Close(client.peer, code, detail, client.trace_id)
            case _:
                close = _out_of_order(client.peer, message, client.trace_id)
        return [*self._lifecycle.on_left(session, now), close]

    def _on_left(self, peer: Peer, now: float) -> list[Effect]:
        session = self._table.shown_to(peer)
        left = [] if session is None else self._lifecycle.on_left(session, now)
        return [*left, *self._procedures.stop(peer, now)]

    def _on_dialled_lost(self, peer: Peer, now: float) -> list[Effect]:
        return [*self._servers.on_peer_lost(peer, now), *self._directory.on_peer_lost(peer, now)]

    def _forget_closed(self, effects: list[Effect], now: float) -> list[Effect]:
        """Forget the links that these effects close: nothing more is heard of them."""
        effects = effects[:]
        for effect in effects:  # grows meanwhile: a procedure that is stopped may decide
            if type(effect) is Close:
                self._clients.pop(effect.peer.link, None)
                effects += self._procedures.stop(effect.peer, now)
        return effects

    # --- what administrators ask ----------------------------------------------------------------

    def _license_servers(self) -> messages.LicenseServers:
        return messages.LicenseServers(
            servers=self._servers.rows(), grace_ends_at=self._grace.ends_at
        )

    def _sessions(self, query: messages.QuerySessions) -> messages.Sessions:
        """This server's own list, the sessions of single commands included."""
        rows = [
            session.row(self._name)
            for session in self._table.ordered()
            if (self._name, session.session_id) > (query.after_host, query.after_id)
            and query.user_name in ("", session.user_name)
        ]
        return messages.Sessions(
            sessions=rows[: limits.PAGE_ROWS], more=len(rows) > limits.PAGE_ROWS
        )


def _directory_of(settings: TerminalServerSettings) -> Endpoint | None:
    directory = settings.directory
    if directory is None:
        return None
    return Endpoint(Role.SESSION_DIRECTORY, directory.host, directory.port, directory.name)


def _join_request(
    settings: TerminalServerSettings, port: int, incarnation: bytes
) -> messages.JoinFarm:
    return messages.JoinFarm(
        address=settings.listen.advertise or settings.listen.host,
        port=port,
        incarnation=incarnation,
        weight=settings.weight,
        sessions_max=settings.sessions.sessions_max,
    )


def _out_of_order(peer: Peer, message: Message, trace_id: str = "") -> Close:
    detail = f"{type(message).__name__} is not expected now"
    return Close(peer, ErrorCode.OUT_OF_ORDER, detail, trace_id)
