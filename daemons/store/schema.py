"""SQL of a record: its table is made from its class, so that a new record needs none of its own."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import IntEnum
from operator import attrgetter
from pathlib import Path
from typing import Any

import apsw
import msgspec

from daemons.effects import Record
from daemons.store import StoreError

COLUMN_TYPES: tuple[tuple[type, str], ...] = (
    (int, "INTEGER"),  # bool and IntEnum are ints
    (float, "REAL"),
    (str, "TEXT"),
    (bytes, "BLOB"),
)


class Table:
    """The statements that one kind of record needs, and its way from and to a row."""

    def __init__(self, record: type[Record]) -> None:
        self._record = record
        self._fields = {f.name: f for f in msgspec.structs.fields(record)}
        hints = typing.get_type_hints(record)
        self._types: dict[str, type] = {name: hints[name] for name in self._fields}
        self._readers = [(name, _reader(kind)) for name, kind in self._types.items()]
        self._key = attrgetter(*record.key)
        name = f'"{record.table}"'
        columns = ", ".join(f'"{column}"' for column in self._fields)
        keys = ", ".join(f'"{column}"' for column in record.key)
        marks = ", ".join("?" for _ in self._fields)
        chosen = " AND ".join(f'"{column}" = ?' for column in record.key)
        self.select = f"SELECT {columns} FROM {name} ORDER BY {keys}"
        self.upsert = f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({marks})"
        self.delete = f"DELETE FROM {name} WHERE {chosen}"
        self._create = (
            f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(map(self._column, self._fields))},"
            f" PRIMARY KEY ({keys})) STRICT, WITHOUT ROWID"
        )

    def make(self, connection: apsw.Connection, path: Path) -> None:
        """Create the table, or add the columns of fields that have come since, at their defaults.

        Raises StoreError when the file and the record cannot be reconciled.
        """
        connection.execute(self._create)
        rows = connection.execute("SELECT name FROM pragma_table_info(?)", (self._record.table,))
        found = [name for (name,) in rows]
        for name in found:
            if name not in self._fields:
                raise StoreError(f"{path}: this version knows no {self._record.table}.{name}")
        for name, field in self._fields.items():
            if name not in found:
                if field.default is msgspec.NODEFAULT:
                    raise StoreError(f"{path}: {self._record.table}.{name} is missing")
                default = apsw.format_sql_value(_plain(field.default))
                connection.execute(
                    f'ALTER TABLE "{self._record.table}" ADD COLUMN {self._column(name)}'
                    f" DEFAULT {default}"
                )

    def values_of(self, record: Record) -> tuple[Any, ...]:
        return msgspec.structs.astuple(record)

    def key_of(self, record: Record) -> tuple[Any, ...]:
        key = self._key(record)
        return key if len(record.key) > 1 else (key,)

    def record_of(self, row: tuple[Any, ...], path: Path) -> Record:
        """Raises StoreError when a value is not one of its field's enumeration."""
        try:
            return self._record(
                **{
                    name: value if read is None else read(value)
                    for (name, read), value in zip(self._readers, row, strict=True)
                }
            )
        except ValueError as error:
            raise StoreError(f"{path}: a row of {self._record.table} is unknown: {error}") from None

    def _column(self, name: str) -> str:
        kind = self._types[name]
        sql = next(sql for python, sql in COLUMN_TYPES if issubclass(kind, python))
        return f'"{name}" {sql} NOT NULL'


def _reader(kind: type) -> Callable[[Any], Any] | None:
    return kind if kind is bool or issubclass(kind, IntEnum) else None


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value
