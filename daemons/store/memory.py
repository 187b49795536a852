"""A store without a file, for daemons that have no records and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from daemons.effects import Persist, Record
from daemons.store import R, StaleOwner, StoreError


class Medium:
    """In place of a disk: its rows outlive the stores that are opened on it, one at a time."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Record]] = {}
        self.owner: MemoryStore | None = None


class MemoryStore:
    """Keeps every row that was committed on its `medium`."""

    def __init__(self, medium: Medium | None = None) -> None:
        self._medium = medium or Medium()

    async def open(self, records: Sequence[type[Record]]) -> None:
        medium = self._medium
        if medium.owner is not None:
            raise StaleOwner("another store owns this medium")
        medium.owner = self
        for record in records:
            medium.tables.setdefault(record.table, {})

    async def load(self, record: type[R]) -> list[R]:
        rows = self._owned().tables[record.table]
        return [rows[key] for key in sorted(rows)]  # type: ignore[misc]  # a table has one class

    async def commit(self, changes: Sequence[Persist]) -> None:
        tables = self._owned().tables
        for change in changes:
            for record in change.put:
                tables[record.table][_key(record)] = record
            for record in change.delete:
                tables[record.table].pop(_key(record), None)

    async def close(self) -> None:
        if self._medium.owner is self:
            self._medium.owner = None

    def _owned(self) -> Medium:
        if self._medium.owner is not self:
            raise StoreError("this store is not open")
        return self._medium


def _key(record: Record) -> Any:
    return attrgetter(*record.key)(record)
