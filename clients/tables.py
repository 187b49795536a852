"""Rows for people, as a table, or for programs, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from clients.say import show
from tsproto.printable import printable

Row = dict[str, Any]

_UNSAID = re.compile("^(session|product)_|_(name|at)$")  # parts of a name that its heading omits


def plain_row(struct: msgspec.Struct, **more: Any) -> Row:
    """A row's fields as JSON values: bytes in hex, enumerations by their names in lower case.
    `more` goes before them."""
    fields = msgspec.structs.asdict(struct)
    return {**more, **{name: _plain(value) for name, value in fields.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return plain_row(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def print_rows(rows: Sequence[Row], columns: str, as_json: bool) -> None:
    """Prints all fields as JSON, or the `columns` as a table.

    Fields ending in `_at` are Unix times, shown in local time.
    """
    if as_json:
        show(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    names = columns.split()
    cells = [[_heading(name) for name in names]]
    cells += [[_shown(name, row[name]) for name in names] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(names))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        show("  ".join(padded).rstrip())


def _heading(name: str) -> str:
    """`product_version` is VERSION, and `grace_ends_at` GRACE ENDS."""
    return _UNSAID.sub("", name).replace("_", " ").upper()


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at"):
        return when(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value)) if value not in ("", None) else "-"


def when(seconds: int) -> str:
    """A Unix time in local time, to the minute; `-` for none."""
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
