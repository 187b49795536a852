from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser

import pytest

from clients.load.measuring.results import CheckResult, Result, ThresholdResult
from clients.load.report.page import page
from tests.unit.clients.load.samples import failed_step, generator, point, result, second, step

VOID = ("meta", "link", "input")
NAMESPACES = re.compile(r' xmlns(:xlink)?="http://www\.w3\.org/[^"]*"')  # names, never fetched
OUTSIDE = re.compile(r"https?:|url\((?!#)|@import|src=|<script|<img|<object|<iframe| on\w+=")


class Outline(HTMLParser):
    """The elements of a page, its text by their classes, and whether all were closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())


def rich_run() -> Result:
    return result(
        complete=False,
        dropped=12,
        steps=[step("logon", {"LOGON_BUSY": 10}), failed_step("roam", {"UNANSWERED": 2})],
        thresholds=[
            ThresholdResult("p99(logon) < 200ms", 31.0, "ms", True),
            ThresholdResult("errors < 0.1%", 0.2, "%", False),
        ],
        checks=[CheckResult("tokens conserved", None, "no administrator")],
        generator=generator(warning="add --workers"),
        timeline=[point(float(at), logon=second(), roam=second(0, failed=1)) for at in range(3)],
    )


@cache
def rich_page() -> str:
    return page(rich_run())


def test_everything_that_was_found_is_on_the_page() -> None:
    text = Outline(rich_page()).text
    for said in (
        *("storm on lab", "FAILED: 1 threshold missed", "2023-11-14 22:13:20 UTC"),
        *("6,000", "5,990", "99.8", "12.3 ms", "82.0 ms", "1.25 s"),
        *("LOGON_BUSY", "too many proofs are being checked, or were wrong", "logon 10"),
        *("p99(logon) < 200ms", "31 ms", "passed", "0.2 %", "FAILED"),
        *("tokens conserved", "no administrator", "unknown"),
        *("Rate", "Latency over time", "Latency by percentile", "Add --workers."),
        "Stopped before its end: this is what its first 60.0 s showed.",
        "2 workers, busy 45 % of a core each.",
    ):
        assert said in text


def test_what_was_not_asked_or_did_not_happen_has_no_section() -> None:
    headings = [line for line in page(result()).splitlines() if line.startswith("<h2>")]
    assert headings == [f"<h2>{name}</h2>" for name in ("Steps", "Plots", "Generator")]


def empty_page() -> str:
    return page(result(steps=[], begun=0, finished=0))


@pytest.mark.parametrize("made", [rich_page, empty_page])
def test_a_page_is_whole_and_asks_for_nothing_from_elsewhere(made: Callable[[], str]) -> None:
    source = made()
    outline = Outline(source)
    assert not outline.open
    assert len(outline.ids) == len(set(outline.ids))
    assert not OUTSIDE.search(NAMESPACES.sub("", source))
    assert "default-src 'none'" in source


def test_no_name_becomes_markup() -> None:
    evil = "<script>alert('&')</script>"
    found = result(
        scenario=evil,
        farm=evil,
        steps=[step(evil, {evil: 1})],
        thresholds=[ThresholdResult(evil, 1.0, evil, False)],
        checks=[CheckResult(evil, False, evil + "\x1b")],
        generator=generator(warning=evil),
        timeline=[point(0.0, 0, 1.0, **{evil: second()})],
    )
    outline = Outline(page(found))
    assert "script" not in outline.tags
    assert f"{evil} on {evil}" in outline.text
    assert f"{evil}\\u001b" in outline.text


def test_each_step_can_be_hidden_from_the_plots() -> None:
    source = rich_page()
    assert {"show-1", "show-2"} <= set(Outline(source).ids)
    assert ".plots:has(#show-2:not(:checked)) svg .step-2{display:none}" in source
    assert "#show-3" not in source


def test_dark_colours_are_for_dark_screens_alone() -> None:
    style = page(result()).split("<style>")[1].split("</style>")[0]
    before, dark = style.split("@media screen and (prefers-color-scheme:dark){")
    assert "--c8:#5a5a5a" in before and "--c8:#c4c4c4" in dark
    assert "color-scheme:dark" not in before


def test_the_ninth_step_has_the_first_ones_colour() -> None:
    source = page(result(steps=[step(f"step {number}") for number in range(9)]))
    assert ".step-1{color:var(--c1)}" in source
    assert ".step-8{color:var(--c8)}" in source
    assert ".step-9{color:var(--c1)}" in source


def test_a_run_without_a_success_says_so_where_a_plot_would_be() -> None:
    failed = result(steps=[failed_step("logon", {"UNREACHABLE": 900})], timeline=[])
    assert Outline(page(failed)).text.count("Nothing to draw: no step succeeded.") == 3
    nothing = result(steps=[], begun=0, finished=0)
    assert "No step was done." in Outline(page(nothing)).text
