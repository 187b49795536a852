"""The contract of a store, run on every store; then what only a file can get wrong."""

from __future__ import annotations

import stat
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

import apsw
import pytest

from daemons.effects import Persist, Record
from daemons.store import StaleOwner, Store, StoreError
from daemons.store.memory import Medium, MemoryStore
from daemons.store.sqlite import SqliteStore


class Colour(IntEnum):
    RED = 1
    BLUE = 2


class Car(Record):
    table: ClassVar[str] = "cars"
    key: ClassVar[tuple[str, ...]] = ("plate",)

    plate: str
    colour: Colour = Colour.RED
    wheels: int = 4
    weight: float = 1.5
    sold: bool = False
    photo: bytes = b""


class Trip(Record):
    table: ClassVar[str] = "trips"
    key: ClassVar[tuple[str, ...]] = ("plate", "number")

    plate: str
    number: int


RECORDS = (Car, Trip)
Opener = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Gives stores on one and the same medium."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "state" / "ledger.sqlite")
    medium = Medium()
    return lambda: MemoryStore(medium)


async def opened(new_store: Opener) -> Store:
    store = new_store()
    await store.open(RECORDS)
    return store


async def test_what_was_committed_is_loaded_by_the_next_owner(new_store: Opener) -> None:
    car = Car(
        plate="A\x00'\"é", colour=Colour.BLUE, wheels=2**62, weight=0.1, sold=True, photo=b"\xff\0"
    )
    store = await opened(new_store)
    await store.commit([Persist(put=(car,))])
    await store.close()
    store = await opened(new_store)
    (loaded,) = await store.load(Car)
    assert loaded == car
    assert type(loaded.colour) is Colour
    assert type(loaded.sold) is bool
    assert await store.load(Trip) == []
    await store.close()


async def test_rows_come_in_the_order_of_their_key(new_store: Opener) -> None:
    trips = [Trip(plate="b", number=1), Trip(plate="a", number=10), Trip(plate="a", number=9)]
    store = await opened(new_store)
    await store.commit([Persist(put=tuple(trips))])
    assert await store.load(Trip) == [trips[2], trips[1], trips[0]]
    await store.close()


async def test_a_row_with_the_same_key_is_replaced(new_store: Opener) -> None:
    store = await opened(new_store)
    await store.commit([Persist(put=(Car(plate="a"), Car(plate="a", wheels=3)))])
    assert await store.load(Car) == [Car(plate="a", wheels=3)]
    await store.close()


async def test_a_delete_goes_by_the_key_alone(new_store: Opener) -> None:
    store = await opened(new_store)
    await store.commit([Persist(put=(Trip(plate="a", number=1), Trip(plate="a", number=2)))])
    await store.commit([Persist(delete=(Trip(plate="a", number=1), Trip(plate="x", number=1)))])
    assert await store.load(Trip) == [Trip(plate="a", number=2)]
    await store.close()


async def test_changes_take_effect_in_their_order(new_store: Opener) -> None:
    store = await opened(new_store)
    there, gone = Car(plate="a"), Car(plate="b")
    changes = [
        Persist(put=(gone,)),
        Persist(delete=(gone, there)),
        Persist(put=(there,)),
    ]
    await store.commit(changes)
    assert await store.load(Car) == [there]
    await store.close()


async def test_a_second_owner_is_refused_and_the_first_goes_on(new_store: Opener) -> None:
    first = await opened(new_store)
    second = new_store()
    with pytest.raises(StaleOwner):
        await second.open(RECORDS)
    await second.close()
    await first.commit([Persist(put=(Car(plate="a"),))])
    assert await first.load(Car) == [Car(plate="a")]
    await first.close()


async def test_a_closed_store_takes_nothing(new_store: Opener) -> None:
    store = new_store()
    with pytest.raises(StoreError):
        await store.commit([Persist(put=(Car(plate="a"),))])
    await store.close()


# --- SQLite alone -----------------------------------------------------------------------------


def connect(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path))


async def test_the_file_and_its_folder_are_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    store = await opened(lambda: SqliteStore(path))
    await store.commit([Persist(put=(Car(plate="a"),))])
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["ledger.sqlite", "ledger.sqlite-wal"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await store.close()


async def test_a_second_owner_reads_which_file_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first, second = await opened(lambda: SqliteStore(path)), SqliteStore(path)
    with pytest.raises(StaleOwner) as caught:
        await second.open(RECORDS)
    assert str(caught.value) == (
        f"{path}: another process owns this store: stop the daemon that runs on it, or give this"
        " one a state folder of its own"
    )
    await second.close()
    await first.close()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="ledger.sqlite: the file is damaged"):
        await store.open(RECORDS)
    await store.close()
    assert path.read_bytes() == b"not a database" * 100


async def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="this SQLite file belongs to another program"):
        await store.open(RECORDS)
    await store.close()


async def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await (await opened(lambda: SqliteStore(path))).close()
    connection = connect(path)
    connection.pragma("user_version", 2)
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="written by a later version of tsfarm"):
        await store.open(RECORDS)
    await store.close()


class Disk(apsw.VFS):
    """Counts flushes, and lets nothing be written while it `is_full`."""

    def __init__(self) -> None:
        super().__init__("test-disk", "")
        self.flushes = 0
        self.is_full = False

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> DiskFile:
        return DiskFile(self, name, flags)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.is_full:
            raise apsw.FullError("no space")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.flushes += 1
        super().xSync(flags)


async def test_a_commit_is_flushed_before_it_is_acknowledged(tmp_path: Path) -> None:
    disk = Disk()
    store = await opened(lambda: SqliteStore(tmp_path / "ledger.sqlite", vfs="test-disk"))
    for number in range(3):
        before = disk.flushes
        await store.commit([Persist(put=(Trip(plate="a", number=number),))])
        assert disk.flushes > before
    await store.close()


async def test_after_an_error_of_the_disk_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    disk = Disk()
    path = tmp_path / "ledger.sqlite"
    store = await opened(lambda: SqliteStore(path, vfs="test-disk"))
    await store.commit([Persist(put=(Car(plate="a"),))])
    disk.is_full = True
    with pytest.raises(StoreError, match="ledger.sqlite: the disk is full"):
        await store.commit([Persist(put=(Car(plate="b"),))])
    disk.is_full = False
    with pytest.raises(StoreError, match="ledger.sqlite: the disk is full"):
        await store.commit([Persist(put=(Car(plate="c"),))])
    await store.close()
    store = await opened(lambda: SqliteStore(path))
    assert await store.load(Car) == [Car(plate="a")]
    await store.close()
