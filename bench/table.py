"""The comparison as an aligned table for a terminal, or as Markdown for bench/README.md."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import Row, Spread

COLUMNS = ("bench", "case", "figure", "ours", "beside", "ratio", "aim", "met")


def text(rows: Sequence[Row]) -> str:
    cells = [COLUMNS, *_shown(rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def markdown(rows: Sequence[Row]) -> str:
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *_shown(rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [_cells(row) for row in rows if not row.is_detail]


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "no", None: ""}[row.met]
    theirs = f"{_number(row.beside, row.unit)} ({row.peer})" if row.beside else row.note
    ratio = "" if row.ratio is None else _digits(row.ratio.median) + _range(row.ratio)
    return (
        row.bench,
        row.case,
        row.figure,
        _number(row.ours, row.unit),
        theirs,
        ratio,
        row.aim,
        met,
    )


def _number(value: Spread, unit: str) -> str:
    return f"{_digits(value.median)} {unit}{_range(value)}"


def _range(value: Spread) -> str:
    if value.repetitions == 1:
        return ""
    return f" [{_digits(value.low)}–{_digits(value.high)}]"


def _digits(value: float) -> str:
    """Three significant digits, thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
