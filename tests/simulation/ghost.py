"""A process with the certificate of a terminal server that has joined already: a clone of its
machine, or one that was thought dead. It tells the directory of a session that is nowhere, and of
the end of sessions that run, and has not joined.
"""

from __future__ import annotations

import random
from functools import partial

from tests.simulation.network import End, Network
from tests.simulation.world import World
from tsproto import limits
from tsproto.connection import Connection, Opened
from tsproto.identity import Identity
from tsproto.messages import RemoveSession, Role, SessionRow, SessionState, UpdateSession

PAUSE_SECONDS = 6.0
STAYS_SECONDS = 3.0
SESSION_ID = 777_777
SESSIONS_ENDED = 8
LATEST = 2**51  # a placement later than any other


class Ghost:
    host = "10.9.9.8"

    def __init__(
        self, world: World, network: Network, identity: Identity, directory: str, user: str
    ) -> None:
        self.name = identity.name
        self._world = world
        self._network = network
        self._identity = identity
        self._directory = directory
        self._user = user
        self._rng = random.Random(f"{world.seed}/ghost")

    def visit(self) -> None:
        """Dial the directory now, and again after a while."""
        self._network.dial(
            self.name,
            self.host,
            self._directory,
            self._opened,
            lambda: None,
            limits.DIAL_SECONDS,
        )
        self._world.after(PAUSE_SECONDS * (0.5 + self._rng.random()), self.visit)

    def _opened(self, end: End) -> None:
        connection = Connection(
            Role.TERMINAL_SERVER,
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
                self._lie(connection)
            end.write(connection.data_to_send())

        end.receive = hear
        end.write(connection.data_to_send())
        self._world.after(STAYS_SECONDS * self._rng.random(), partial(end.close))

    def _lie(self, connection: Connection) -> None:
        row = SessionRow(
            host=self.name,
            session_id=SESSION_ID,
            user_name=self._user,
            application="",
            state=SessionState.ACTIVE,
            created_at=int(self._world.now),
            placement=LATEST,
        )
        connection.send(UpdateSession(session=row))
        for session_id in range(1, SESSIONS_ENDED + 1):
            connection.send(
                RemoveSession(session_id=session_id, placement=LATEST, user_name=self._user)
            )
