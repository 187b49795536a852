"""The ledger's file under what happens to processes: killed, started twice, given a bad file."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemons.store import StaleOwner, StoreError
from daemons.store.sqlite import SqliteStore
from tests.integration.ledger_writer import Entry

ROUNDS = 6
ROOT = Path(__file__).parents[2]


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that commits entries and prints the number of each when it is durable."""
    command = [sys.executable, "-m", "tests.integration.ledger_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def acknowledged(process: subprocess.Popen[bytes], count: int) -> list[int]:
    """Read `count` acknowledgements, kill the writer in the middle, and read what it still said."""
    assert process.stdout is not None
    first = [int(process.stdout.readline()) for _ in range(count)]
    process.kill()
    rest, _ = process.communicate()
    whole_lines = rest.split(b"\n")[:-1]
    return first + [int(line) for line in whole_lines]


async def entries(path: Path) -> list[int]:
    store = SqliteStore(path)
    await store.open([Entry])
    found = await store.load(Entry)
    await store.close()
    return [entry.number for entry in found]


async def test_everything_acknowledged_is_there_however_often_its_writer_was_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.sqlite"
    counts = random.Random(1)
    for _ in range(ROUNDS):
        with writer(path) as process:
            promised = acknowledged(process, counts.randrange(1, 200))
        found = await entries(path)
        assert found == list(range(len(found)))
        assert promised[-1] in found


async def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with writer(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store = SqliteStore(path)
        with pytest.raises(StaleOwner, match="ledger.sqlite: another process owns this store"):
            await store.open([Entry])
        await store.close()
        acknowledged(process, 1)
    assert await entries(path)


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with writer(path) as process:
        acknowledged(process, 300)
    await entries(path)
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(random.Random(2).randbytes(4096))
    path.write_bytes(content)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"ledger.sqlite: the file is damaged .*from a backup"):
        await store.open([Entry])
    await store.close()
