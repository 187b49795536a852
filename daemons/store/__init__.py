"""The contract of a store: load everything once, then commit changes in order.

A daemon holds its truth in memory, alone; the store only remembers. It is generic over records,
which name their own table and key, so a new record needs no SQL.
`tests/unit/daemons/test_store.py` runs one set of tests on every store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from daemons.effects import Persist, Record
from tsproto.errors import TsfarmError

R = TypeVar("R", bound=Record)


class StoreError(TsfarmError):
    """The store cannot promise anything any more: the daemon says why, and stops.

    After a failed fsync the kernel has dropped the pages and later commits seem to succeed, so
    trying again would acknowledge what is lost.
    """


class StaleOwner(StoreError):
    """Another process owns this store now."""


class Store(Protocol):
    async def open(self, records: Sequence[type[Record]]) -> None:
        """Become the one owner and make the tables of `records`. Raises StaleOwner while another
        process owns the store, StoreError when it is unusable."""
        ...

    async def load(self, record: type[R]) -> list[R]:
        """All rows of one table, in the order of their key."""
        ...

    async def commit(self, changes: Sequence[Persist]) -> None:
        """Make all these changes durable, together and in order; raises StoreError."""
        ...

    async def close(self) -> None: ...
