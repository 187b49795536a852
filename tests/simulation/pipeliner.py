"""A client that does not wait for answers: a proof that fails, more of them behind it in one write,
and sometimes the end of the link at once."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.simulation.network import End, Network
from tests.simulation.world import World
from tsproto import limits
from tsproto.connection import Connection, Received
from tsproto.messages import LicenseInfo, LicenseRequest, Role

PAUSE_SECONDS = 2.0
PROOF = LicenseInfo(
    public_key=bytes(32), signature=bytes(64), device_name="hasty", user_name="anna"
)
COPIES = 3


class Pipeliner:
    name = "pipeliner"
    host = "10.9.9.9"

    def __init__(self, world: World, network: Network, addresses: Sequence[str]) -> None:
        self._world = world
        self._network = network
        self._addresses = addresses
        self._rng = random.Random(f"{world.seed}/{self.name}")
        network.add(self)

    def on_connection(self, end: End) -> bool:
        return False

    def on_datagram(self, host: str, port: int, datagram: bytes) -> None: ...

    def visit(self) -> None:
        """Each terminal server now, and again after a while."""
        for address in self._addresses:
            self._network.dial(
                self.name, self.host, address, self._opened, lambda: None, limits.DIAL_SECONDS
            )
        self._world.after(PAUSE_SECONDS * (0.5 + self._rng.random()), self.visit)

    def _opened(self, end: End) -> None:
        connection = Connection(
            Role.CLIENT,
            self.name,
            dialling=True,
            now=self._world.now,
            certified=self._network.identity_of(end.other.owner),
            trusted=False,
        )

        def hear(data: bytes) -> None:
            events = connection.receive_data(data, self._world.now)
            is_asked = any(
                isinstance(event, Received) and isinstance(event.message, LicenseRequest)
                for event in events
            )
            for _ in range(COPIES if is_asked else 0):
                connection.send(PROOF)
            end.write(connection.data_to_send())
            if is_asked and self._rng.random() < 0.5:
                end.close()

        end.receive = hear
        end.write(connection.data_to_send())
