"""Messages whose every text commands terminals, reorders, forges lines and hides."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

from tsproto.printable import printable_lines

HOSTILE = "a\x1b[2J\x07\x7f\x9b1m\u061c\u200d\u2028\u202e\u2066\ufeff\r\nb"


def hostile(kind: Any) -> Any:
    """A value of this type whose every text, of rows in it too, is HOSTILE."""
    return _value(inspect.type_info(kind))


def _value(kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata():
            return _value(kind.type)
        case inspect.StrType():
            return HOSTILE
        case inspect.IntType():
            return kind.ge or 0
        case inspect.BoolType():
            return True
        case inspect.BytesType():
            return bytes(kind.min_length or 0)
        case inspect.EnumType():
            return next(iter(kind.cls))
        case inspect.ListType():
            return [_value(kind.item_type)]
        case inspect.StructType():
            return kind.cls(**{field.name: _value(field.type) for field in kind.fields})
    raise TypeError(kind)


def assert_printable(text: str) -> None:
    assert printable_lines(text) == text
    assert len(text.splitlines()) == text.count("\n")
