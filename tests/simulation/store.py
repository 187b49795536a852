"""A disk whose process can die: what was committed stays, everything else is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from daemons.effects import Persist, Record
from tests.simulation.world import World

COMMIT_SECONDS = (0.0002, 0.02)

Key = tuple[object, ...]
R = TypeVar("R", bound=Record)


class Disk:
    """The rows of one node; they outlive its processes. A commit takes a time between the two of
    `commit_seconds`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.commit_seconds = COMMIT_SECONDS
        self.before: Callable[[Persist], None] = lambda change: None
        """Told of each change before it is on the disk."""
        self.fails = False
        self._tables: dict[type[Record], dict[Key, Record]] = {}

    def mend(self) -> None:
        """Quick again, with room again."""
        self.commit_seconds, self.fails = COMMIT_SECONDS, False

    def commit(
        self, batch: list[Persist], is_alive: Callable[[], bool], tell: Callable[[bool], None]
    ) -> float:
        """Write these together, and tell whether they are on the disk; gives the seconds that it
        takes. When the process is not alive any more, they are there or not, as chance has it."""
        low, high = self.commit_seconds
        seconds = low + (high - low) * self._world.rng.random()

        def done() -> None:
            if is_alive():
                if not self.fails:
                    self.apply(batch)
                tell(not self.fails)
            elif self._world.rng.random() < 0.5:
                self.apply(batch)
                self._world.saw("committed, never acknowledged")

        self._world.after(seconds, done)
        return seconds

    def apply(self, changes: Sequence[Persist]) -> None:
        for change in changes:
            self.before(change)
            for record in change.put:
                self._tables.setdefault(type(record), {})[_key(record)] = record
            for record in change.delete:
                self._tables.get(type(record), {}).pop(_key(record), None)

    def rows(self, *left_out: type[Record]) -> frozenset[Record]:
        tables = self._tables.items()
        return frozenset(r for kind, rows in tables if kind not in left_out for r in rows.values())

    def row(self, kind: type[R], *key: object) -> R | None:
        found = self._tables.get(kind, {}).get(key)
        return found if isinstance(found, kind) else None

    def load(self, records: Sequence[type[Record]]) -> dict[type[Record], list[Record]]:
        return {kind: list(self._tables.get(kind, {}).values()) for kind in records}

    def backup(self) -> Tables:
        """What an administrator copies, and may `restore` later."""
        return {kind: dict(rows) for kind, rows in self._tables.items()}

    def restore(self, backup: Tables) -> None:
        self._tables = {kind: dict(rows) for kind, rows in backup.items()}


Tables = dict[type[Record], dict[Key, Record]]


def _key(record: Record) -> Key:
    return tuple([getattr(record, column) for column in record.key])  # quicker than a generator
