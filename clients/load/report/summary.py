"""The result as text for a terminal of a hundred columns, the verdict last."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clients.load.measuring.results import Result
from clients.load.report import figures, findings
from clients.load.report.tables import failures, steps_table
from tsproto.printable import printable

COLUMNS = 100
MARK_COLUMNS = 7  # the longest standing of a check, `unknown`
HEADINGS = ("count", "per second", "p50", "p90", "p99", "p99.9", "max", "failed")
GOOD, BAD, DOUBTFUL = "green", "bold red", "yellow"


def summary(result: Result, colour: bool) -> str:
    """Ends with a line break. `colour` puts in ANSI sequences, which take no columns."""
    written = io.StringIO()
    console = Console(
        file=written,
        width=COLUMNS,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    sections = (_head, _steps, _errors, _dropped, _thresholds, _checks, _generator, _verdict)
    drawn = [parts for section in sections if (parts := list(section(result)))]
    for number, parts in enumerate(drawn):
        console.print(*([""] if number else []), *parts, sep="\n")
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


# --- sections: one without parts is left out ------------------------------------------------------


def _head(result: Result) -> Iterator[RenderableType]:
    place = f" on {printable(result.farm)}" if result.farm else ""
    begun = figures.counted(result.begun, "journey")
    finished = figures.count(result.finished)
    yield _heading(f"{printable(result.scenario)}{place}")
    yield f"{begun} begun in {findings.ran(result)}; {finished} finished"


def _steps(result: Result) -> Iterator[RenderableType]:
    if not result.steps:
        yield Text("no step was done", DOUBTFUL)
        return
    rows: list[tuple[str | Text, ...]] = []
    for step in result.steps:
        took = step.latency
        latencies = map(figures.latency, (took.p50, took.p90, took.p99, took.p999, took.max))
        rate = figures.per_second(step.per_second)
        rows.append((step.step, figures.count(step.count), rate, *latencies, failures(step.failed)))
    yield steps_table(HEADINGS, rows)


def _errors(result: Result) -> Iterator[RenderableType]:
    counts = findings.errors_by_code(result.steps)
    if not counts:
        return
    yield _heading("errors")
    rows = _grid()
    rows.columns[0].justify = "right"
    for code, steps in counts.items():
        meaning = findings.meaning_of(code)
        text = f"{code}: {meaning}" if meaning else code
        where = f"{printable(text)}\nat {printable(findings.where(steps))}"
        rows.add_row(failures(steps.total()), where)
    yield _indented(rows)


def _dropped(result: Result) -> Iterator[RenderableType]:
    if text := findings.dropped(result):
        yield Text(text, DOUBTFUL)


def _thresholds(result: Result) -> Iterator[RenderableType]:
    if not result.thresholds:
        return
    yield _heading("thresholds")
    rows = _grid(columns=3)
    for each in result.thresholds:
        mark = Text("passed", GOOD) if each.passed else Text("FAILED", BAD)
        rows.add_row(mark, printable(each.expression), findings.measured(each))
    yield _indented(rows)


def _checks(result: Result) -> Iterator[RenderableType]:
    if not result.checks:
        return
    yield _heading("checks")
    styles = {True: GOOD, False: BAD, None: DOUBTFUL}
    rows = _grid()
    rows.columns[0].min_width = MARK_COLUMNS
    for check in result.checks:
        text = f"{check.rule}: {check.detail}" if check.detail else check.rule
        rows.add_row(Text(findings.standing(check), styles[check.passed]), printable(text))
    yield _indented(rows)


def _generator(result: Result) -> Iterator[RenderableType]:
    if not result.generator.workers:
        return
    yield _heading("generator")
    yield _indented(f"{findings.workers(result)}; {findings.lateness(result)}")
    yield _indented(findings.repeating(result))
    if warning := result.generator.warning:
        yield _indented(Text(f"warning: {printable(warning)}", DOUBTFUL))


def _verdict(result: Result) -> Iterator[RenderableType]:
    if text := findings.cut_short(result):
        yield Text(text, DOUBTFUL)
    if text := findings.verdict(result):
        yield Text(text, GOOD if result.passed else BAD)


# --- parts ----------------------------------------------------------------------------------------


def _heading(text: str) -> Text:
    return Text(text, "bold")


def _grid(columns: int = 2) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        grid.add_column()
    return grid


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))
