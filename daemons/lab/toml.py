"""Writes TOML, which the standard library only reads: JSON's strings, numbers and booleans are
TOML's as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml(tables: Mapping[str, Any]) -> str:
    """A line for every key; tables within stand inline."""
    return "".join(f"{json.dumps(key)} = {_inline(value)}\n" for key, value in tables.items())


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)
