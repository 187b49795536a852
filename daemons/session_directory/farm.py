"""The terminal servers of the farm: how they join, send their sessions, and are lost.

UNJOINED -JoinFarm-> SYNCHRONIZING -last of its sessions-> READY -link lost-> LOST -too long-> gone.
The list of a joining terminal server grows aside and replaces its known sessions when it is
complete. The sessions of a LOST one stay for a while, but no user is led to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import Answer, Caller, Close, Effect, Peer
from daemons.session_directory import records
from daemons.session_directory.policy import Load
from daemons.session_directory.receipts import Receipts
from daemons.session_directory.records import Server
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import SessionIndex
from daemons.settings import SessionDirectorySettings
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Done,
    Joined,
    JoinFarm,
    Refused,
    RemoveSession,
    ServerRow,
    ServerState,
    SessionRow,
    SyncSessions,
)


class Farm(msgspec.Struct, eq=False):
    """The one writer of `sessions`; a session that starts or ends also drops its reservation."""

    settings: SessionDirectorySettings
    generation: bytes
    sessions: SessionIndex
    reservations: Reservations
    receipts: Receipts
    _servers: dict[str, Server] = {}
    # When each LOST one is removed. In that order: all stay LOST equally long.
    _lost: dict[str, float] = {}

    def joined_over(self, peer: Peer) -> Server | None:
        """The terminal server that joined over this link.

        None for an older link of a name that joined again since, and for one that is LOST: neither
        may report or ask anything.
        """
        server = self._servers.get(peer.name)
        if server is None or server.peer.link != peer.link or server.state is ServerState.LOST:
            return None
        return server

    def ready(self, name: str) -> Server | None:
        server = self._servers.get(name)
        return server if server is not None and server.state is ServerState.READY else None

    def rows(self) -> list[ServerRow]:
        """All terminal servers, by name."""
        return [
            copied(
                ServerRow,
                server,
                sessions=self.sessions.count(server.name),
                pending=self.reservations.pending(server.name),
            )
            for server in sorted(self._servers.values(), key=lambda server: server.name)
        ]

    def peers(self) -> list[Peer]:
        """Of all READY terminal servers."""
        return [s.peer for s in self._servers.values() if s.state is ServerState.READY]

    def load(self, server: Server) -> Load:
        sessions = self.sessions.count(server.name) + self.reservations.pending(server.name)
        return Load(server.name, server.weight, sessions, server.sessions_max)

    def loads(self) -> Iterator[Load]:
        """Of all READY terminal servers."""
        return (self.load(s) for s in self._servers.values() if s.state is ServerState.READY)

    def join(self, caller: Caller, request: JoinFarm, now: float) -> list[Effect]:
        """Let a terminal server join.

        While a terminal server is joined, another address may not join under its name. The same
        address is the same terminal server over a new link: its older link is closed.
        """
        name = caller.peer.name
        refused = self._refusal(name) or self._name_conflict(caller.peer, request)
        if refused is not None:
            event = events.JoinRefused(server=name, code=refused.code, detail=refused.detail)
            return [Answer(caller, refused), event]
        known = self._servers.get(name)
        older = self._older_link(caller.peer)
        self._lost.pop(name, None)
        self._servers[name] = copied(
            Server, request, name=name, peer=caller.peer, joined_at=int(now)
        )
        restarted = known is not None and known.incarnation != request.incarnation
        return [
            Answer(caller, Joined(generation=self.generation)),
            events.ServerJoined(server=name, restarted=restarted),
            *older,
        ]

    def _name_conflict(self, peer: Peer, request: JoinFarm) -> Refused | None:
        known = self._joined_over_another(peer)
        if known is None or (known.address, known.port) == (request.address, request.port):
            return None
        detail = (
            f"{known.name} has joined already, at {known.address} port {known.port}: give each"
            " terminal server a certificate with a name of its own"
        )
        return Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)

    def _older_link(self, peer: Peer) -> list[Effect]:
        """Close the older link of this name: a process that still uses it must join again."""
        known = self._joined_over_another(peer)
        if known is None:
            return []
        detail = f"{known.name} has joined over another connection"
        return [Close(known.peer, ErrorCode.NOT_JOINED, detail)]

    def _joined_over_another(self, peer: Peer) -> Server | None:
        """The terminal server of this name, if it is joined over another link."""
        known = self._servers.get(peer.name)
        if known is None or known.state is ServerState.LOST or known.peer.link == peer.link:
            return None
        return known

    def _refusal(self, name: str) -> Refused | None:
        serves = self.settings.serves
        if serves and name not in serves:
            detail = f"{name} is not in `serves`, the list of the session directory's configuration"
            return Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)
        if name not in self._servers and len(self._servers) >= records.SERVERS_MAX:
            return Refused(
                code=ErrorCode.BUSY,
                detail=f"{records.SERVERS_MAX} terminal servers have joined already",
                retry_after_seconds=records.FULL_RETRY_SECONDS,
            )
        return None

    def synchronize(self, caller: Caller, request: SyncSessions, now: float) -> list[Effect]:
        """Take a part of the list. After a refused part the terminal server must join again: a
        list with a gap would be taken for the whole list."""
        server = self.joined_over(caller.peer)
        if server is None or server.state is not ServerState.SYNCHRONIZING:
            detail = "a list of sessions is taken after JoinFarm, and once"
            return [Answer(caller, Refused(code=ErrorCode.NOT_JOINED, detail=detail))]
        for row in request.sessions:
            if not _may_report(server, row):
                detail = f"{server.name} may not report session {row.session_id} of {row.host}"
                refused = Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)
                return [Answer(caller, refused), *self.lose(caller.peer, now)]
            # A session that was reported since it joined is newer than this list.
            server.incoming.setdefault(row.session_id, self._kept(server, row))
        if len(server.incoming) > records.SESSIONS_OF_SERVER_MAX:
            detail = f"a terminal server may have {records.SESSIONS_OF_SERVER_MAX} sessions"
            refused = Refused(code=ErrorCode.TOO_MANY_SESSIONS, detail=detail)
            return [Answer(caller, refused), *self.lose(caller.peer, now)]
        complete = self._complete(server, now) if request.last else []
        return [Answer(caller, Done()), *complete]

    def _complete(self, server: Server, now: float) -> list[Effect]:
        rows = [row for row in server.incoming.values() if row is not None]
        server.incoming, server.updated = {}, set()
        server.state = ServerState.READY
        self.sessions.replace(server.name, rows)
        for row in rows:
            self.reservations.reported(row.placement, now)
            self.reservations.fulfil(row)
        return [events.ServerReady(server=server.name, sessions=len(rows))]

    def update_session(self, peer: Peer, row: SessionRow, now: float) -> list[Effect]:
        """Put a session that started or changed, unless one with a later placement is known."""
        server = self.joined_over(peer)
        if server is None:
            return [_ignored(peer, row.session_id, "not joined")]
        if not _may_report(server, row):
            return [_ignored(peer, row.session_id, "not permitted")]
        if self._is_overtaken(server, row.session_id, row.placement):
            return [_ignored(peer, row.session_id, "placed anew since")]
        if not self._has_room(server, row.session_id):
            return [_ignored(peer, row.session_id, "too many sessions")]
        row = self._kept(server, row)
        if server.state is ServerState.SYNCHRONIZING:
            server.incoming[row.session_id] = row
            server.updated.add(row.session_id)
        else:
            self.sessions.put(row)
        self.reservations.reported(row.placement, now)
        self.reservations.fulfil(row)
        return []

    def remove_session(self, peer: Peer, ended: RemoveSession) -> list[Effect]:
        """Drop a session and its reservation; only the reservation when `session_id` is 0."""
        server = self.joined_over(peer)
        if server is None:
            return [_ignored(peer, ended.session_id, "not joined")]
        # A session that ended before it was ever reported still has its reservation.
        self.reservations.cancel(server.name, ended.placement)
        if not ended.session_id:
            return []
        if self._is_overtaken(server, ended.session_id, ended.placement):
            return [_ignored(peer, ended.session_id, "placed anew since")]
        if server.state is not ServerState.SYNCHRONIZING:
            self.sessions.remove(server.name, ended.session_id, ended.placement)
        elif self._has_room(server, ended.session_id):
            server.incoming[ended.session_id] = None
            server.updated.add(ended.session_id)
        return []

    def lose(self, peer: Peer, now: float) -> list[Effect]:
        """The link broke: wait `server_lost_seconds` for the terminal server to join again."""
        server = self.joined_over(peer)
        if server is None:
            return []
        server.state = ServerState.LOST
        self._lost[server.name] = now + self.settings.server_lost_seconds
        return [events.ServerLost(server=server.name)]

    def next_deadline(self) -> float | None:
        return next(iter(self._lost.values()), None)

    def expire(self, now: float) -> list[str]:
        """Remove those that were LOST for too long, with their sessions; returns their names."""
        removed = [name for name, deadline in self._lost.items() if deadline <= now]
        for name in removed:
            del self._lost[name], self._servers[name]
            self.sessions.replace(name, ())
            self.reservations.forget_server(name)
        return removed

    def _is_overtaken(self, server: Server, session_id: int, placement: int) -> bool:
        """Whether the known session of this id was placed later. A row of a list that is not
        complete does not count: the list is older than every report since."""
        if server.state is ServerState.SYNCHRONIZING and session_id not in server.updated:
            return False
        known = self._known(server).get(session_id)
        return known is not None and placement < known.placement

    def _kept(self, server: Server, row: SessionRow) -> SessionRow:
        """The row with its receipt judged. All rows share one string for the name of their server:
        a string each would be a tenth of a directory's memory."""
        msgspec.structs.force_setattr(row, "receipt", self.receipts.judged(row))
        msgspec.structs.force_setattr(row, "host", server.name)
        return row

    def _has_room(self, server: Server, session_id: int) -> bool:
        known = self._known(server)
        return session_id in known or len(known) < records.SESSIONS_OF_SERVER_MAX

    def _known(self, server: Server) -> Mapping[int, SessionRow | None]:
        if server.state is ServerState.SYNCHRONIZING:
            return server.incoming
        return self.sessions.of_server(server.name)


def _may_report(server: Server, row: SessionRow) -> bool:
    return row.host == server.name and row.session_id != 0


def _ignored(peer: Peer, session_id: int, reason: str) -> events.SessionIgnored:
    return events.SessionIgnored(server=peer.name, session_id=session_id, reason=reason)
