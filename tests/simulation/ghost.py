"""Processes with good certificates that ask and tell what they should not.

One has the certificate of a terminal server that has joined already: a clone of its machine, or one
that was thought dead. It tells the directory of a session that is nowhere, and of the end of
sessions that run, and has not joined; it asks license servers to renew what is somebody else's. One
is a license server that wants to renew what it did not lend.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.simulation.network import End, Network
from tests.simulation.world import World
from tsproto import limits
from tsproto.connection import Connection, Opened
from tsproto.identity import Identity
from tsproto.license_token import Claims
from tsproto.messages import (
    Message,
    RemoveSession,
    RenewLicense,
    SessionRow,
    SessionState,
    UpdateSession,
)

PAUSE_SECONDS = 6.0
STAYS_SECONDS = 3.0
SESSION_ID = 777_777
SESSIONS_ENDED = 8
LATEST = 2**51  # a placement later than any other


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
    row = SessionRow(
        host=host,
        session_id=SESSION_ID,
        user_name=user,
        application="",
        state=SessionState.ACTIVE,
        created_at=int(world.now),
        placement=LATEST,
    )
    ended: list[Message] = [
        RemoveSession(session_id=session_id, placement=LATEST, user_name=user)
        for session_id in range(1, SESSIONS_ENDED + 1)
    ]
    return [UpdateSession(session=row), *ended]


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
