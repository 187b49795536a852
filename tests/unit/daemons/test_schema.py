"""The table that is made of a record, and what becomes of it when the record changes."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import ClassVar

import apsw
import pytest

from daemons.effects import Record
from daemons.store import StoreError
from daemons.store.schema import Table

FILE = Path("ledger.sqlite")


class Colour(IntEnum):
    RED = 1
    BLUE = 2


class Car(Record):
    table: ClassVar[str] = "cars"
    key: ClassVar[tuple[str, ...]] = ("country", "plate")

    country: str
    plate: str
    colour: Colour = Colour.BLUE
    is_sold: bool = False
    weight: float = 1.5
    photo: bytes = b"\xff"


class OldCar(Record):
    table: ClassVar[str] = "cars"
    key: ClassVar[tuple[str, ...]] = ("country", "plate")

    country: str
    plate: str


class OwnedCar(Record):
    table: ClassVar[str] = "cars"
    key: ClassVar[tuple[str, ...]] = ("country", "plate")

    country: str
    plate: str
    owner: str


CAR = Car(country="fi", plate="a", colour=Colour.RED, is_sold=True)


@pytest.fixture
def connection() -> apsw.Connection:
    return apsw.Connection(":memory:")


def made(connection: apsw.Connection, record: type[Record] = Car) -> Table:
    table = Table(record)
    table.make(connection, FILE)
    return table


def loaded(connection: apsw.Connection, table: Table) -> list[Record]:
    return [table.record_of(row, FILE) for row in connection.execute(table.select)]


def test_columns_have_the_types_of_their_fields_and_no_others(connection: apsw.Connection) -> None:
    made(connection)
    columns = connection.execute(
        "SELECT name, type, \"notnull\", pk FROM pragma_table_info('cars')"
    )
    assert list(columns) == [
        ("country", "TEXT", 1, 1),
        ("plate", "TEXT", 1, 2),
        ("colour", "INTEGER", 1, 0),
        ("is_sold", "INTEGER", 1, 0),
        ("weight", "REAL", 1, 0),
        ("photo", "BLOB", 1, 0),
    ]
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO cars VALUES ('fi', 'a', 'red', 0, 1.5, x'00')")


def test_a_record_comes_back_with_the_types_of_its_fields(connection: apsw.Connection) -> None:
    table = made(connection)
    connection.execute(table.upsert, table.values_of(CAR))
    (found,) = loaded(connection, table)
    assert found == CAR
    assert isinstance(found, Car)
    assert (type(found.colour), type(found.is_sold)) == (Colour, bool)


def test_a_delete_goes_by_every_column_of_the_key(connection: apsw.Connection) -> None:
    table = made(connection)
    connection.execute(table.upsert, table.values_of(CAR))
    connection.execute(table.delete, table.key_of(Car(country="fi", plate="b")))
    assert loaded(connection, table) == [CAR]
    connection.execute(table.delete, table.key_of(Car(country="fi", plate="a")))
    assert loaded(connection, table) == []


def test_fields_that_have_come_since_get_their_defaults(connection: apsw.Connection) -> None:
    old = made(connection, OldCar)
    connection.execute(old.upsert, old.values_of(OldCar(country="fi", plate="a")))
    assert loaded(connection, made(connection)) == [Car(country="fi", plate="a")]


def test_a_new_field_without_a_default_is_refused(connection: apsw.Connection) -> None:
    made(connection, OldCar)
    with pytest.raises(StoreError) as caught:
        made(connection, OwnedCar)
    assert str(caught.value) == "ledger.sqlite: cars.owner is missing"


def test_a_column_that_no_field_knows_is_refused(connection: apsw.Connection) -> None:
    made(connection, OwnedCar)
    with pytest.raises(StoreError) as caught:
        made(connection)
    assert str(caught.value) == "ledger.sqlite: this version knows no cars.owner"


def test_a_value_that_its_enumeration_does_not_name_is_refused(connection: apsw.Connection) -> None:
    table = made(connection)
    connection.execute(table.upsert, table.values_of(CAR))
    connection.execute("UPDATE cars SET colour = 9")
    with pytest.raises(StoreError) as caught:
        loaded(connection, table)
    assert str(caught.value) == ("ledger.sqlite: a row of cars is unknown: 9 is not a valid Colour")
