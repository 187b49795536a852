"""A store whose process can die: what was committed stays, everything else is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from daemons.effects import Persist, Record

Key = tuple[object, ...]
R = TypeVar("R", bound=Record)


class DurableRows:
    """The disk of one node; it outlives the node's process."""

    def __init__(self) -> None:
        self._tables: dict[type[Record], dict[Key, Record]] = {}

    def apply(self, changes: Sequence[Persist]) -> None:
        for change in changes:
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


def _key(record: Record) -> Key:
    return tuple(getattr(record, column) for column in record.key)
