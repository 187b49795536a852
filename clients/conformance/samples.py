"""Valid and invalid values for every field of the table, generated from the types alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

from clients.conformance.wire import values_of
from tsproto.messages import Message

# Bounds of text count characters; up to this many of four bytes fit the smallest frame.
WIDE_CHARACTERS_MAX = 1_024
WIDE = "\N{GRINNING FACE}"
NOT_UTF8 = "\udcff"
# Bytes of this value alone are no valid key or signature; zero bytes may be one.
FILLER = b"\x55"
BAD_CHARACTERS = ("\n", " ", "/")


class Change(Enum):
    """How a mutant changes a field; `requirement` is the one that it tests."""

    MISSING = "missing", "VALUE-05"
    DEFAULTED = "defaulted", "VALUE-06"
    WRONG_TYPE = "wrong-type", "VALUE-01"
    NIL = "nil", "VALUE-01"
    AT_LEAST = "at-the-lower-bound", "VALUE-02"
    AT_MOST = "at-the-upper-bound", "VALUE-02"
    WIDE = "of-wide-characters", "VALUE-02"
    UNDER = "one-under", "VALUE-02"
    OVER = "one-over", "VALUE-02"
    ROWS_AT_MOST = "rows-at-the-bound", "LIMIT-03"
    ROWS_OVER = "one-row-over", "LIMIT-03"
    PATTERN = "off-the-pattern", "VALUE-03"
    UNKNOWN = "unknown-number", "VALUE-04"
    NOT_UTF8 = "not-utf-8", "VALUE-10"

    def __init__(self, words: str, requirement: str) -> None:
        self.words = words
        self.requirement = requirement

    @property
    def is_good(self) -> bool:
        return self in GOOD


GOOD = (Change.DEFAULTED, Change.AT_LEAST, Change.AT_MOST, Change.WIDE, Change.ROWS_AT_MOST)


class Mutant(msgspec.Struct, frozen=True):
    """A message's values with one thing changed; `path` names the field."""

    path: str
    change: Change
    values: list[Any]


def sample(kind: type[Message]) -> Message:
    """A valid message with the smallest meaningful values."""
    return msgspec.convert(_struct(inspect.type_info(kind), kind.__struct_config__.tag), kind)


def sample_values(kind: type[Message]) -> list[Any]:
    return values_of(sample(kind))


def mutants(kind: type[Message]) -> Iterator[Mutant]:
    """Every change of every field of a message, rows and their fields included. The request id
    stays: it has requirements of its own."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    base = sample_values(kind)
    yield from _mutants(info.fields[1:], base, 2, "")


def _mutants(
    fields: tuple[inspect.Field, ...], base: list[Any], first: int, path: str
) -> Iterator[Mutant]:
    for index, field in enumerate(fields, first):
        name = f"{path}{field.name}"
        missing = Change.MISSING if field.required else Change.DEFAULTED
        yield Mutant(name, missing, base[:index])
        for change, value in _changes(_bare(field.type)):
            yield Mutant(name, change, [*base[:index], value, *base[index + 1 :]])
        yield from _nested(_bare(field.type), base, index, name)


def _nested(kind: inspect.Type, base: list[Any], index: int, name: str) -> Iterator[Mutant]:
    """The mutants of a row in this field, or of the first row of its list."""
    is_list = isinstance(kind, inspect.ListType)
    row = _bare(kind.item_type) if isinstance(kind, inspect.ListType) else kind
    if not isinstance(row, inspect.StructType):
        return
    for mutant in _mutants(row.fields, value_of(row), 0, f"{name}."):
        value = [mutant.values] if is_list else mutant.values
        values = [*base[:index], value, *base[index + 1 :]]
        yield Mutant(mutant.path, mutant.change, values)


def _changes(kind: inspect.Type) -> Iterator[tuple[Change, Any]]:
    yield Change.NIL, None
    yield Change.WRONG_TYPE, _other_type(kind)
    match kind:
        case inspect.IntType():
            yield from _bounds(kind.ge, kind.le)
        case inspect.StrType():
            yield from _texts(kind)
        case inspect.BytesType():
            if kind.min_length:
                yield Change.AT_LEAST, FILLER * kind.min_length
                yield Change.UNDER, FILLER * (kind.min_length - 1)
            if kind.max_length is not None:
                yield Change.AT_MOST, FILLER * kind.max_length
                yield Change.OVER, FILLER * (kind.max_length + 1)
        case inspect.EnumType():
            yield Change.UNKNOWN, max(member.value for member in kind.cls) + 9_000
        case inspect.ListType(max_length=int(most)):
            item = value_of(kind.item_type)
            yield Change.ROWS_AT_MOST, [item] * most
            yield Change.ROWS_OVER, [item] * (most + 1)


def _bounds(least: int | None, most: int | None) -> Iterator[tuple[Change, int]]:
    if least is not None:
        yield Change.AT_LEAST, least
        yield Change.UNDER, least - 1
    if most is not None:
        yield Change.AT_MOST, most
        yield Change.OVER, most + 1


def _texts(kind: inspect.StrType) -> Iterator[tuple[Change, str]]:
    yield Change.NOT_UTF8, NOT_UTF8
    if kind.min_length:
        yield Change.AT_LEAST, "a" * kind.min_length
        yield Change.UNDER, "a" * (kind.min_length - 1)
    most = kind.max_length
    if most is not None:
        yield Change.AT_MOST, "a" * most
        yield Change.OVER, "a" * (most + 1)
        if most <= WIDE_CHARACTERS_MAX and _fits(kind, WIDE * most):
            yield Change.WIDE, WIDE * most
    bad = next((f"a{char}" for char in BAD_CHARACTERS if not _fits(kind, f"a{char}")), None)
    if bad is not None:
        yield Change.PATTERN, bad


def _fits(kind: inspect.StrType, text: str) -> bool:
    return kind.pattern is None or re.search(kind.pattern, text) is not None


def value_of(kind: inspect.Type) -> Any:
    """A valid value of this type."""
    kind = _bare(kind)
    match kind:
        case inspect.IntType():
            return max(kind.ge or 0, 0)
        case inspect.StrType():
            return "a" * max(kind.min_length or 0, 1)
        case inspect.BytesType():
            return FILLER * (kind.min_length or 0)
        case inspect.BoolType():
            return False
        case inspect.EnumType():
            return min(member.value for member in kind.cls)
        case inspect.ListType():
            return []
        case inspect.StructType():
            return _struct(kind, kind.tag)
    raise TypeError(f"the suite knows no value of {kind}: teach it one")


def _struct(info: inspect.Type, tag: int | str | None) -> list[Any]:
    assert isinstance(info, inspect.StructType)
    values = [value_of(field.type) for field in info.fields]
    return values if tag is None else [tag, *values]


def _other_type(kind: inspect.Type) -> Any:
    """A value of another type that a lenient reader might accept for this one."""
    match kind:
        case inspect.StrType():
            return b"a"
        case inspect.BytesType():
            return "a" * max(kind.min_length or 0, 1)
        case inspect.BoolType():
            return 1
        case inspect.ListType() | inspect.StructType():
            return {}
    return "1"


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind
