"""Shares a scarce thing among source networks: no network's demand takes another one's share.

Before a peer has proved anything, its address is all that is known of it. One party can have a
whole network, so networks share first, and the addresses within a network share its part.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)


class Source(NamedTuple):
    """`network` is an IPv4 /24 or an IPv6 /48; `address` an IPv4 address, or an IPv6 /64, which
    one machine may have whole."""

    network: str
    address: str


def source_of(host: str) -> Source:
    """The source of an IP address; text that is no IP address is a network of its own."""
    if ":" not in host:
        return Source(f"{host.rpartition('.')[0]}.0/24", host)
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return Source(host, host)
    if address.ipv4_mapped is not None:  # an IPv4 peer of a socket for both
        return source_of(str(address.ipv4_mapped))
    packed = address.packed
    return Source(f"{packed[:6].hex(':', 2)}::/48", f"{packed[:8].hex(':', 2)}::/64")


class Shares(Generic[T]):
    """Items of many sources, counted by network and by address.

    Finding the largest share takes a look at each network: 25 µs for 1,000 of them.
    """

    def __init__(self) -> None:
        self._sources: dict[T, Source] = {}
        self._items: dict[str, dict[str, dict[T, None]]] = {}
        self._sizes: Counter[str] = Counter()  # by network, and by address

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[T]:
        return iter(self._sources)

    def __contains__(self, item: T) -> bool:
        return item in self._sources

    def __getitem__(self, item: T) -> Source:
        return self._sources[item]

    def add(self, item: T, source: Source) -> None:
        self._sources[item] = source
        self._items.setdefault(source.network, {}).setdefault(source.address, {})[item] = None
        self._sizes.update(source)

    def discard(self, item: T) -> None:
        source = self._sources.pop(item, None)
        if source is None:
            return
        addresses = self._items[source.network]
        del addresses[source.address][item]
        self._sizes.subtract(source)
        if not addresses[source.address]:
            del addresses[source.address], self._sizes[source.address]
        if not addresses:
            del self._items[source.network], self._sizes[source.network]

    def size(self, network_or_address: str) -> int:
        return self._sizes.get(network_or_address, 0)

    def networks(self) -> Iterable[str]:
        return self._items

    def addresses(self, network: str) -> Iterable[str]:
        return self._items[network]

    def oldest(self, source: Source) -> T:
        return next(iter(self._items[source.network][source.address]))

    def crowd(self) -> list[T]:
        """The items of the address that has most, in the network that has most; the oldest
        first."""
        size = self._sizes.__getitem__
        addresses = self._items[max(self._items, key=size)]
        return [*addresses[max(addresses, key=size)]]


class Turns(Generic[T]):
    """At most `at_once` items run at a time; at most `waiting_max` wait for their turn.

    The next turn goes to the network with the fewest running items, and among equals to the one
    whose last turn is the longest ago; so it is for the addresses within the network.
    """

    def __init__(self, at_once: int, waiting_max: int) -> None:
        self.running: Shares[T] = Shares()
        self.waiting: Shares[T] = Shares()
        self._at_once = at_once
        self._waiting_max = waiting_max
        self._last_turns: dict[str, int] = {}  # of networks and addresses that have items
        self._turns_given = 0

    @property
    def load(self) -> float:
        """The part of the turns that is taken, 0 to 1."""
        return len(self.running) / self._at_once

    def wait(self, item: T, source: Source) -> T | None:
        """Queue an item. Returns the one that gives way when too many wait: the oldest of the
        largest share, which may be this one."""
        self.waiting.add(item, source)
        if len(self.waiting) <= self._waiting_max:
            return None
        oldest = self.waiting.crowd()[0]
        self.leave(oldest)
        return oldest

    def next(self) -> T | None:
        """The item whose turn begins; None while no turn is free and when nothing waits."""
        if len(self.running) >= self._at_once or not self.waiting:
            return None
        network = min(self.waiting.networks(), key=self._merit)
        address = min(self.waiting.addresses(network), key=self._merit)
        source = Source(network, address)
        item = self.waiting.oldest(source)
        self.waiting.discard(item)
        self.running.add(item, source)
        self._turns_given += 1
        self._last_turns.update(dict.fromkeys(source, self._turns_given))
        return item

    def leave(self, item: T) -> None:
        """The item's turn is over, or it waits no more. Does nothing for an unknown item."""
        shares = self.running if item in self.running else self.waiting
        if item not in shares:
            return
        source = shares[item]
        shares.discard(item)
        for part in source:
            if not self.waiting.size(part) and not self.running.size(part):
                self._last_turns.pop(part, None)

    def intruder(self) -> T | None:
        """A running item whose network has at least two turns more than one that waits: the oldest
        of its address. None while a turn is free."""
        if len(self.running) < self._at_once or not self.waiting:
            return None
        oldest = self.running.crowd()[0]
        least = min(map(self.running.size, self.waiting.networks()))
        return oldest if self.running.size(self.running[oldest].network) >= least + 2 else None

    def _merit(self, part: str) -> tuple[int, int]:
        return self.running.size(part), self._last_turns.get(part, 0)
