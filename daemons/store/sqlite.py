"""A store in one SQLite file, which one process owns.

Every call runs in one thread of the store's own: a connection that a single thread uses needs no
locks, and the event loop goes on while the disk flushes. It is as fast as apsw's own asyncio
support (both end at the disk) and rests on nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from daemons.effects import Persist, Record
from daemons.files.durable import sync_folder
from daemons.store import R, StaleOwner, StoreError
from daemons.store.schema import Table

T = TypeVar("T")

APPLICATION_ID = 0x7473666D  # "tsfm": `file` and we tell our files from others
FORMAT = 1  # user_version; a file with a higher one was written by a later tsfarm
SYNCHRONOUS_FULL = 2
WAL_BYTES_KEPT = 16 * 1024 * 1024  # a burst's log is cut back to this at a checkpoint


class SqliteStore:
    """Opened, it holds SQLite's exclusive lock on the file until `close` or the process's end.

    After the first error no later commit is tried: see StoreError. `vfs` names the file layer
    that SQLite is to use, in place of the system's own.
    """

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self.path = path
        self._vfs = vfs
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: apsw.Connection | None = None
        self._tables: dict[str, Table] = {}
        self._failure: StoreError | None = None

    async def open(self, records: Sequence[type[Record]]) -> None:
        await self._run(lambda: self._open(records))

    async def load(self, record: type[R]) -> list[R]:
        return await self._run(lambda: self._load(record))

    async def commit(self, changes: Sequence[Persist]) -> None:
        await self._run(lambda: self._commit(changes))

    async def close(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        finally:
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guard, work)

    # --- in the store's thread ---------------------------------------------------------------

    def _guard(self, work: Callable[[], T]) -> T:
        if self._failure is not None:
            raise self._failure
        try:
            return work()
        except (apsw.Error, OSError) as error:
            self._failure = _store_error(self.path, error)
            raise self._failure from error
        except StoreError as error:
            self._failure = error
            raise

    def _open(self, records: Sequence[type[Record]]) -> None:
        make_private_file(self.path)
        # Named before anything can fail, so that close() gives the lock back.
        self._connection = connection = apsw.Connection(os.fspath(self.path), vfs=self._vfs)
        _configure(connection, self.path)
        connection.execute("BEGIN IMMEDIATE")
        _check_format(connection, self.path, [record.table for record in records])
        for record in records:
            self._tables[record.table] = Table(record)
            self._tables[record.table].make(connection, self.path)
        connection.execute("COMMIT")

    def _load(self, record: type[R]) -> list[R]:
        table = self._tables[record.table]
        rows = self._opened().execute(table.select)
        return [table.record_of(row, self.path) for row in rows]  # type: ignore[misc]

    def _commit(self, changes: Sequence[Persist]) -> None:
        execute = self._opened().execute
        tables = self._tables
        execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                for record in change.put:
                    table = tables[record.table]
                    execute(table.upsert, table.values_of(record))
                for record in change.delete:
                    table = tables[record.table]
                    execute(table.delete, table.key_of(record))
            execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        connection = self._opened()
        if connection.in_transaction:  # SQLite itself has rolled back after some errors
            connection.execute("ROLLBACK")

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path}: this store is not open")
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may use, in a folder that only its owner may enter.

    Both names are flushed to disk: SQLite flushes the names of files only that it creates itself.
    """
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        sync_folder(folder.parent)
    # An existing file is not opened here: closing it would drop this process's locks on it.
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        sync_folder(folder)


def _configure(connection: apsw.Connection, path: Path) -> None:
    connection.set_busy_timeout(0)
    # Before the first access: then the lock is taken at once, and no shared memory is used.
    connection.pragma("locking_mode", "exclusive")
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", WAL_BYTES_KEPT)
    found = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if found != ("wal", SYNCHRONOUS_FULL):
        raise StoreError(
            f"{path}: SQLite gives journal_mode and synchronous {found}, and only"
            f" {('wal', SYNCHRONOUS_FULL)} keeps what was promised: use another file system"
        )
    damage = connection.pragma("quick_check")
    if damage != "ok":
        raise StoreError(_damaged(path, str(damage)))


def _check_format(connection: apsw.Connection, path: Path, tables: Sequence[str]) -> None:
    application, found = connection.pragma("application_id"), connection.pragma("user_version")
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
    found_tables = [name for (name,) in connection.execute(names)]
    if found_tables and application != APPLICATION_ID:
        raise StoreError(f"{path}: this SQLite file belongs to another program")
    if found > FORMAT:
        raise StoreError(
            f"{path}: written by a later version of tsfarm (format {found}, this one reads up to"
            f" {FORMAT}): start that version again, or restore the backup of before it"
        )
    if foreign := [name for name in found_tables if name not in tables]:
        raise StoreError(
            f"{path}: another kind of daemon keeps {', '.join(foreign)} here: give this one a"
            " `state` folder of its own"
        )
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", FORMAT)


def _store_error(path: Path, error: apsw.Error | OSError) -> StoreError:
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StaleOwner(
                f"{path}: another process owns this store: stop the daemon that runs on it, or give"
                " this one a state folder of its own"
            )
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreError(_damaged(path, str(error)))
        case apsw.FullError():
            return StoreError(
                f"{path}: the disk is full: make room, then start the daemon again; nothing that"
                " was acknowledged is lost"
            )
        case apsw.IOError():
            return StoreError(
                f"{path}: the disk failed ({error}): nothing can be promised any more; check the"
                " disk, then start the daemon again"
            )
        case NotADirectoryError() | FileExistsError():
            return StoreError(f"{path.parent}: a file is where a folder must be: correct `state`")
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError() | OSError():
            return StoreError(
                f"{path}: cannot be opened for writing ({error}): the state folder must belong to"
                " the daemon's user"
            )
        case _:
            return StoreError(f"{path}: {error}")


def _damaged(path: Path, finding: str) -> str:
    return (
        f"{path}: the file is damaged ({finding}): restore it from a backup, or, if what it holds"
        " may be lost, move it away"
    )
