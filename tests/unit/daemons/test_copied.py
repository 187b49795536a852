"""Copying the fields that two structs have in common."""

from __future__ import annotations

import msgspec
import pytest

from daemons.copied import copied


class Order(msgspec.Struct):
    product: str
    tokens: int
    at: float


class Row(msgspec.Struct, kw_only=True):
    name: str
    product: str
    tokens: int = 0


def test_fields_of_the_same_names_are_copied() -> None:
    assert copied(Row, Order("app", 5, 1.0), name="a") == Row(name="a", product="app", tokens=5)


def test_an_own_value_counts_more() -> None:
    row = copied(Row, Order("app", 5, 1.0), name="a", tokens=7)
    assert row == Row(name="a", product="app", tokens=7)


def test_a_field_that_the_source_has_not_must_be_given() -> None:
    with pytest.raises(TypeError, match="name"):
        copied(Row, Order("app", 5, 1.0))
