"""How a run is getting on: a live table on a terminal, a line now and then elsewhere.

Only `tsfarm load` imports this: `rich` takes as long to import as the rest of the command line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clients.load.measuring.totals import Glimpse, GlimpseOfStep
from clients.load.report import figures
from clients.say import printable

REDRAW_SECONDS = 0.25
LINE_SECONDS = 5.0  # of the run: a log of an hour has 720 lines
BAR_COLUMNS = 30
HEADINGS = ("per second", "count", "failed", "p50", "p99")


class Display(Protocol):
    def open(self) -> None: ...

    def show(self, glimpse: Glimpse) -> None: ...

    def line(self, text: str) -> None: ...

    def close(self) -> None: ...


class Progress:
    """A context in which a run is shown. `seconds` is how long arrivals go on; 0 is not known.

    What is shown on a terminal vanishes at the context's end, and leaves it to the summary.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        stream: TextIO,
        *,
        warm_up_seconds: float = 0.0,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        plan = Plan(printable(name), seconds, warm_up_seconds)
        self._display: Display = PlainLines(plan, stream)
        if _is_screen(stream, environment):
            colour = coloured(stream, environment)
            self._display = LiveTable(plan, stream, colour=colour, clock=clock)

    def __enter__(self) -> Self:
        self._display.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._display.close()

    def show(self, glimpse: Glimpse) -> None:
        """As often as there is news: what is shown changes a few times a second at most."""
        self._display.show(glimpse)

    def line(self, text: str) -> None:
        """Something that happened; it stays above the table."""
        self._display.line(printable(text))


def coloured(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Only a terminal is, and not where NO_COLOR (no-color.org) asks for none."""
    return _is_screen(stream, environment) and not environment.get("NO_COLOR")


def _is_screen(stream: TextIO, environment: Mapping[str, str]) -> bool:
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"


class Plan:
    """What a run will be, and where in it a glimpse is."""

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
    """One line every few seconds, for a log."""

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        self._plan = plan
        self._stream = stream
        self._next_at = LINE_SECONDS

    def open(self) -> None:
        pass

    def show(self, glimpse: Glimpse) -> None:
        if glimpse.seconds < self._next_at:
            return
        self._next_at = (glimpse.seconds // LINE_SECONDS + 1) * LINE_SECONDS
        self.line(self._said(glimpse))

    def _said(self, glimpse: Glimpse) -> str:
        failed = sum(step.failed for step in glimpse.steps)
        phase = self._plan.phase(glimpse)
        steps = [
            f"{printable(step.step)} {figures.per_second(step.per_second)}/s"
            f" p50 {figures.latency(step.p50)} p99 {figures.latency(step.p99)}"
            for step in glimpse.steps
        ]
        parts = [
            f"{self._plan.elapsed(glimpse)}  {self._plan.name}",
            *([phase] if phase else []),
            f"in flight {figures.count(glimpse.in_flight)}",
            f"failed {figures.count(failed)}",
            f"dropped {figures.count(glimpse.dropped)}",
            *steps,
        ]
        return "; ".join(parts)

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        pass


class LiveTable:
    """A table that is drawn anew in its place, and vanishes in the end."""

    def __init__(
        self, plan: Plan, stream: TextIO, *, colour: bool, clock: Callable[[], float]
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._drawn_at = -inf
        self._console = Console(
            file=stream, force_terminal=True, no_color=not colour, highlight=False, markup=False
        )
        # Drawn when there is news, not by a thread of rich's: what has not changed is left alone.
        self._live = Live(
            Text(f"{plan.name}: getting ready"),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def open(self) -> None:
        self._live.start(refresh=True)

    def show(self, glimpse: Glimpse) -> None:
        now = self._clock()
        if now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        drawn = Group(self._elapsed(glimpse), self._figures(glimpse), _table(glimpse.steps))
        self._live.update(drawn, refresh=True)

    def line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, emoji=False)

    def close(self) -> None:
        self._live.stop()

    def _elapsed(self, glimpse: Glimpse) -> Table:
        seconds = self._plan.seconds
        cells: list[Text | ProgressBar] = [
            Text(self._plan.name, style="bold"),
            Text(self._plan.elapsed(glimpse)),
        ]
        if seconds:
            gone = min(glimpse.seconds, seconds)
            cells.append(ProgressBar(seconds, gone, width=BAR_COLUMNS, complete_style="green"))
        cells.append(Text(self._plan.phase(glimpse), style="dim"))
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(*cells)
        return row

    def _figures(self, glimpse: Glimpse) -> Text:
        dropped = f"dropped {figures.count(glimpse.dropped)}"
        late = figures.latency(glimpse.lateness_p99_ms)
        parts = (
            Text(f"in flight {figures.count(glimpse.in_flight)}"),
            Text(dropped, style="yellow" if glimpse.dropped else ""),
            Text(f"generator late {late} (p99), busy {100 * glimpse.busy:.0f} %\n", style="dim"),
        )
        return Text("  ").join(parts)


def _table(steps: Sequence[GlimpseOfStep]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("step", overflow="ellipsis")  # the only one that gives way
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for step in steps:
        table.add_row(
            Text(printable(step.step)),
            figures.per_second(step.per_second),
            figures.count(step.count),
            Text(figures.count(step.failed), style="bold red" if step.failed else ""),
            figures.latency(step.p50),
            figures.latency(step.p99),
        )
    return table
