"""Tables, bytes and docstrings as Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence

BYTES_IN_LINE = 16
# Longer values of an example are cut: tokens and certificates are shown whole elsewhere.
BYTES_SHOWN = 80


def table(titles: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    cells = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in cells)


def docstring(documented: object) -> str:
    """Empty where there is none."""
    return inspect.cleandoc(documented.__doc__ or "")


def annotated(parts: Iterable[tuple[bytes, str]]) -> str:
    """Bytes with what they mean beside them, in the order of the wire."""
    lines = [line for data, meaning in parts for line in _lines(data, meaning)]
    width = max(len(hexadecimal) for hexadecimal, _ in lines)
    return "```\n" + "\n".join(f"{h:<{width}}  {m}".rstrip() for h, m in lines) + "\n```"


def _lines(data: bytes, meaning: str) -> Iterator[tuple[str, str]]:
    shown = data if len(data) <= BYTES_SHOWN else data[:BYTES_IN_LINE]
    for start in range(0, len(shown), BYTES_IN_LINE):
        yield shown[start : start + BYTES_IN_LINE].hex(" "), "" if start else meaning
    if len(shown) < len(data):
        yield f"... {len(data) - len(shown)} more", ""


def words(names: Sequence[str], last: str = "and") -> str:
    """ "a, b and c"; "none" where there is none."""
    *others, final = names or ("none",)
    return f"{', '.join(others)} {last} {final}" if others else final


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")
