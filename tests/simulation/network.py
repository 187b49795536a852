"""Links between nodes: delayed, cut into random pieces, stalled by a partition, reset.

A link keeps its order and loses nothing while it stands, as TCP does: inventing reorder would test
another protocol. Bytes on a partitioned link wait for the healing, or for a heartbeat to give up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from tests.simulation.world import Timer, World
from tsproto import limits
from tsproto.connection import Connection
from tsproto.identity import Identity
from tsproto.messages import LinkState

LEAST_SECONDS, SPREAD_SECONDS = 0.0002, 0.0038  # of the delay on a link
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
        self._early = bytearray()
        self.receive: Callable[[bytes], None] = self._early.extend
        self.lost: Callable[[], None] = lambda: None
        self._not_before = 0.0

    def tell_what_was_kept(self) -> None:
        """What came before its owner set `receive` and `lost`, the kernel has kept."""
        if self._early:
            self.network.world.after(0.0, partial(self.receive, bytes(self._early)))
        if not self.open:
            self.network.world.after(0.0, self.lost)

    def write(self, data: bytes) -> None:
        if self.open and data:
            network = self.network
            if network.spoken and (translate := network.spoken.get(self.owner)):
                data = translate(data)
            for piece in network.pieces(data):
                self._deliver(piece)

    def close(self) -> None:
        """End the link; the other end hears of it behind the bytes that are under way."""
        if self.open:
            self.open = False
            self._deliver(None)

    def stall(self, seconds: float) -> None:
        """Hold up what is said either way; links made anew are not held up."""
        for end in (self, self.other):
            end._not_before = max(end._not_before, self.network.world.now + seconds)

    def vanish(self) -> None:
        """Stop without a word, as a machine without power does."""
        self.open = False

    def _deliver(self, data: bytes | None) -> None:
        """Bytes, or None for the end."""
        network = self.network
        when = network.world.now + network.delay()
        if when > self._not_before:
            self._not_before = when
        network.world.happen_at(self._not_before, partial(self._arrive, data))

    def _arrive(self, data: bytes | None) -> None:
        network, other = self.network, self.other
        if network.cuts and network.is_cut(self.owner, other.owner):
            network.hold(self.owner, other.owner, partial(self._arrive, data))
        elif other.open:
            if data is None:
                other.open = False
                other.lost()
            else:
                other.receive(data)


class LinkTimer:
    """Calls `due` when a connection has something to do. Within one state what is said and heard
    only moves that away, so a timer is left to fire early, and is set anew then."""

    def __init__(self, world: World, connection: Connection, due: Callable[[], None]) -> None:
        self._world = world
        self._connection = connection
        self._due = due
        self._timer: Timer | None = None
        self._state: LinkState | None = None

    def set(self) -> None:
        """After whatever was said or heard."""
        connection = self._connection
        state = connection.state
        if self._timer is not None:
            if state is self._state:
                return
            self._timer.cancel()
        self._state = state
        when = connection.next_deadline()
        self._timer = None if when is None else self._world.at(when, self._wake)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        self._timer = None
        when = self._connection.next_deadline()
        if when is not None and when <= self._world.now:
            self._due()
        else:
            self.set()


class Network:
    def __init__(self, world: World) -> None:
        self.world = world
        self._chance = world.rng.random
        self.spoken: dict[str, Callable[[bytes], bytes]] = {}
        """By owner: makes another version of the protocol of what it sends."""
        self._hosts: dict[str, Host] = {}
        self._hearing: list[str] = []  # where broadcasts are heard: at every daemon's
        self._identities: dict[str, Identity] = {}
        self.cuts: set[tuple[str, str]] = set()  # from, to
        self._held: dict[frozenset[str], list[Callable[[], None]]] = {}

    def add(self, host: Host, identity: Identity | None = None) -> None:
        self._hosts[host.host] = host
        if identity is not None:
            self._identities[host.name] = identity
            self._hearing.append(host.host)

    def add_identity(self, identity: Identity) -> None:
        """Of a host that only dials."""
        self._identities[identity.name] = identity

    def identity_of(self, name: str) -> Identity | None:
        """What the certificate of the host of this name says; a device has none."""
        return self._identities.get(name)

    def certificate_of(self, name: str) -> bytes:
        """Stands for the SHA-256 of this host's certificate; empty for a device."""
        is_certified = self.identity_of(name) is not None
        return hashlib.sha256(name.encode()).digest() if is_certified else b""

    def delay(self) -> float:
        return LEAST_SECONDS + SPREAD_SECONDS * self._chance()

    def pieces(self, data: bytes) -> list[bytes]:
        if len(data) > 1 and self._chance() < SPLIT_CHANCE:
            cut = 1 + int(self._chance() * (len(data) - 1))
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
        patience: Timer

        def settle(outcome: Callable[[], None]) -> None:
            if patience.action is not None:
                patience.cancel()
                outcome()

        def arrive() -> None:
            host = self._hosts.get(target)
            if host is not None and (
                self.is_cut(owner, host.name) or self.is_cut(host.name, owner)
            ):
                return  # a lost SYN, or a lost answer to it: the time-out settles it
            ours, theirs = self._pair(owner, address, host)
            if host is None or not host.on_connection(theirs):
                settle(failed)
            else:
                settle(lambda: opened(ours))

        self.world.after(2 * self.delay(), arrive)
        patience = self.world.after(timeout_seconds, lambda: settle(failed))

    def _pair(self, owner: str, address: str, host: Host | None) -> tuple[End, End]:
        ours = End(self, owner, address)
        theirs = End(self, host.name if host else "", host.host if host else "")
        ours.other, theirs.other = theirs, ours
        return ours, theirs

    def broadcast(self, sender: Host, datagram: bytes) -> None:
        for target in self._hearing:
            self.send_datagram(sender, target, datagram)

    def send_datagram(self, sender: Host, target: str, datagram: bytes) -> None:
        host = self._hosts.get(target)
        if host is None or self.world.rng.random() < DATAGRAM_LOSS:
            return

        def arrive() -> None:
            if not self.is_cut(sender.name, host.name):
                host.on_datagram(sender.host, limits.DISCOVERY_PORT, datagram)

        self.world.after(self.delay(), arrive)

    def cut(self, sender: str, receiver: str, *, one_way: bool = False) -> None:
        """What the sender sends waits until `heal`; unless `one_way`, the other way too."""
        self.cuts.add((sender, receiver))
        if not one_way:
            self.cuts.add((receiver, sender))

    def heal(self, one: str, other: str) -> None:
        """Both ways."""
        self.cuts -= {(one, other), (other, one)}
        for action in self._held.pop(frozenset((one, other)), []):
            self.world.after(0.0, action)

    def is_cut(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self.cuts

    def hold(self, one: str, other: str, action: Callable[[], None]) -> None:
        self._held.setdefault(frozenset((one, other)), []).append(action)
