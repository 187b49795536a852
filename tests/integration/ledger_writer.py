"""A process that fills a store as fast as it can, and prints what was acknowledged to it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import ClassVar

from daemons.effects import Persist, Record
from daemons.store.sqlite import SqliteStore

ENTRIES_MAX = 100_000  # it ends by itself should nobody kill it


class Entry(Record):
    table: ClassVar[str] = "entries"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int
    text: str = "x" * 100


async def main(path: Path) -> None:
    store = SqliteStore(path)
    await store.open([Entry])
    first = len(await store.load(Entry))
    for number in range(first, first + ENTRIES_MAX):
        await store.commit([Persist(put=(Entry(number=number),))])
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
