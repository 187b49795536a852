from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from clients.load.measuring.results import Result
from clients.load.report import plots, svg
from tests.unit.clients.load.samples import failed_step, point, result, second, step


def lines(plot: plots.Plot, classes: str) -> list[str]:
    """The paths of a plot's lines with exactly these classes."""
    found = ElementTree.fromstring(plot.svg).iter("path")
    return [path.attrib["d"] for path in found if path.attrib["class"] == f"line {classes}"]


def tooltips(plot: plots.Plot) -> list[str]:
    return [str(group.findtext("title")) for group in ElementTree.fromstring(plot.svg).iter("g")]


def heights(path: str) -> list[float]:
    return [float(place.split(" ")[1]) for place in path.removeprefix("M").split("L")]


def run(*counts: int) -> Result:
    timeline = [point(float(at), logon=second(count)) for at, count in enumerate(counts)]
    return result(timeline=timeline)


def test_a_rate_is_drawn_from_nothing_upwards() -> None:
    [path] = lines(plots.rate(run(0, 49, 98)), "c1 step-1")
    bottom, middle, top = heights(path)
    assert bottom == svg.TOP + svg.DOWN
    assert bottom - middle == pytest.approx(middle - top, abs=0.11)
    assert top == pytest.approx(svg.TOP + svg.DOWN * 0.02, abs=0.06)


def test_a_point_of_several_seconds_counts_for_one() -> None:
    [told] = tooltips(plots.rate(result(timeline=[point(0.0, seconds=8.0, logon=second(400))])))
    assert told == "00:00 to 00:08\nlogon 50.0/s\nin flight 7"


def test_failures_and_drops_of_all_steps_are_drawn_only_where_they_were() -> None:
    timeline = [
        point(0.0, logon=second(10)),
        point(1.0, dropped=4, logon=second(10, failed=2), roam=second(5, failed=1)),
    ]
    rate = plots.rate(result(steps=[step("logon"), step("roam")], timeline=timeline))
    assert len(lines(rate, "alone failed")) == len(lines(rate, "alone dropped")) == 1
    assert tooltips(rate) == [
        "00:00 to 00:01\nlogon 10.0/s\nroam 0/s\nin flight 7",
        "00:01 to 00:02\nlogon 10.0/s\nroam 5.0/s\nfailed 3.0/s\ndropped 4.0/s\nin flight 7",
    ]
    calm = plots.rate(run(10, 10))
    assert "failed" not in calm.svg.split("</desc>")[1]


def test_latencies_break_where_nothing_succeeded() -> None:
    latency = plots.latency(run(10, 10, 0, 10, 10))
    [p99] = lines(latency, "c1 step-1")
    [p50] = lines(latency, "c1 step-1 lower")
    assert (p99.count("M"), p50.count("M")) == (2, 2)
    assert heights(p99.split("M")[1])[0] < heights(p50.split("M")[1])[0]
    assert tooltips(latency)[1:3] == [
        "00:01 to 00:02\nlogon p50 12.0 ms, p99 30.0 ms, max 60.0 ms",
        "00:02 to 00:03",
    ]


def test_a_run_of_a_second_is_a_dot() -> None:
    rate = plots.rate(run(10))
    assert not lines(rate, "c1 step-1")
    [dot] = lines(rate, "alone c1 step-1")
    assert dot.endswith("h0")


def test_a_long_run_has_as_many_tooltips_as_can_be_pointed_at() -> None:
    rate = plots.rate(run(*[10] * 1000))
    assert len(lines(rate, "c1 step-1")[0].split("L")) == 1000
    assert len(tooltips(rate)) == 200
    strips = ElementTree.fromstring(rate.svg).iter("rect")
    assert sum(float(strip.attrib["width"]) for strip in strips) == pytest.approx(svg.ACROSS, abs=9)


def test_a_percentile_curve_tells_each_of_its_points() -> None:
    percentiles = plots.percentiles(result(steps=[step("logon"), step("roam")]))
    assert [len(lines(percentiles, f"c{n} step-{n}")) for n in (1, 2)] == [1, 1]
    told = tooltips(percentiles)
    assert "logon: 99.9 % within 82.0 ms" in told
    assert "roam: 100 % within 1.25 s" in told


def test_nothing_is_drawn_of_what_did_not_happen() -> None:
    timeline = [point(0.0, logon=second(0, failed=9, p50=0, p99=0))]
    failed = result(steps=[failed_step("logon", {"UNREACHABLE": 9})], timeline=timeline)
    rate, latency, percentiles = plots.plots(failed)
    assert lines(rate, "alone failed")
    assert (latency.svg, percentiles.svg) == ("", "")
    assert [plot.svg for plot in plots.plots(result(steps=[]))] == ["", "", ""]


def test_the_ninth_step_has_the_first_ones_colour_and_a_name_of_its_own() -> None:
    assert plots.classes_of(8) == "c1 step-9"


@pytest.mark.parametrize("plot", plots.plots(run(10, 20)), ids=lambda plot: str(plot.title))
def test_a_plot_is_named_and_described_for_who_does_not_see_it(plot: plots.Plot) -> None:
    drawn = ElementTree.fromstring(plot.svg)
    named = {part.attrib["id"]: part for part in drawn if "id" in part.attrib}
    ids = drawn.attrib["aria-labelledby"].split(" ")
    assert drawn.attrib["role"] == "img"
    assert [text_of(named[each]) for each in ids] == [plot.title, plot.description]


def text_of(element: Element) -> str:
    return element.text or ""
