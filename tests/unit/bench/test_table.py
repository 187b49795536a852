"""The table as a person reads it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import table
from bench.results import Aim, row

ROWS = [
    row("depth 1", "CPU", "µs", [2.0, 3.0], "Redis", [1.0, 1.0], Aim(1.5)),
    row("depth 1", "requests", "/s", [12345.6], note="not compared"),
]
ROWS = [msgspec.structs.replace(made, bench="echo") for made in ROWS]
DETAIL = msgspec.structs.replace(ROWS[1], is_detail=True, case="detail")


def test_a_table_is_aligned_and_keeps_the_spread() -> None:
    assert table.text([*ROWS, DETAIL]).splitlines() == [
        "bench  case     figure    ours          beside              ratio      aim"
        "                 met",
        "echo   depth 1  CPU       2.5 µs [2–3]  1 µs [1–1] (Redis)  2.5 [2–3]  ≤ 1.5 × the"
        " peer's  no",
        "echo   depth 1  requests  12,346 /s     not compared",
    ]


def test_markdown_has_a_row_for_each_that_is_no_detail() -> None:
    lines = table.markdown([*ROWS, DETAIL]).splitlines()
    assert len(lines) == 4
    assert lines[3] == "| echo | depth 1 | requests | 12,346 /s | not compared |  |  |  |"


def test_the_readme_keeps_what_stands_around_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "README", file)
    table.write_readme([ROWS[1]], "2026-01-02", "python -m bench", {"cores": "2"})
    assert file.read_text() == (
        f"before\n{table.BEGIN}\nMeasured 2026-01-02 with `python -m bench` on: cores 2.\n\n"
        f"{table.markdown([ROWS[1]])}\n{table.END}\nafter\n"
    )
