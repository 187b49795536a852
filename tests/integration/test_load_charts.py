from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from clients.load.measuring.results import Result
from clients.load.report import charts
from clients.load.report.charts import Chart
from tests.unit.clients.load.samples import failed_step, point, result, second, step

SVG = "{http://www.w3.org/2000/svg}"


def groups(chart: Chart, first_class: str) -> list[Element]:
    found = ElementTree.fromstring(chart.svg).iter(f"{SVG}g")
    return [group for group in found if group.get("class", "").split(" ")[0] == first_class]


def lines(chart: Chart, classes: str) -> list[str]:
    """The paths of the lines with these classes; empty for one that has only dots."""
    found = [line for line in groups(chart, "line") if line.get("class") == f"line {classes}"]
    paths = [line.find(f"{SVG}path") for line in found]
    return [path.attrib["d"] for path in paths if path is not None]


def dots(chart: Chart, classes: str) -> int:
    found = [line for line in groups(chart, "line") if line.get("class") == f"line {classes}"]
    return sum(len(list(line.iter(f"{SVG}use"))) for line in found)


def tooltips(chart: Chart) -> list[str]:
    return [str(strip.findtext(f"{SVG}title")) for strip in groups(chart, "strip")]


def heights(path: str) -> list[float]:
    """Of each point of a path that is not closed, from the upper edge."""
    numbers = path.replace("M", " ").replace("L", " ").split()
    return [float(number) for number in numbers[1::2]]


def marks(chart: Chart) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(chart.svg).iter(f"{SVG}text")]


def run(*counts: int) -> Result:
    timeline = [point(float(at), logon=second(count)) for at, count in enumerate(counts)]
    return result(timeline=timeline)


def test_a_rate_is_drawn_from_zero_upwards() -> None:
    [path] = lines(charts.rate(run(0, 40, 98)), "step-1")
    zero, middle, top = heights(path)
    assert zero == charts.HEIGHT - charts.BOTTOM
    assert (zero - middle) / (zero - top) == pytest.approx(40 / 98, abs=0.01)
    assert top > charts.TOP


def test_the_axes_are_marked_with_round_numbers_clock_times_and_nines() -> None:
    rate, latency, percentiles = charts.charts(run(*[98] * 60))
    assert {"0", "20", "100", "per second", "00:10", "00:50"} <= set(marks(rate))
    assert {"20 ms", "latency"} <= set(marks(latency))
    assert {"0 %", "50 %", "99.9 %", "1 s", "percentile"} <= set(marks(percentiles))


def test_a_point_of_several_seconds_counts_for_one() -> None:
    [told] = tooltips(charts.rate(result(timeline=[point(0.0, seconds=8.0, logon=second(400))])))
    assert told == "00:00 to 00:08\nlogon 50.0/s\nin flight 7"


def test_failures_and_drops_of_all_steps_are_drawn_only_where_they_were() -> None:
    timeline = [
        point(0.0, logon=second(10)),
        point(1.0, dropped=4, logon=second(10, failed=2), roam=second(5, failed=1)),
    ]
    rate = charts.rate(result(steps=[step("logon"), step("roam")], timeline=timeline))
    assert dots(rate, "failed") == dots(rate, "dropped") == 1
    assert tooltips(rate) == [
        "00:00 to 00:01\nlogon 10.0/s\nroam 0/s\nin flight 7",
        "00:01 to 00:02\nlogon 10.0/s\nroam 5.0/s\nfailed 3.0/s\ndropped 4.0/s\nin flight 7",
    ]
    assert dots(charts.rate(run(10, 10)), "failed") == 0


def test_latencies_break_where_nothing_succeeded() -> None:
    latency = charts.latency(run(10, 10, 0, 10, 10))
    p50, p99 = lines(latency, "step-1")
    assert (p99.count("M"), p50.count("M")) == (2, 2)
    assert heights(p99)[0] < heights(p50)[0]
    assert tooltips(latency)[1:3] == [
        "00:01 to 00:02\nlogon p50 12.0 ms, p99 30.0 ms, max 60.0 ms",
        "00:02 to 00:03",
    ]


def test_a_run_of_a_second_is_a_dot() -> None:
    rate = charts.rate(run(10))
    assert [path.count("L") for path in lines(rate, "step-1")] in ([], [0])
    assert dots(rate, "step-1") == 1


def test_a_long_run_has_at_most_as_many_tooltips_as_a_pointer_can_reach() -> None:
    timeline = [point(float(at), logon=second(10 + at % 3)) for at in range(1000)]
    rate = charts.rate(result(timeline=timeline))
    told = tooltips(rate)
    assert len(told) == 200
    assert told[-1].startswith("16:35 to 16:36\n")


def test_a_percentile_curve_has_a_tooltip_for_each_of_its_points() -> None:
    percentiles = charts.percentiles(result(steps=[step("logon"), step("roam")]))
    assert [len(lines(percentiles, f"step-{n}")) for n in (1, 2)] == [1, 1]
    told = tooltips(percentiles)
    assert "99.9 % took at most\nlogon 82.0 ms\nroam 82.0 ms" in told
    assert told[-1] == "100 % took at most\nlogon 1.25 s\nroam 1.25 s"


def test_nothing_is_drawn_of_what_did_not_happen() -> None:
    timeline = [point(0.0, logon=second(0, failed=9, p50=0, p99=0))]
    failed = result(steps=[failed_step("logon", {"UNREACHABLE": 9})], timeline=timeline)
    rate, latency, percentiles = charts.charts(failed)
    assert dots(rate, "failed") == 1
    assert (latency.svg, percentiles.svg) == ("", "")
    assert [chart.svg for chart in charts.charts(result(steps=[]))] == ["", "", ""]


def test_a_chart_names_the_elements_that_title_and_describe_it() -> None:
    for chart in charts.charts(run(10, 20)):
        drawn = ElementTree.fromstring(chart.svg)
        assert drawn.get("role") == "img"
        assert drawn.get("aria-labelledby") == f"{chart.name}-title {chart.name}-description"


def test_equal_results_make_equal_charts() -> None:
    assert charts.rate(run(10, 20)) == charts.rate(run(10, 20))
