"""Writes the table of a run into bench/README.md, between its two marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def write(rows: str, date: str, command: str, machine: Mapping[str, str]) -> None:
    before, _, rest = FILE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    FILE.write_text(f"{before}{BEGIN}\n{section(rows, date, command, machine)}\n{END}{after}")


def section(rows: str, date: str, command: str, machine: Mapping[str, str]) -> str:
    """The text between the marks."""
    described = "; ".join(f"{name} {value}" for name, value in machine.items())
    return f"Measured {date} with `{command}` on: {described}.\n\n{rows}"
