from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pyte
import pytest

from clients.load.measuring.totals import Glimpse, GlimpseOfStep
from clients.load.report.progress import Progress, coloured
from clients.load.report.progress import progress as made

LOGON = GlimpseOfStep(step="logon", per_second=99.8, count=1200, failed=0, p50=12.34, p99=31.0)
XTERM = {"TERM": "xterm"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def rows(self) -> list[str]:
        """What it shows of all that was written to it."""
        screen = pyte.Screen(80, 24)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return [row.rstrip() for row in screen.display if row.strip()]


@pytest.fixture(autouse=True)
def size_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def glimpse(seconds: float, **fields: Any) -> Glimpse:
    sample: dict[str, Any] = {
        "begun": 1230,
        "finished": 1200,
        "dropped": 0,
        "in_flight": 30,
        "steps": [LOGON],
        "lateness_p99_ms": 0.31,
        "busy": 0.45,
    }
    return Glimpse(seconds=seconds, **(sample | fields))


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much each time that it is looked at."""
    looks = iter(range(1000))
    return lambda: next(looks) * seconds


def progress(
    stream: io.StringIO, environment: Mapping[str, str] = XTERM, **options: Any
) -> Progress:
    options = {"seconds": 60.0, "clock": ticking(1.0), **options}
    return made("storm", stream=stream, environment=environment, **options)


# --- on a terminal --------------------------------------------------------------------------------


def test_a_terminal_shows_the_newest_figures_in_one_place() -> None:
    terminal = Terminal()
    with progress(terminal) as shown:
        assert terminal.rows() == ["storm: getting ready"]
        shown.show(glimpse(1.0, steps=[]))
        shown.show(glimpse(30.0))
        assert terminal.rows() == [
            "storm  00:30 of 01:00  ━━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━",
            "in flight 30  dropped 0  generator late 310 µs (p99), busy 45 %",
            "step   per second  count  failed      p50      p99",
            "logon        99.8  1,200       0  12.3 ms  31.0 ms",
        ]


def test_in_the_end_nothing_is_left_but_what_happened() -> None:
    terminal = Terminal()
    with progress(terminal) as shown:
        shown.show(glimpse(1.0))
        shown.line("worker 2 says [no] :smile:\x1b[2J")
        assert terminal.rows()[:2] == [
            "worker 2 says [no] :smile:\\u001b[2J",
            "storm  00:01 of 01:00  ╸━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
        ]
    assert terminal.rows() == ["worker 2 says [no] :smile:\\u001b[2J"]
    hidden, shown_again = "\x1b[?25l", "\x1b[?25h"
    assert terminal.getvalue().rindex(shown_again) > terminal.getvalue().rindex(hidden)


def test_it_is_drawn_four_times_a_second_at_most() -> None:
    terminal = Terminal()
    with progress(terminal, clock=ticking(0.1)) as shown:
        for second in range(10):
            shown.show(glimpse(float(second)))
        assert terminal.getvalue().count("generator late") == 4


def test_what_a_run_waits_for_is_told() -> None:
    terminal = Terminal()
    with progress(terminal, warm_up_seconds=5.0) as shown:
        shown.show(glimpse(4.9))
        assert terminal.rows()[0].endswith("  warming up")
        shown.show(glimpse(5.0))
        assert terminal.rows()[0].endswith("━")
        shown.show(glimpse(60.0))
        assert terminal.rows()[0].endswith("  waiting for those under way")


def test_only_the_steps_names_give_way_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    name = "a-step-of-a-long-name-that-no-terminal-has-room-for"
    long = GlimpseOfStep(step=name, per_second=1, count=1, failed=0, p50=1.0, p99=1.0)
    with progress(terminal) as shown:
        shown.show(glimpse(1.0, steps=[long]))
        row = "a-step-of-a-lo…         1.0      1       0  1.00 ms  1.00 ms"
        assert terminal.rows()[-1] == row


def test_no_colour_where_none_is_wanted() -> None:
    failed = GlimpseOfStep(step="logon", per_second=1, count=1, failed=3, p50=1.0, p99=1.0)
    colours = []
    for environment in (XTERM, {**XTERM, "NO_COLOR": "1"}):
        terminal = Terminal()
        with progress(terminal, environment) as shown:
            shown.show(glimpse(1.0, steps=[failed], dropped=1))
        colours.append("\x1b[1;31m3" in terminal.getvalue() or "\x1b[33m" in terminal.getvalue())
    assert colours == [True, False]


# --- elsewhere ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "environment"),
    [(io.StringIO(), XTERM), (Terminal(), {"TERM": "dumb"}), (Terminal(), {})],
)
def test_elsewhere_a_plain_line_is_written_every_five_seconds_of_the_run(
    stream: io.StringIO, environment: Mapping[str, str]
) -> None:
    with progress(stream, environment) as shown:
        for second in (1.0, 4.9, 5.1, 6.0, 9.9, 10.0, 21.0, 24.0, 25.0):
            shown.show(glimpse(second))
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "00:05 of 01:00  storm; in flight 30; failed 0; dropped 0;"
        " logon 99.8/s p50 12.3 ms p99 31.0 ms"
    )
    assert [line[:5] for line in lines] == ["00:05", "00:10", "00:21", "00:25"]


def test_a_run_of_unknown_length_shows_what_has_gone() -> None:
    stream = io.StringIO()
    with progress(stream, seconds=0.0) as shown:
        shown.show(glimpse(5.0))
        shown.line("it happened")
    assert stream.getvalue().startswith("00:05  storm; ")
    assert stream.getvalue().endswith("\nit happened\n")


def test_only_a_terminal_has_colour() -> None:
    assert coloured(Terminal(), XTERM)
    assert coloured(Terminal(), {**XTERM, "NO_COLOR": ""})
    assert not coloured(Terminal(), {**XTERM, "NO_COLOR": "1"})
    assert not coloured(Terminal(), {"TERM": "dumb"})
    assert not coloured(io.StringIO(), XTERM)


def test_help_is_printed_without_the_libraries_of_reports() -> None:
    told = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from clients.load.command import load\n"
        "assert 'SCENARIO' in CliRunner().invoke(load, ['--help']).stdout\n"
        "print([name for name in ('rich', 'jinja2', 'matplotlib') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
