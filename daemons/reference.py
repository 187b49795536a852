"""Writes EVENTS.md from `daemons.events`: `python -m daemons.reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from daemons import events
from daemons.events import Event, Level
from tsproto.reference import shapes
from tsproto.reference.markdown import docstring, table

EVENTS_MD = Path(__file__).with_name("EVENTS.md")
SECTION = re.compile(r"^# --- (.+?) -+$", re.MULTILINE)
INTRODUCTION = f"""\
# Events

Generated from `events.py` by `make generate`; do not edit.

A daemon writes one line to its log for each event: a JSON object, or text on a terminal. Events
below `log.level` of the configuration are left out. Alert on `{Level.WARNING.name.lower()}` and
above: an operator must look.

| field | type | meaning |
|---|---|---|
| `timestamp` | text | UTC, as ISO 8601 writes it, to the microsecond |
| `level` | text | {", ".join(level.name.lower() for level in Level)} |
| `event` | text | the name, `noun.verb` |
| `event_id` | number | id of the event that Windows Server 2003 logs for the same fact, if any |

The fields of each event follow. One that is marked *optional* is left out while it is empty. Bytes
are shown as hexadecimal digits, codes by their names.
"""


def sections() -> Iterator[tuple[str, list[type[Event]]]]:
    """The events under the headings of their file, in its order."""
    _, *parts = SECTION.split(inspect.getsource(events))
    for title, source in zip(parts[::2], parts[1::2], strict=True):
        names = re.findall(r"^class (\w+)\(", source, re.MULTILINE)
        classes: list[type[Event]] = [getattr(events, name) for name in names]
        yield title, [kind for kind in classes if not kind.__subclasses__()]


def render() -> str:
    lines = [INTRODUCTION]
    for title, kinds in sections():
        lines += [f"## {title[0].upper()}{title[1:]}", ""]
        for kind in kinds:
            lines += _event(kind)
    return "\n".join(lines)


def _event(kind: type[Event]) -> list[str]:
    number = f", event id {kind.number}" if kind.number else ""
    head = f"### `{kind.__struct_config__.tag}` ({kind.level.name.lower()}{number})"
    return [head, "", docstring(kind), "", *_fields(kind)]


def _fields(kind: type[Event]) -> list[str]:
    rows = [
        (
            f"`{field.name}`",
            _type_words(field.type) + ("" if field.required else ", optional"),
            meaning_of(kind, field),
        )
        for field in msgspec.structs.fields(kind)
    ]
    return [table(("field", "type", "meaning"), rows), ""] if rows else []


def meaning_of(kind: type[Event], field: msgspec.structs.FieldInfo) -> str:
    """The comment beside the field in the class that declares it, else its type's description."""
    declaring = next(base for base in kind.__mro__ if field.name in inspect.get_annotations(base))
    return shapes.meaning(declaring, field)


def _type_words(hint: Any) -> str:
    if get_origin(hint) in (list, tuple):
        return "list of text"
    if get_args(hint):  # Annotated
        return _type_words(get_args(hint)[0])
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return "name"
    return {str: "text", bytes: "hex", bool: "true or false"}.get(hint, "number")


if __name__ == "__main__":
    EVENTS_MD.write_text(render(), encoding="utf-8")
