"""The comparison as an aligned table for a terminal, or as Markdown for bench/README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.results import Row, Spread

COLUMNS = ("bench", "case", "figure", "ours", "beside", "ratio", "aim", "met")

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


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


def write_readme(rows: Sequence[Row], date: str, command: str, machine: Mapping[str, str]) -> None:
    """Write the table into bench/README.md, between its two marks."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    described = "; ".join(f"{name} {value}" for name, value in machine.items())
    measured = f"Measured {date} with `{command}` on: {described}."
    README.write_text(f"{before}{BEGIN}\n{measured}\n\n{markdown(rows)}\n{END}{after}")


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
