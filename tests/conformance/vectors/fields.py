"""What a field of the message table may hold, and what it may not: at each bound and one beyond.

Both come from the types in the table, so that a new field has its cases on its first day. A row is
a dictionary of its fields, in their order; on the wire it is the array of its values.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec.inspect import (
    BoolType,
    BytesType,
    EnumType,
    Field,
    IntType,
    ListType,
    Metadata,
    StrType,
    StructType,
    Type,
)

Value: TypeAlias = Any  # bool, int, str, bytes, a list of values, or a row

# Where msgpack changes from one form of an integer to the next, and where 32 bits end.
WIDTHS = (127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32)
FEW_MEMBERS = 8  # of an enumeration: each has its case, of a larger one the first and the last
WIDE = "\N{GRINNING FACE}"  # four bytes of UTF-8: bounds of text count characters
WIDE_CHARACTERS_MAX = 1024  # longer text of such characters would not fit in a frame
MISFITS = ("\n", "\0", " ", "/", "A", "-", "\x7f", "é", "\x9b", "\u2028", "\u202e", "\u200d")
NOT_UTF_8 = msgspec.Raw(b"\xa1\xff")


class Sample(msgspec.Struct, frozen=True):
    """A value with its place and case, `session.host` and `longest`, and how it is written:
    `raw` differs from `value` only where fields are missing at the end, or unknown ones follow."""

    place: str
    case: str
    value: Value
    raw: Any


class Fault(msgspec.Struct, frozen=True):
    """Something that may not stand in this place."""

    place: str
    case: str
    raw: Any


def flat(value: Value) -> Any:
    """As it is written: a row becomes the array of its values."""
    if isinstance(value, dict):
        return [flat(each) for each in value.values()]
    if isinstance(value, list):
        return [flat(each) for each in value]
    return value


def default(field: Field) -> Value:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return msgspec.to_builtins(field.default, builtin_types=(bytes,))


# --- one value ------------------------------------------------------------------------------------


def typical(kind: Type, name: str) -> Value:
    """A value inside the bounds that differs from field to field: two that were swapped show."""
    match kind:
        case Metadata():
            return typical(kind.type, name)
        case BoolType():
            return True
        case IntType(ge=int(least), le=int(most)):
            return least + zlib.crc32(name.encode()) % (min(most - least, 999) + 1)
        case StrType(max_length=int(longest)):
            return name.replace("_", "-")[:longest]
        case BytesType(max_length=int(longest)):
            return hashlib.sha512(name.encode()).digest()[: max(kind.min_length or 0, 16)][:longest]
        case EnumType():
            return int([*kind.cls][1].value)
        case ListType():
            return [typical(kind.item_type, name)]
        case StructType():
            return {field.name: typical(field.type, field.name) for field in kind.fields}
        case _:
            raise unbounded(kind)


def least(kind: Type) -> Value:
    """The value that takes the fewest bytes."""
    match kind:
        case Metadata():
            return least(kind.type)
        case BoolType():
            return False
        case IntType(ge=int(bound)):
            return bound
        case StrType():
            return "a" * (kind.min_length or 0)
        case BytesType():
            return bytes(kind.min_length or 0)
        case EnumType():
            return int(min(member.value for member in kind.cls))
        case ListType():
            return []
        case StructType():
            return {field.name: least(field.type) for field in kind.fields}
        case _:
            raise unbounded(kind)


def unbounded(kind: Type) -> AssertionError:
    return AssertionError(f"a field of the table has its bounds, {kind} has none")


# --- what is good ---------------------------------------------------------------------------------


def samples(kind: Type, place: str) -> Iterator[Sample]:
    match kind:
        case Metadata():
            yield from samples(kind.type, place)
        case StructType():
            yield from row_samples(kind.fields, f"{place}.")
        case ListType():
            yield from _list_samples(kind, place)
        case _:
            for case, value in _scalars(kind):
                yield Sample(place, case, value, value)


def _scalars(kind: Type) -> Iterator[tuple[str, Value]]:
    match kind:
        case BoolType():
            yield "false", False
            yield "true", True
        case IntType(ge=int(lower), le=int(upper)):
            yield "least", lower
            yield "most", upper
            yield from ((f"value-{width}", width) for width in WIDTHS if lower < width < upper)
        case StrType(max_length=int(longest)):
            yield "shortest", least(kind)
            yield "longest", "a" * longest
            if longest <= WIDE_CHARACTERS_MAX and _fits(kind, WIDE):
                yield "widest", WIDE * longest
        case BytesType(max_length=int(longest)):
            yield "longest", bytes(each % 256 for each in range(longest))
            if kind.min_length != longest:
                yield "shortest", least(kind)
        case EnumType():
            members = [*kind.cls]
            shown = members if len(members) <= FEW_MEMBERS else [members[0], members[-1]]
            yield from ((member.name.lower(), int(member.value)) for member in shown)
        case _:
            raise unbounded(kind)


def _fits(kind: StrType, text: str) -> bool:
    return kind.pattern is None or re.search(kind.pattern, text) is not None


def _list_samples(kind: ListType, place: str) -> Iterator[Sample]:
    assert kind.max_length is not None, unbounded(kind)
    full = [least(kind.item_type)] * kind.max_length
    yield Sample(place, "empty", [], [])
    yield Sample(place, "fullest", full, flat(full))
    for sample in samples(kind.item_type, f"{place}[0]"):
        yield msgspec.structs.replace(sample, value=[sample.value], raw=[sample.raw])


def row_samples(fields: tuple[Field, ...], prefix: str) -> Iterator[Sample]:
    """Typical values but for one field, which takes each of its samples; then what may be missing
    and what may follow."""
    row = {field.name: typical(field.type, field.name) for field in fields}
    for index, field in enumerate(fields):
        for sample in samples(field.type, prefix + field.name):
            value = {**row, field.name: sample.value}
            raw = flat(row)
            raw[index] = sample.raw
            yield msgspec.structs.replace(sample, value=value, raw=raw)
    whole = prefix.rstrip(".")
    needed = max((index for index, field in enumerate(fields, 1) if field.required), default=0)
    if needed < len(fields):
        rest = {field.name: default(field) for field in fields[needed:]}
        yield Sample(whole, "rest-missing", {**row, **rest}, flat(row)[:needed])
    yield Sample(whole, "more-fields", row, [*flat(row), "new", 1])


# --- what is not ----------------------------------------------------------------------------------


def faults(kind: Type, place: str) -> Iterator[Fault]:
    match kind:
        case Metadata():
            yield from faults(kind.type, place)
        case StructType():
            yield Fault(place, "nil", None)
            yield from row_faults(kind.fields, f"{place}.")
        case ListType():
            yield from _list_faults(kind, place)
        case _:
            yield Fault(place, "nil", None)
            for case, raw in _wrong_scalars(kind):
                yield Fault(place, case, raw)


def _wrong_scalars(kind: Type) -> Iterator[tuple[str, Any]]:
    match kind:
        case BoolType():
            yield "integer", 1
        case IntType(ge=int(lower), le=int(upper)):
            yield "text", "1"
            yield "boolean", True
            yield "fraction", lower + 0.5
            yield "too-small", lower - 1
            yield "too-large", upper + 1
        case StrType(max_length=int(longest)):
            yield "bytes", least(kind).encode()
            yield "not-utf-8", NOT_UTF_8
            yield "too-long", "a" * (longest + 1)
            if kind.min_length:
                yield "too-short", "a" * (kind.min_length - 1)
            yield from _misfits(kind)
        case BytesType(max_length=int(longest)):
            yield "text", "a" * longest
            yield "too-long", bytes(longest + 1)
            if kind.min_length:
                yield "too-short", bytes(kind.min_length - 1)
        case EnumType():
            numbers = [int(member.value) for member in kind.cls]
            yield "text", [*kind.cls][0].name
            yield "unknown", max(numbers) + 1
            yield "negative", -1
        case _:
            raise unbounded(kind)


def _misfits(kind: StrType) -> Iterator[tuple[str, str]]:
    """A character that the pattern forbids, at the end and at the beginning."""
    for character in MISFITS:
        for where, text in (("ends", f"a{character}"), ("begins", f"{character}a")):
            if not _fits(kind, text):
                yield f"{where}-with-{ord(character):02x}", text


def _list_faults(kind: ListType, place: str) -> Iterator[Fault]:
    assert kind.max_length is not None, unbounded(kind)
    yield Fault(place, "nil", None)
    yield Fault(place, "map", {})
    yield Fault(place, "too-long", flat([least(kind.item_type)] * (kind.max_length + 1)))
    for fault in faults(kind.item_type, f"{place}[0]"):
        yield msgspec.structs.replace(fault, raw=[fault.raw])


def row_faults(fields: tuple[Field, ...], prefix: str) -> Iterator[Fault]:
    row = flat({field.name: typical(field.type, field.name) for field in fields})
    for index, field in enumerate(fields):
        place = prefix + field.name
        if field.required:
            yield Fault(place, "missing", row[:index])
        for fault in faults(field.type, place):
            yield msgspec.structs.replace(fault, raw=[*row[:index], fault.raw, *row[index + 1 :]])
