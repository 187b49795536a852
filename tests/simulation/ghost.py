"""Processes with good certificates that ask and tell what they should not.

One has the certificate of a terminal server that has joined already: a clone of its machine, or one
that was thought dead. It tells the directory of a session that is nowhere, and of the end of
sessions that run, and has not joined; it asks license servers to renew what is somebody else's. One
is a license server that wants to renew what it did not lend. One is an impostor: a terminal server
that joins, and reports a session of another host, and older news of its own session after newer
ones; sessions of users whom it never saw, with receipts of its own making or of other sessions; and
asks for their places, without a proof or with one that another host was given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from tests.simulation.network import End, Network
from tests.simulation.world import World
from tsproto import limits
from tsproto.connection import Connection, Opened
from tsproto.identity import Identity
from tsproto.license_token import Claims
from tsproto.messages import (
    JoinFarm,
    Message,
    PlaceSession,
    RemoveSession,
    RenewLicense,
    SessionRow,
    SessionState,
    SyncSessions,
    UpdateSession,
    UserProof,
)

PAUSE_SECONDS = 6.0
STAYS_SECONDS = 3.0
SESSION_ID = 777_777
SESSIONS_ENDED = 8
LATEST = 2**51  # a placement later than any other
STRANGER = "ts9"
FIRST_CLAIM = 11  # session id
PROOFS_SHOWN = 2
STRANGERS_USER = "stranger"  # who logs on nowhere


class Ghost:
    def __init__(
        self,
        world: World,
        network: Network,
        identity: Identity,
        host: str,
        target: str,
        says: Callable[[random.Random], list[Message]],
    ) -> None:
        self.name = identity.name
        self.host = host
        self._world = world
        self._network = network
        self._identity = identity
        self._target = target
        self._says = says
        self._rng = random.Random(f"{world.seed}/ghost/{host}")

    def visit(self) -> None:
        """Dial the target now, and again after a while."""
        self._network.dial(
            self.name, self.host, self._target, self._opened, lambda: None, limits.DIAL_SECONDS
        )
        self._world.after(PAUSE_SECONDS * (0.5 + self._rng.random()), self.visit)

    def _opened(self, end: End) -> None:
        connection = Connection(
            self._identity.role,
            self.name,
            dialling=True,
            now=self._world.now,
            farm=self._identity.farm,
            certified=self._network.identity_of(end.other.owner),
            trusted=False,
        )

        def hear(data: bytes) -> None:
            events = connection.receive_data(data, self._world.now)
            if any(isinstance(event, Opened) for event in events):
                for message in self._says(self._rng):
                    if isinstance(message, UpdateSession | RemoveSession):
                        connection.send(message)
                    else:
                        connection.request(message)
            end.write(connection.data_to_send())

        end.receive = hear
        end.write(connection.data_to_send())
        self._world.after(STAYS_SECONDS * (0.1 + self._rng.random()), partial(end.close))


def lies(host: str, user: str, world: World) -> list[Message]:
    """What a directory must not believe."""
    ended: list[Message] = [
        RemoveSession(session_id=session_id, placement=LATEST, user_name=user)
        for session_id in range(1, SESSIONS_ENDED + 1)
    ]
    return [_news(host, SESSION_ID, user, LATEST, world), *ended]


def strange_news(host: str, user: str, world: World) -> list[Message]:
    """A session of `host`, which is not the stranger's; one of its own; and older news of that."""
    placement = int(world.now * 1_000_000)
    newer = _news(STRANGER, 1, STRANGERS_USER, placement, world)
    left, before = SessionState.DISCONNECTED, placement - 1
    older = UpdateSession(session=replace(newer.session, state=left, placement=before))
    return [
        JoinFarm(address="10.9.9.5", port=5600, incarnation=bytes(16)),
        SyncSessions(sessions=[], last=True),
        _news(host, SESSION_ID, user, placement, world),
        newer,
        older,
        RemoveSession(session_id=1, placement=before, user_name=STRANGERS_USER),
    ]


def _news(host: str, session_id: int, user: str, placement: int, world: World) -> UpdateSession:
    row = SessionRow(
        host=host,
        session_id=session_id,
        user_name=user,
        application="",
        state=SessionState.ACTIVE,
        created_at=int(world.now),
        placement=placement,
    )
    return UpdateSession(session=row)


def claims(
    users: Sequence[str],
    proofs: Sequence[UserProof],
    receipts: Sequence[bytes],
    rng: random.Random,
    world: World,
) -> list[Message]:
    """What an impostor says of users whom it never saw."""
    forged = [b"", rng.randbytes(32), *receipts[-1:]]
    rows: list[Message] = []
    for number, receipt in enumerate(forged):
        news = _news(STRANGER, FIRST_CLAIM + number, rng.choice(users), 0, world)
        rows.append(UpdateSession(session=replace(news.session, receipt=receipt)))
    stolen = [[proof] for proof in proofs[-PROOFS_SHOWN:]]
    asks = [
        PlaceSession(user_name=rng.choice(users), application="", proof=proof)
        for proof in ([], *stolen)
    ]
    return [*rows, *asks]


def renewal(claims: Claims, device_id: bytes) -> RenewLicense:
    return RenewLicense(
        license_id=claims.license_id,
        device_id=device_id,
        device_name="ghost",
        user_name="",
        product=claims.product,
        product_version=claims.product_version,
        trace_id="ghost",
    )
