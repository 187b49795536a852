"""How a run shows where it is: on a terminal, and where lines are kept."""

from __future__ import annotations

import io

import pytest

from clients.conformance.catalogue import cases_for
from clients.conformance.progress import COLUMNS, QUIET_SECONDS, Progress
from clients.conformance.runner import Result, Verdict
from tsproto.messages import Role

CASE = cases_for(Role.SESSION_DIRECTORY)[0]
PASSED = Result(CASE, Verdict.PASSED)
FAILURE = Result(CASE, Verdict.FAILED, "expected more")
TOLD = f"FAILED  {CASE.id}"


class Stream(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


class Watched:
    """A run whose streams and clock are at hand."""

    def __init__(self, *, out: bool, err: bool, **environment: str) -> None:
        self.out, self.err = Stream(out), Stream(err)
        self.now = 1_000.0
        self.progress = Progress(
            7, self.out, self.err, environment=environment, clock=lambda: self.now
        )

    def fail_one_and_begin(self, id: str) -> tuple[str, str]:
        """What came to `out` and to `err`."""
        self.progress.begins("A-1")
        self.progress.came(FAILURE)
        self.progress.begins(id)
        return self.out.getvalue(), self.err.getvalue()


def test_a_terminal_has_one_line_that_is_written_over() -> None:
    out, err = Watched(out=True, err=True).fail_one_and_begin("B-2")
    assert err == (
        "\r\x1b[K1 of 7, 0 failed: A-1"
        "\r\x1b[K"  # what has failed stands in lines of its own
        "\r\x1b[K2 of 7, \x1b[31m1 failed\x1b[0m: B-2"
    )
    assert out.startswith(f"\x1b[31mFAILED\x1b[0m  {CASE.id}")


def test_no_color_keeps_the_line_and_drops_the_colour() -> None:
    out, err = Watched(out=True, err=True, NO_COLOR="1").fail_one_and_begin("B-2")
    assert err.endswith("\r\x1b[K2 of 7, 1 failed: B-2")
    assert out.startswith(TOLD)
    assert "\x1b[31m" in Watched(out=True, err=True, NO_COLOR="").fail_one_and_begin("B-2")[0]


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}])
def test_where_lines_are_kept_nothing_moves_and_nothing_is_coloured(
    environment: dict[str, str],
) -> None:
    is_terminal = bool(environment)
    out, err = Watched(out=is_terminal, err=is_terminal, **environment).fail_one_and_begin("B-2")
    assert (out.partition("  (")[0], err) == (TOLD, "")


def test_where_lines_are_kept_one_comes_now_and_then() -> None:
    run = Watched(out=False, err=False)
    for id, seconds in (("A-1", 1.0), ("B-2", QUIET_SECONDS - 1.0), ("C-3", 1.0), ("D-4", 1.0)):
        run.now += seconds
        run.progress.begins(id)
        run.progress.came(PASSED)
    assert run.err.getvalue() == "2 of 7, 0 failed: B-2\n"


def test_a_line_is_cut_to_the_terminal() -> None:
    run = Watched(out=True, err=True)
    run.progress.begins("A" * 200)
    shown = run.err.getvalue().removeprefix("\r\x1b[K")
    assert len(shown) == COLUMNS - 1


def test_what_a_person_is_told_to_do_leaves_the_line_below_it() -> None:
    run = Watched(out=True, err=True)
    run.progress.begins("A-1")
    run.progress.tell("connect the client")
    assert run.out.getvalue() == "connect the client\n"
    assert run.err.getvalue().endswith("\r\x1b[K\r\x1b[K1 of 7, 0 failed: A-1")


def test_the_line_is_gone_when_the_run_ends() -> None:
    run = Watched(out=True, err=True)
    run.progress.begins("A-1")
    run.progress.ends()
    assert run.err.getvalue().endswith("A-1\r\x1b[K")
