"""Shows a run's progress: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Self, TextIO, TypeAlias

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clients.load.measuring.totals import Glimpse
from clients.load.report import figures
from clients.load.report.tables import failures, steps_table
from tsproto.printable import printable

REDRAW_SECONDS = 0.25
LINE_SECONDS = 5.0  # of the run: a log of an hour has 720 lines
BAR_COLUMNS = 30
HEADINGS = ("per second", "count", "failed", "p50", "p99")


def progress(
    name: str,
    seconds: float,
    stream: TextIO,
    *,
    warm_up_seconds: float = 0.0,
    environment: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """The display that fits `stream`. `seconds` is how long arrivals go on; 0 is unknown."""
    plan = Plan(printable(name), seconds, warm_up_seconds)
    if _is_screen(stream, environment):
        return LiveTable(plan, stream, colour=coloured(stream, environment), clock=clock)
    return PlainLines(plan, stream)


def coloured(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """True for a terminal, unless NO_COLOR (no-color.org) is set."""
    return _is_screen(stream, environment) and not environment.get("NO_COLOR")


def _is_screen(stream: TextIO, environment: Mapping[str, str]) -> bool:
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"


class Plan:
    """The run's length, and how far a glimpse is into it."""

    def __init__(self, name: str, seconds: float, warm_up_seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.warm_up_seconds = warm_up_seconds

    def elapsed(self, glimpse: Glimpse) -> str:
        gone = figures.clock(glimpse.seconds)
        return f"{gone} of {figures.clock(self.seconds)}" if self.seconds else gone

    def phase(self, glimpse: Glimpse) -> str:
        if glimpse.seconds < self.warm_up_seconds:
            return "warming up"
        if self.seconds and glimpse.seconds >= self.seconds and glimpse.in_flight:
            return "waiting for those under way"
        return ""


class PlainLines:
    """One line every LINE_SECONDS, for a log."""

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        self._plan = plan
        self._stream = stream
        self._next_at = LINE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def show(self, glimpse: Glimpse) -> None:
        """Call it as often as there is news."""
        if glimpse.seconds < self._next_at:
            return
        self._next_at = (glimpse.seconds // LINE_SECONDS + 1) * LINE_SECONDS
        phase = self._plan.phase(glimpse)
        parts = [
            f"{self._plan.elapsed(glimpse)}  {self._plan.name}",
            *([phase] if phase else []),
            f"in flight {figures.count(glimpse.in_flight)}",
            f"failed {figures.count(sum(step.failed for step in glimpse.steps))}",
            f"dropped {figures.count(glimpse.dropped)}",
        ]
        for step in glimpse.steps:
            p50, p99 = figures.latency(step.p50), figures.latency(step.p99)
            rate = figures.per_second(step.per_second)
            parts.append(f"{step.step} {rate}/s p50 {p50} p99 {p99}")
        self.line("; ".join(parts))

    def line(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class LiveTable:
    """A table that is redrawn in its place; it vanishes at the end, for the summary follows."""

    def __init__(
        self, plan: Plan, stream: TextIO, *, colour: bool, clock: Callable[[], float]
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._drawn_at = -inf
        self._console = Console(
            file=stream, force_terminal=True, no_color=not colour, highlight=False, markup=False
        )
        # Redrawn by `show`, not by rich's thread: an unchanged table is left alone.
        self._live = Live(
            Text(f"{plan.name}: getting ready"),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.stop()

    def show(self, glimpse: Glimpse) -> None:
        now = self._clock()
        if now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        drawn = Group(self._elapsed(glimpse), _counters(glimpse), _steps(glimpse))
        self._live.update(drawn, refresh=True)

    def line(self, text: str) -> None:
        self._console.print(printable(text), soft_wrap=True, emoji=False)

    def _elapsed(self, glimpse: Glimpse) -> Table:
        seconds = self._plan.seconds
        row = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(
            seconds, min(glimpse.seconds, seconds), width=BAR_COLUMNS, complete_style="green"
        )
        row.add_row(
            Text(self._plan.name, style="bold"),
            self._plan.elapsed(glimpse),
            *([bar] if seconds else []),
            Text(self._plan.phase(glimpse), style="dim"),
        )
        return row


Progress: TypeAlias = PlainLines | LiveTable


def _counters(glimpse: Glimpse) -> Text:
    late = figures.latency(glimpse.lateness_p99_ms)
    return Text("  ").join(
        (
            Text(f"in flight {figures.count(glimpse.in_flight)}"),
            Text(
                f"dropped {figures.count(glimpse.dropped)}",
                style="yellow" if glimpse.dropped else "",
            ),
            Text(f"generator late {late} (p99), busy {100 * glimpse.busy:.0f} %\n", style="dim"),
        )
    )


def _steps(glimpse: Glimpse) -> Table:
    rows = (
        (
            step.step,
            figures.per_second(step.per_second),
            figures.count(step.count),
            failures(step.failed),
            figures.latency(step.p50),
            figures.latency(step.p99),
        )
        for step in glimpse.steps
    )
    return steps_table(HEADINGS, rows)
