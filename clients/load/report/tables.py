"""Tables of steps for a terminal; only the column of names shrinks when there is no room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from clients.load.report import figures
from tsproto.printable import printable


def steps_table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """`headings` are of the columns after the name; those are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("step", overflow="ellipsis")  # may wrap, so that it shrinks first
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, *cells in rows:
        table.add_row(printable(str(name)), *cells)
    return table


def failures(count: int) -> Text:
    return Text(figures.count(count), style="bold red" if count else "")
