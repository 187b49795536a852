"""What a field is written as and what it means: type, bounds with their units, default."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from enum import Enum, IntEnum
from itertools import takewhile
from textwrap import dedent
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from tsproto import messages
from tsproto.discovery import Scope
from tsproto.errors import ErrorCode
from tsproto.messages import Message
from tsproto.reference.markdown import table

NAMED_TYPES = {
    name: found for name, found in vars(messages).items() if get_origin(found) is Annotated
}
_CLASSES = [found for found in vars(messages).values() if isinstance(found, type)]
ENUMERATIONS: list[type[IntEnum]] = [
    *(found for found in _CLASSES if issubclass(found, IntEnum) and found is not IntEnum),
    Scope,
]
_STRUCTS = [found for found in _CLASSES if issubclass(found, msgspec.Struct)]
ROWS = [
    found
    for found in _STRUCTS
    if found.__struct_config__.array_like and not issubclass(found, Message)
]
TYPE_WORDS: dict[object, str] = {int: "integer", str: "text", bytes: "bytes", bool: "boolean"}
UNITS: dict[object, str] = {str: " characters", bytes: " bytes", list: " rows"}


def fields(struct: type[msgspec.Struct], first: int) -> str:
    """The table of a struct's fields, numbered by their places in its array from `first`."""
    own = [field for field in msgspec.structs.fields(struct) if field.name != "request_id"]
    if not own:
        return "No fields."
    lines = [
        (
            place,
            f"`{field.name}`",
            _named(field.type),
            ", ".join(_bounds(field.type)) or "-",
            default(field),
            meaning(struct, field),
        )
        for place, field in enumerate(own, first)
    ]
    return table(("at", "field", "type", "bounds", "default", "meaning"), lines)


def meaning(struct: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> str:
    """The comment beside the field, else the description of its type."""
    return _comments_of(struct).get(field.name) or _described(field.type)


@functools.cache
def _comments_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    return comments(inspect.getsource(struct))


def comments(source: str) -> dict[str, str]:
    """What the source of a class or module says of each name that it declares: the comment behind
    the declaration, or the one above it. What a function declares within is no part of it."""
    source = dedent(source)
    lines = source.splitlines()
    body = ast.parse(source).body
    said: dict[str, str] = {}
    for node in body[0].body if body and isinstance(body[0], ast.ClassDef) else body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            above = [*takewhile(lambda line: line.strip()[:1] == "#", lines[node.lineno - 2 :: -1])]
            behind = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset :]
            parts = [line.strip().removeprefix("#").strip() for line in [*above[::-1], behind]]
            said[ast.unparse(target)] = " ".join(filter(None, parts))
    return said


def named_types() -> str:
    lines = [
        (f"`{name}`", _type(found), ", ".join(_bounds(found)) or "-", _described(found))
        for name, found in sorted(NAMED_TYPES.items())
    ]
    return table(("type", "written as", "bounds", "meaning"), lines)


def enumerations() -> str:
    lines = [
        (f"`{found.__name__}`", ", ".join(f"{member.value} {member.name}" for member in found))
        for found in ENUMERATIONS
        if found is not ErrorCode
    ]
    return table(("type", "numbers"), [*lines, ("`ErrorCode`", "see [Error codes](#error-codes)")])


def default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if isinstance(field.default, Enum):
        return field.default.name
    return "empty" if field.default in ("", b"") else f"{field.default}".lower()


def _named(hint: object) -> str:
    """How it is written, and the named type that says what it means everywhere."""
    bare, _ = parts(hint)
    elements = get_args(bare) if get_origin(bare) is list else (hint,)
    name = next((name for name, found in NAMED_TYPES.items() if found == elements[0]), "")
    return f"{_type(hint)}, `{name}`" if name else _type(hint)


def _type(hint: object) -> str:
    bare, _ = parts(hint)
    if get_origin(bare) is list:
        return f"list of {_type(get_args(bare)[0])}"
    if get_origin(bare) is Literal:
        return f"{get_args(bare)[0]!r}".replace("'", "`")
    if bare in TYPE_WORDS:
        return TYPE_WORDS[bare]
    return f"`{getattr(bare, '__name__', str(bare))}`"


def parts(hint: object) -> tuple[object, list[Meta]]:
    if get_origin(hint) is Annotated:
        bare, *metas = get_args(hint)
        return bare, [meta for meta in metas if isinstance(meta, Meta)]
    return hint, []


def _bounds(hint: object) -> Iterator[str]:
    bare, metas = parts(hint)
    unit = UNITS.get(get_origin(bare) or bare, "")
    for meta in metas:
        if meta.ge is not None and meta.le is not None:
            yield f"{meta.ge} to {meta.le}"
        least, most = meta.min_length or 0, meta.max_length
        if least and least == most:
            yield f"exactly {most}{unit}"
        elif most is not None:
            yield f"{least} to {most}{unit}"
        if meta.pattern is not None:
            yield f"`{meta.pattern.removeprefix('^').removesuffix(chr(92) + 'Z')}`"
    each = ", ".join(_bounds(get_args(bare)[0])) if get_origin(bare) is list else ""
    if each:
        yield f"each {each}"


def _described(hint: object) -> str:
    _, metas = parts(hint)
    return "; ".join(meta.description for meta in metas if meta.description)
