"""Links between nodes: delayed, cut into random pieces, stalled by a partition, reset.

A link keeps its order and loses nothing while it stands, as TCP does: inventing reorder would test
another protocol. Bytes on a partitioned link wait for the healing, or for a heartbeat to give up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tests.simulation.world import World
from tsproto.identity import Identity

DELAY_SECONDS = (0.0002, 0.004)
DATAGRAM_LOSS = 0.1
SPLIT_CHANCE = 0.3


class Host(Protocol):
    """Who can be reached: a daemon's node or a device."""

    name: str
    host: str

    def on_connection(self, end: End) -> bool: ...
    def on_datagram(self, host: str, port: int, datagram: bytes) -> None: ...


class End:
    """One end of a link. `receive` and `lost` are set by its owner."""

    def __init__(self, network: Network, owner: str, address: str) -> None:
        self.network = network
        self.owner = owner
        self.address = address
        self.other: End
        self.open = True
        self.receive: Callable[[bytes], None] = lambda data: None
        self.lost: Callable[[], None] = lambda: None
        self._not_before = 0.0

    def write(self, data: bytes) -> None:
        if self.open and data:
            for piece in self.network.pieces(data):
                self._deliver(lambda piece=piece: self.other.receive(piece))  # type: ignore[misc]

    def close(self) -> None:
        """End the link; the other end hears of it behind the bytes that are under way."""
        if self.open:
            self.open = False
            self._deliver(self._tell_lost)

    def vanish(self) -> None:
        """Stop without a word, as a machine without power does."""
        self.open = False

    def _tell_lost(self) -> None:
        other = self.other
        if other.open:
            other.open = False
            other.lost()

    def _deliver(self, action: Callable[[], None]) -> None:
        world = self.network.world
        self._not_before = max(self._not_before, world.now + self.network.delay())
        world.at(self._not_before, lambda: self._arrive(action))

    def _arrive(self, action: Callable[[], None]) -> None:
        if self.network.is_cut(self.owner, self.other.owner):
            self.network.hold(self.owner, self.other.owner, lambda: self._arrive(action))
        elif self.other.open:
            action()


class Network:
    def __init__(self, world: World) -> None:
        self.world = world
        self._hosts: dict[str, Host] = {}
        self._identities: dict[str, Identity] = {}
        self._cuts: set[frozenset[str]] = set()
        self._held: dict[frozenset[str], list[Callable[[], None]]] = {}

    def add(self, host: Host, identity: Identity | None = None) -> None:
        self._hosts[host.host] = host
        if identity is not None:
            self._identities[host.name] = identity

    def identity_of(self, name: str) -> Identity | None:
        """What the certificate of the host of this name says; a device has none."""
        return self._identities.get(name)

    def delay(self) -> float:
        low, high = DELAY_SECONDS
        return low + (high - low) * self.world.rng.random()

    def pieces(self, data: bytes) -> list[bytes]:
        if len(data) > 1 and self.world.rng.random() < SPLIT_CHANCE:
            cut = 1 + int(self.world.rng.random() * (len(data) - 1))
            return [data[:cut], data[cut:]]
        return [data]

    def dial(
        self,
        owner: str,
        address: str,
        target: str,
        opened: Callable[[End], None],
        failed: Callable[[], None],
        timeout_seconds: float,
    ) -> None:
        """Connect to the host at address `target`; exactly one of the two is called, later."""
        done = False

        def settle(outcome: Callable[[], None]) -> None:
            nonlocal done
            if not done:
                done = True
                outcome()

        def arrive() -> None:
            host = self._hosts.get(target)
            if host is not None and self.is_cut(owner, host.name):
                return  # a lost SYN: the time-out answers
            ours, theirs = self._pair(owner, address, host)
            if host is None or not host.on_connection(theirs):
                settle(failed)
            else:
                settle(lambda: opened(ours))

        self.world.after(2 * self.delay(), arrive)
        self.world.after(timeout_seconds, lambda: settle(failed))

    def _pair(self, owner: str, address: str, host: Host | None) -> tuple[End, End]:
        ours = End(self, owner, address)
        theirs = End(self, host.name if host else "", host.host if host else "")
        ours.other, theirs.other = theirs, ours
        return ours, theirs

    def broadcast(self, owner: str, address: str, port: int, datagram: bytes) -> None:
        for target in list(self._hosts):
            self.send_datagram(owner, address, port, target, datagram)

    def send_datagram(
        self, owner: str, address: str, port: int, target: str, datagram: bytes
    ) -> None:
        host = self._hosts.get(target)
        if host is None or self.world.rng.random() < DATAGRAM_LOSS:
            return

        def arrive() -> None:
            if not self.is_cut(owner, host.name):
                host.on_datagram(address, port, datagram)

        self.world.after(self.delay(), arrive)

    def cut(self, one: str, other: str) -> None:
        self._cuts.add(frozenset((one, other)))

    def heal(self, one: str, other: str) -> None:
        pair = frozenset((one, other))
        self._cuts.discard(pair)
        for action in self._held.pop(pair, []):
            self.world.after(0.0, action)

    def is_cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._cuts

    def hold(self, one: str, other: str, action: Callable[[], None]) -> None:
        self._held.setdefault(frozenset((one, other)), []).append(action)
