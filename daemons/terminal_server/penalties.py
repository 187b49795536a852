"""Makes wrong proofs slow: after some free ones the wait doubles, per source network and per user.

A user's wait counts only for networks with wrong proofs of their own, and neither wait counts for a
device that this user has logged on with. So nobody is locked out by what others try elsewhere, or
behind the same balancer.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

import msgspec

from daemons import events
from tsproto import limits
from tsproto.fairness import source_of

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FREE_OF_NETWORK = 20  # wrong proofs without a wait: many people may sit behind a /24
FREE_OF_USER = 5  # of a device of theirs, too
BEHAVES_MAX = limits.LOGON_ATTEMPTS  # wrong proofs of a network that no user's wait counts for
# One wrong proof is forgotten in this time. So the wait, 1 s at first, grows up to it: a
# guesser that goes on has two tries a minute.
FORGET_SECONDS = 30.0
ROWS_MAX = 10_000  # of each table: some 300 bytes each
REPORT_SECONDS = 60.0  # between two events about one source


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A proof that a client shows. `device_id` was proved in the licensing phase."""

    user_name: str
    host: str
    device_id: bytes


class Penalties:
    """What one terminal server remembers of proofs. Each table is bounded, and gives up first the
    row that was not used for longest."""

    def __init__(self) -> None:
        self._networks = Tallies(FREE_OF_NETWORK)
        self._users = Tallies(FREE_OF_USER)
        self._devices = Tallies(FREE_OF_USER)
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._reports: OrderedDict[str, Report] = OrderedDict()

    def delay(self, attempt: Attempt, now: float) -> int:
        """Seconds until this proof may be tried. At 0 it counts as wrong until `settle` is told
        otherwise, so that no more are checked at once than one after the other."""
        keys = self._keys(attempt)
        waits = [tallies.wait(key, now) for tallies, key in keys]
        if len(keys) > 1 and self._networks.remembered(keys[0][1], now) < BEHAVES_MAX:
            waits.pop()  # the user's: others were wrong
        if (longest := max(waits)) > 0:
            return math.ceil(longest)
        for tallies, key in keys:
            tallies.count(key, now)
        return 0

    def settle(self, attempt: Attempt, accepted: bool | None, now: float) -> list[events.Event]:
        """A proof was accepted, was wrong, or (None) was not checked."""
        if accepted is False:
            return self._report(attempt.host, now)
        for tallies, key in self._keys(attempt):
            tallies.take_back(key)
        if accepted:
            _used(self._known, (attempt.user_name, attempt.device_id), None)
        return []

    def _keys(self, attempt: Attempt) -> list[tuple[Tallies, Hashable]]:
        """The device alone, when this user has logged on with it; else network and user."""
        device = attempt.user_name, attempt.device_id
        if device in self._known:
            return [(self._devices, device)]
        network = source_of(attempt.host).network
        return [(self._networks, network), (self._users, attempt.user_name)]

    def _report(self, host: str, now: float) -> list[events.Event]:
        report = _used(self._reports, source_of(host).address, Report(now - REPORT_SECONDS))
        report.unreported += 1
        if now - report.reported_at < REPORT_SECONDS:
            return []
        wrong, report.unreported, report.reported_at = report.unreported, 0, now
        return [events.ProofsWrong(address=host, wrong=wrong)]


class Tally(msgspec.Struct, gc=False):
    wrong: float = 0.0  # proofs, those included that are being checked
    counted_at: float = 0.0  # when the check of the last one began

    def remembered(self, now: float) -> float:
        return max(0.0, self.wrong - (now - self.counted_at) / FORGET_SECONDS)


class Tallies:
    """Wrong proofs by network, user or device: `free` of them lead to no wait."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._rows: OrderedDict[Hashable, Tally] = OrderedDict()

    def remembered(self, key: Hashable, now: float) -> float:
        tally = self._rows.get(key)
        return 0.0 if tally is None else tally.remembered(now)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until the next proof may be checked; 0 or less for none."""
        tally = self._rows.get(key)
        if tally is None or tally.remembered(now) <= self._free:
            return 0.0
        return tally.counted_at + math.exp2(tally.wrong - self._free - 1) - now

    def count(self, key: Hashable, now: float) -> None:
        tally = _used(self._rows, key, Tally())
        tally.wrong = tally.remembered(now) + 1
        tally.counted_at = now

    def take_back(self, key: Hashable) -> None:
        tally = self._rows.get(key)
        if tally is None:
            return
        tally.wrong -= 1
        if tally.wrong <= 0:
            del self._rows[key]


class Report(msgspec.Struct, gc=False):
    reported_at: float
    unreported: int = 0


def _used(table: OrderedDict[K, V], key: K, fresh: V) -> V:
    """The row of this key, now the last one to be given up; `fresh` when there is none."""
    row = table.setdefault(key, fresh)
    table.move_to_end(key)
    if len(table) > ROWS_MAX:
        table.popitem(last=False)
    return row
