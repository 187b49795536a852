"""The terminal servers of the farm: how they join, tell their sessions, and are lost.

UNJOINED -JoinFarm-> SYNCHRONIZING -last of its sessions-> READY -link lost-> LOST -too long-> gone.
The list of a joining terminal server grows aside, and replaces what was known once it is complete:
nobody ever sees half of it. The rows of one that is LOST stay for a while, but nobody is led there.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from daemons.effects import Answer, Caller, Close, Effect, Note, Peer
from daemons.session_directory import records
from daemons.session_directory.placements import Placements
from daemons.session_directory.records import Server
from daemons.session_directory.sessions import Sessions
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


class Farm:
    """Who stands in the farm. Its changes of `sessions` also fulfil and cancel `placements`."""

    def __init__(
        self,
        settings: SessionDirectorySettings,
        generation: bytes,
        sessions: Sessions,
        placements: Placements,
    ) -> None:
        self._settings = settings
        self._generation = generation
        self._sessions = sessions
        self._placements = placements
        self._servers: dict[str, Server] = {}
        # When a LOST one is removed; in this order, for each is waited for equally long.
        self._lost: dict[str, float] = {}

    def standing(self, peer: Peer) -> Server | None:
        """The terminal server that joined over this very connection: an older link of the same name
        has no say any more, and neither has one that must join again."""
        server = self._servers.get(peer.name)
        if server is None or server.peer.link != peer.link or server.state is ServerState.LOST:
            return None
        return server

    def ready(self, name: str) -> Server | None:
        server = self._servers.get(name)
        return server if server is not None and server.state is ServerState.READY else None

    def rows(self) -> list[ServerRow]:
        """All of them, by name."""
        return [
            ServerRow(
                name=server.name,
                address=server.address,
                port=server.port,
                state=server.state,
                weight=server.weight,
                sessions=self._sessions.count(server.name),
                pending=self._placements.pending(server.name),
                joined_at=server.joined_at,
            )
            for server in sorted(self._servers.values(), key=lambda server: server.name)
        ]

    def join(self, caller: Caller, request: JoinFarm, now: float) -> list[Effect]:
        """Take a terminal server in. While one stands, its name is not taken over from another
        place; from the same place it is the same one again, whose older link is closed."""
        name = caller.peer.name
        refused = self._refusal(name) or self._name_conflict(caller.peer, request)
        if refused is not None:
            fields = {"host": name, "code": refused.code.name, "detail": refused.detail}
            return [Answer(caller, refused), Note("join.refused", fields)]
        known = self._servers.get(name)
        older = self._older_link(caller.peer)
        self._lost.pop(name, None)
        self._servers[name] = Server(
            name=name,
            peer=caller.peer,
            address=request.address,
            port=request.port,
            incarnation=request.incarnation,
            weight=request.weight,
            sessions_max=request.sessions_max,
            joined_at=int(now),
        )
        restarted = known is not None and known.incarnation != request.incarnation
        return [
            Answer(caller, Joined(generation=self._generation)),
            Note("server.joined", {"host": name, "restarted": restarted}),
            *older,
        ]

    def _name_conflict(self, peer: Peer, request: JoinFarm) -> Refused | None:
        known = self._stands_elsewhere(peer)
        if known is None or (known.address, known.port) == (request.address, request.port):
            return None
        detail = (
            f"{known.name} has joined already, at {known.address} port {known.port}: give each"
            " terminal server a certificate with a name of its own"
        )
        return Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)

    def _older_link(self, peer: Peer) -> list[Effect]:
        """Close it: whoever still speaks there must learn that it has to join again."""
        known = self._stands_elsewhere(peer)
        if known is None:
            return []
        detail = f"{known.name} has joined over another connection"
        return [Close(known.peer, ErrorCode.NOT_JOINED, detail)]

    def _stands_elsewhere(self, peer: Peer) -> Server | None:
        """The terminal server of this name, when it stands over another link than this one."""
        known = self._servers.get(peer.name)
        if known is None or known.state is ServerState.LOST or known.peer.link == peer.link:
            return None
        return known

    def _refusal(self, name: str) -> Refused | None:
        serves = self._settings.serves
        if serves and name not in serves:
            detail = f"{name} is not among those that this session directory serves"
            return Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)
        if name not in self._servers and len(self._servers) >= records.SERVERS_MAX:
            return Refused(
                code=ErrorCode.BUSY,
                detail=f"{records.SERVERS_MAX} terminal servers have joined already",
                retry_after_seconds=records.FULL_RETRY_SECONDS,
            )
        return None

    def synchronize(self, caller: Caller, request: SyncSessions, now: float) -> list[Effect]:
        """Take a part of the list. After a part that is refused the terminal server must join
        again: a list with a gap would pass for the whole truth."""
        server = self.standing(caller.peer)
        if server is None or server.state is not ServerState.SYNCHRONIZING:
            detail = "a list of sessions is taken after JoinFarm, and once"
            return [Answer(caller, Refused(code=ErrorCode.NOT_JOINED, detail=detail))]
        for row in request.sessions:
            if not _may_report(server, row):
                detail = f"{server.name} may not report session {row.session_id} of {row.host}"
                refused = Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)
                return [Answer(caller, refused), *self.lose(caller.peer, now)]
            # What was reported since it joined is newer than this list.
            server.incoming.setdefault(row.session_id, _kept(server, row))
        if len(server.incoming) > records.SESSIONS_OF_SERVER_MAX:
            detail = f"no more than {records.SESSIONS_OF_SERVER_MAX} sessions are kept of a host"
            refused = Refused(code=ErrorCode.TOO_MANY_SESSIONS, detail=detail)
            return [Answer(caller, refused), *self.lose(caller.peer, now)]
        complete = self._complete(server) if request.last else []
        return [Answer(caller, Done()), *complete]

    def _complete(self, server: Server) -> list[Effect]:
        rows = [row for row in server.incoming.values() if row is not None]
        server.incoming, server.news = {}, set()
        server.state = ServerState.READY
        self._sessions.replace(server.name, rows)
        for row in rows:
            self._placements.reported(row.placement)
            self._placements.fulfil(row)
        return [Note("server.ready", {"host": server.name, "sessions": len(rows)})]

    def update(self, peer: Peer, row: SessionRow) -> list[Effect]:
        """Take a session's news, unless a later placement has overtaken it."""
        server = self.standing(peer)
        if server is None:
            return [_ignored(peer, row.session_id, "not joined")]
        if not _may_report(server, row):
            return [_ignored(peer, row.session_id, "not permitted")]
        if self._is_overtaken(server, row.session_id, row.placement):
            return [_ignored(peer, row.session_id, "placed anew since")]
        if not self._has_room(server, row.session_id):
            return [_ignored(peer, row.session_id, "too many sessions")]
        row = _kept(server, row)
        if server.state is ServerState.SYNCHRONIZING:
            server.incoming[row.session_id] = row
            server.news.add(row.session_id)
        else:
            self._sessions.put(row)
        self._placements.reported(row.placement)
        self._placements.fulfil(row)
        return []

    def remove(self, peer: Peer, ended: RemoveSession) -> list[Effect]:
        """Drop a session, or (`session_id` 0) only what was reserved for it."""
        server = self.standing(peer)
        if server is None:
            return [_ignored(peer, ended.session_id, "not joined")]
        # One that ended before it was ever reported has left its reservation behind.
        self._placements.cancel(server.name, ended.placement)
        if not ended.session_id:
            return []
        if self._is_overtaken(server, ended.session_id, ended.placement):
            return [_ignored(peer, ended.session_id, "placed anew since")]
        if server.state is not ServerState.SYNCHRONIZING:
            self._sessions.remove(server.name, ended.session_id, ended.placement)
        elif self._has_room(server, ended.session_id):
            server.incoming[ended.session_id] = None
            server.news.add(ended.session_id)
        return []

    def lose(self, peer: Peer, now: float) -> list[Effect]:
        """Its link broke: wait `server_lost_seconds` for the next one."""
        server = self.standing(peer)
        if server is None:
            return []
        server.state = ServerState.LOST
        self._lost[server.name] = now + self._settings.server_lost_seconds
        return [Note("server.lost", {"host": server.name})]

    def next_deadline(self) -> float | None:
        return next(iter(self._lost.values()), None)

    def expire(self, now: float) -> list[str]:
        """Remove those that were LOST for too long, with all that was theirs; gives their names."""
        removed = [name for name, deadline in self._lost.items() if deadline <= now]
        for name in removed:
            del self._lost[name], self._servers[name]
            self._sessions.replace(name, ())
            self._placements.forget_host(name)
        return removed

    def _is_overtaken(self, server: Server, session_id: int, placement: int) -> bool:
        """Whether what is known was placed later. A list that is still coming overtakes nothing: it
        was written before anything that is reported since."""
        if server.state is ServerState.SYNCHRONIZING and session_id not in server.news:
            return False
        known = self._known(server).get(session_id)
        return known is not None and placement < known.placement

    def _has_room(self, server: Server, session_id: int) -> bool:
        known = self._known(server)
        return session_id in known or len(known) < records.SESSIONS_OF_SERVER_MAX

    def _known(self, server: Server) -> Mapping[int, SessionRow | None]:
        if server.state is ServerState.SYNCHRONIZING:
            return server.incoming
        return self._sessions.of_host(server.name)


def _may_report(server: Server, row: SessionRow) -> bool:
    is_session = row.session_id != 0 and row.placement <= records.PLACEMENT_MAX
    return row.host == server.name and is_session


def _kept(server: Server, row: SessionRow) -> SessionRow:
    """The row with its host's one name: a hundred thousand copies of it would be a tenth of what a
    directory holds."""
    msgspec.structs.force_setattr(row, "host", server.name)
    return row


def _ignored(peer: Peer, session_id: int, reason: str) -> Note:
    fields = {"host": peer.name, "session_id": session_id, "reason": reason}
    return Note("session.ignored", fields)
