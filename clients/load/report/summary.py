"""What a run found, as text for a terminal of a hundred columns, the verdict last."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import click

from clients.load.measuring.results import Result, StepResult
from clients.load.report import figures, findings
from clients.say import printable

COLUMNS = 100
STEP_COLUMNS_MIN = 8
HEADINGS = ("step", "count", "per second", "p50", "p90", "p99", "p99.9", "max", "failed")


def summary(result: Result, colour: bool) -> str:
    """Ends with a line break. `colour` puts in ANSI sequences, which take no columns."""
    paint = Paint(colour)
    sections = (_head, _steps, _errors, _dropped, _thresholds, _checks, _generator, _verdict)
    drawn = (list(section(result, paint)) for section in sections)
    return "\n".join("\n".join(lines) + "\n" for lines in drawn if lines)


class Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def heading(self, text: str) -> str:
        return self._styled(text, bold=True)

    def good(self, text: str) -> str:
        return self._styled(text, fg="green")

    def bad(self, text: str) -> str:
        return self._styled(text, fg="red", bold=True)

    def doubtful(self, text: str) -> str:
        return self._styled(text, fg="yellow")

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._colour else text


# --- sections: their lines; without one, a section is left out ------------------------------------


def _head(result: Result, paint: Paint) -> Iterator[str]:
    place = f" on {printable(result.farm)}" if result.farm else ""
    begun = figures.counted(result.begun, "journey")
    finished = figures.count(result.finished)
    yield paint.heading(f"{printable(result.scenario)}{place}")
    yield f"{begun} begun in {findings.ran(result)}; {finished} finished"


def _steps(result: Result, paint: Paint) -> Iterator[str]:
    if not result.steps:
        yield paint.doubtful("no step was done")
        return
    rows = [HEADINGS, *(_row(step) for step in result.steps)]
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = min(first, max(COLUMNS - sum(2 + width for width in others), STEP_COLUMNS_MIN))
    for index, (name, *cells) in enumerate(rows):
        padded = [f"  {cell.rjust(width)}" for cell, width in zip(cells, others, strict=True)]
        *latencies, failed = [_clipped(name, first).ljust(first), *padded]
        line = "".join(latencies)
        if index == 0:
            yield paint.heading(line + failed)
        else:
            yield line + (paint.bad(failed) if result.steps[index - 1].failed else failed)


def _row(step: StepResult) -> tuple[str, ...]:
    took = step.latency
    return (
        printable(step.step),
        figures.count(step.count),
        figures.per_second(step.per_second),
        *map(figures.latency, (took.p50, took.p90, took.p99, took.p999, took.max)),
        figures.count(step.failed),
    )


def _errors(result: Result, paint: Paint) -> Iterator[str]:
    counts = findings.errors_by_code(result.steps)
    if not counts:
        return
    yield paint.heading("errors")
    totals = [figures.count(steps.total()) for steps in counts.values()]
    width = max(map(len, totals))
    for (code, steps), total in zip(counts.items(), totals, strict=True):
        meaning = findings.meaning_of(code)
        said = f"{code}: {meaning}" if meaning else code
        yield from _hanging(f"  {paint.bad(total.rjust(width))}  ", width + 4, said)
        yield from _hanging(" " * (width + 4), width + 4, f"at {findings.where(steps)}")


def _dropped(result: Result, paint: Paint) -> Iterator[str]:
    if said := findings.dropped(result):
        yield from (paint.doubtful(line) for line in _hanging("", 0, said))


def _thresholds(result: Result, paint: Paint) -> Iterator[str]:
    if not result.thresholds:
        return
    yield paint.heading("thresholds")
    width = max(len(each.expression) for each in result.thresholds)
    for each in result.thresholds:
        mark = paint.good("passed") if each.passed else paint.bad("FAILED")
        expression = printable(each.expression).ljust(width)
        yield f"  {mark}  {expression}  {findings.measured(each)}"


def _checks(result: Result, paint: Paint) -> Iterator[str]:
    if not result.checks:
        return
    yield paint.heading("checks")
    colours = {True: paint.good, False: paint.bad, None: paint.doubtful}
    for check in result.checks:
        mark = colours[check.passed](findings.standing(check).ljust(7))
        said = f"{check.rule}: {check.detail}" if check.detail else check.rule
        yield from _hanging(f"  {mark}  ", 11, said)


def _generator(result: Result, paint: Paint) -> Iterator[str]:
    if not result.generator.workers:
        return
    yield paint.heading("generator")
    yield from _hanging("  ", 2, f"{findings.workers(result)}; {findings.lateness(result)}")
    yield f"  {findings.repeating(result)}"
    if warning := result.generator.warning:
        yield from (paint.doubtful(line) for line in _hanging("  ", 2, f"warning: {warning}"))


def _verdict(result: Result, paint: Paint) -> Iterator[str]:
    if said := findings.cut_short(result):
        yield paint.doubtful(said)
    if said := findings.verdict(result):
        yield paint.good(said) if result.passed else paint.bad(said)


# --- lines ----------------------------------------------------------------------------------------


def _clipped(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _hanging(first: str, indent: int, text: str) -> Iterator[str]:
    """`text` within the columns, after `first`, which takes `indent` columns."""
    head, *more = wrap(printable(text), COLUMNS - indent) or [""]
    yield first + head
    yield from (" " * indent + line for line in more)
