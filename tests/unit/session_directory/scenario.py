"""A session directory and the terminal servers around it, in words that a test can read."""

from __future__ import annotations

import random
from itertools import count
from typing import TypeVar

from msgspec.structs import replace

from daemons.effects import Answer, Caller, Effect, Peer, Records
from daemons.events import Event
from daemons.session_directory.core import SessionDirectoryCore
from daemons.session_directory.proofs import AccountOf
from daemons.session_directory.receipts import Receipts
from daemons.session_directory.records import DirectoryRecord
from daemons.settings import IdentityFiles, Listen, SessionDirectorySettings
from tsproto.errors import ErrorCode
from tsproto.messages import (
    JoinFarm,
    Message,
    PlaceSession,
    QueryServers,
    QuerySessions,
    Refused,
    RemoveSession,
    Role,
    ServerRow,
    Servers,
    SessionPlaced,
    SessionRow,
    Sessions,
    SessionState,
    SyncSessions,
    UpdateSession,
    UserProof,
)

START = 1_000.0
LOST_SECONDS = 10.0
RESERVATION_SECONDS = 60.0
SECRET = bytes(range(32))
CERTIFICATE = b"c" * 32  # of every terminal server
RECEIPTS = Receipts(DirectoryRecord(name="sd", secret=SECRET))
ACTIVE, DISCONNECTED = SessionState.ACTIVE, SessionState.DISCONNECTED

E = TypeVar("E", bound=Event)
M = TypeVar("M", bound=Message)
_links = count(1)


def settings(*serves: str) -> SessionDirectorySettings:
    return SessionDirectorySettings(
        farm="farm",
        listen=Listen(port=5604),
        identity=IdentityFiles(certificate="c", key="k", authority="a"),
        state="state",
        serves=serves,
        server_lost_seconds=LOST_SECONDS,
        reservation_seconds=RESERVATION_SECONDS,
    )


def link(name: str, role: Role = Role.TERMINAL_SERVER) -> Peer:
    """A new connection of this peer."""
    return Peer(
        link=next(_links),
        role=role,
        name=name,
        host="127.0.0.1",
        port=40_000,
        peer_certificate=CERTIFICATE,
    )


def row(
    host: str,
    session_id: int,
    user: str = "user1",
    *,
    application: str = "",
    state: SessionState = DISCONNECTED,
    created_at: int = 100,
    disconnected_at: int = 0,
    placement: int = 0,
    receipt: bytes | None = None,
) -> SessionRow:
    """By default with the directory's receipt."""
    if receipt is None:
        receipt = RECEIPTS.give(host, user, application, placement)
    return SessionRow(
        host=host,
        session_id=session_id,
        user_name=user,
        application=application,
        state=state,
        created_at=created_at,
        disconnected_at=disconnected_at,
        placement=placement,
        receipt=receipt,
    )


def answer(effects: list[Effect], expected: type[M]) -> M:
    """The one answer among these effects, which must be of this class."""
    [found] = [e.message for e in effects if isinstance(e, Answer)]
    assert isinstance(found, expected), found
    return found


def refusal(effects: list[Effect]) -> ErrorCode:
    return answer(effects, Refused).code


def logged(effects: list[Effect], kind: type[E]) -> list[E]:
    """The events of this class among the effects."""
    return [effect for effect in effects if isinstance(effect, kind)]


class Directory:
    """A core under test. `now` only moves when a test moves it."""

    def __init__(
        self,
        *serves: str,
        now: float = START,
        seed: int = 1,
        account_of: AccountOf | None = None,
        records: Records | None = None,
    ) -> None:
        self.now = now
        known: Records = {DirectoryRecord: [DirectoryRecord(name="sd", secret=SECRET)]}
        self.core = SessionDirectoryCore(
            settings(*serves),
            name="sd",
            rng=random.Random(seed),
            records=known if records is None else records,
            account_of=account_of,
        )
        self.started = self.core.on_start(now)

    def hears(self, peer: Peer, message: Message) -> list[Effect]:
        return self.core.on_message(Caller(peer, 1), message, self.now)

    def passes(self, seconds: float) -> list[Effect]:
        """Let time pass, and the timer fire."""
        self.now += seconds
        return self.core.on_deadline(self.now)

    def asked_to_join(
        self,
        peer: Peer,
        incarnation: int = 1,
        sessions_max: int = 1_000,
        *,
        address: str = "",
        port: int = 5605,
    ) -> list[Effect]:
        request = JoinFarm(
            address=address or f"{peer.name}.example",
            port=port,
            incarnation=bytes([incarnation]) * 16,
            sessions_max=sessions_max,
        )
        return self.hears(peer, request)

    def synchronized(self, peer: Peer, *rows: SessionRow, last: bool = True) -> list[Effect]:
        return self.hears(peer, SyncSessions(sessions=[*map(replace, rows)], last=last))

    def joined(self, name: str, *rows: SessionRow, sessions_max: int = 1_000) -> Peer:
        """A new link of a terminal server that has joined and told all its sessions."""
        peer = link(name)
        self.asked_to_join(peer, sessions_max=sessions_max)
        self.synchronized(peer, *rows)
        return peer

    def asked_to_place(
        self,
        peer: Peer,
        user: str = "user1",
        application: str = "",
        *,
        avoid: str = "",
        trace_id: str = "",
        proof: UserProof | None = None,
        session_id: int = 0,
        redirected: bool = False,
    ) -> list[Effect]:
        request = PlaceSession(
            user_name=user,
            application=application,
            avoid=avoid,
            trace_id=trace_id,
            proof=[proof] if proof else [],
            session_id=session_id,
            redirected=redirected,
        )
        return self.hears(peer, request)

    def places(
        self, peer: Peer, user: str = "user1", application: str = "", *, avoid: str = ""
    ) -> SessionPlaced:
        return answer(self.asked_to_place(peer, user, application, avoid=avoid), SessionPlaced)

    def updated(self, peer: Peer, session: SessionRow) -> list[Effect]:
        return self.hears(peer, UpdateSession(session=replace(session)))

    def removed(
        self, peer: Peer, session_id: int, placement: int = 0, user: str = "user1"
    ) -> list[Effect]:
        ended = RemoveSession(session_id=session_id, placement=placement, user_name=user)
        return self.hears(peer, ended)

    def page(self, user: str = "", after: tuple[str, int] = ("", 0)) -> Sessions:
        query = QuerySessions(user_name=user, after_host=after[0], after_id=after[1])
        return answer(self.hears(ADMINISTRATOR, query), Sessions)

    def sessions(self, user: str = "") -> list[tuple[str, int]]:
        return [(found.host, found.session_id) for found in self.page(user).sessions]

    def server(self, name: str) -> ServerRow | None:
        servers = answer(self.hears(ADMINISTRATOR, QueryServers()), Servers).servers
        return next((found for found in servers if found.name == name), None)

    def pending(self, name: str) -> int:
        server = self.server(name)
        assert server is not None
        return server.pending


ADMINISTRATOR = link("admin", Role.ADMINISTRATOR)
