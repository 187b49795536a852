"""Reads TOML into typed structs, and explains a mistake to the person who wrote the file.

One line: the file, the key, what was expected, and what was found.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from tsproto.errors import TsfarmError

T = TypeVar("T", bound=msgspec.Struct)

FOUND_CHARACTERS = 60  # of a wrong value, in a message
UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
MISSING = re.compile(r"Object missing required field `(.*?)`")
PLACE = re.compile(r" - at `(key` in `)?\$(.*)`$")
STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def read_toml(path: Path, error: type[TsfarmError]) -> dict[str, Any]:
    """Raises `error`."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as failed:
        raise error(f"{path}: cannot be read: {failed.strerror}") from None
    except UnicodeDecodeError as failed:
        raise error(f"{path}: expected UTF-8 text; byte {failed.start} is none") from None
    except tomllib.TOMLDecodeError as failed:
        raise error(f"{path}: expected TOML: {failed}") from None


def checked(raw: object, kind: type[T], where: str, error: type[TsfarmError]) -> T:
    """`raw`, tables and lists as TOML has them, as a `kind`. Raises `error`, which begins with
    `where`."""
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as failed:
        raise error(f"{where}: {_explain(str(failed), raw, kind)}") from None


def instead(name: str, known: Sequence[str]) -> str:
    """What the writer of an unknown `name` may have meant."""
    if close := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    return f"expected one of {', '.join(known)}"


def _explain(complaint: str, raw: Any, kind: type[msgspec.Struct]) -> str:
    """A complaint of msgspec in plain words; its text tells the place and the kind of mistake."""
    place = PLACE.search(complaint)
    key, found, expected = _follow(place[2] if place else "", raw, inspect.type_info(kind))
    if unknown := UNKNOWN.match(complaint):
        return f"{_join(key, unknown[1])}: unknown key; {_known(unknown[1], expected)}"
    if missing := MISSING.match(complaint):
        return f"{_join(key, missing[1])}: missing; expected {_words(_step(expected, missing[1]))}"
    table = _bare(expected)
    if place and place[1] and isinstance(table, inspect.DictType):
        return f"{key}: expected as each key {_words(table.key_type)}, found {_show(list(found))}"
    return f"{key}: expected {_words(expected)}, found {_show(found)}"


def _follow(place: str, value: Any, kind: inspect.Type) -> tuple[str, Any, inspect.Type]:
    """The key, the value and the type at a place like `.key_packs[0].tokens`."""
    key = ""
    for name, index in STEP.findall(place):
        if index == "...":  # a value of a table whose keys are free: the first that does not fit
            name = _misfit(value, _bare(kind))
        value = value[name] if name else value[int(index)]
        kind = _step(kind, name)
        key = _join(key, name) if name else f"{key}[{index}]"
    return key, value, kind


def _misfit(table: dict[str, Any], kind: inspect.Type) -> str:
    assert isinstance(kind, inspect.DictType)
    expected = _bare(kind.value_type)
    assert isinstance(expected, inspect.StructType)
    for name, value in table.items():
        try:
            msgspec.convert(value, expected.cls, strict=True)
        except msgspec.ValidationError:
            return name
    raise AssertionError("every value fits")


def _step(kind: inspect.Type, name: str) -> inspect.Type:
    """The type of a field, of a table's value, or of a list's element."""
    match _bare(kind):
        case inspect.StructType(fields=fields):
            return next(field.type for field in fields if field.name == name)
        case inspect.DictType(value_type=value):
            return value
        case inspect.VarTupleType(item_type=item):
            return item
    raise AssertionError(f"no step into {kind}")


def _bare(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):  # something, or absent
        return _bare(next(one for one in kind.types if not isinstance(one, inspect.NoneType)))
    return kind


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _known(name: str, kind: inspect.Type) -> str:
    expected = _bare(kind)
    assert isinstance(expected, inspect.StructType)
    return instead(name, [field.name for field in expected.fields])


def _words(kind: inspect.Type) -> str:
    described = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    meaning = f" ({described['description']})" if described else ""
    return _type_words(_bare(kind)) + meaning


def _type_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType():
            return f"text{_length(kind, 'characters')}{_pattern(kind)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.VarTupleType():
            return f"a list{_length(kind, 'elements')}"
        case _:
            return "a table"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None:
        return f" above {kind.gt}, at most {kind.le}"
    return "" if kind.ge is None else f" from {kind.ge} to {kind.le}"


def _length(kind: inspect.StrType | inspect.VarTupleType, unit: str) -> str:
    if kind.max_length is None:
        return "" if not kind.min_length else f" of at least {kind.min_length} {unit}"
    return f" of {kind.min_length or 0} to {kind.max_length} {unit}"


def _pattern(kind: inspect.StrType) -> str:
    return "" if kind.pattern is None else " that match " + kind.pattern.replace(r"\Z", "$")


def _show(found: Any) -> str:
    shown = json.dumps(found, default=str, ensure_ascii=False)
    return shown if len(shown) <= FOUND_CHARACTERS else shown[:FOUND_CHARACTERS] + "…"
