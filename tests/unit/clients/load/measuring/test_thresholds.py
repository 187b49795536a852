from __future__ import annotations

import pytest

from clients.load.measuring.thresholds import ThresholdError, judge, parse
from clients.load.measuring.totals import Totals
from tests.unit.clients.load.intervals import interval, step


def totals() -> Totals:
    """Four seconds: 99 logons of 10 ms and one of 500, 25 that failed, 40 arrivals of 400 dropped,
    and a roam that never succeeded."""
    run = Totals()
    steps = {"logon": step([10] * 99 + [500], LOGON_FAILED=25), "roam": step(UNREACHABLE=1)}
    run.add(interval(ends_at=4, seconds=4, steps=steps, begun=360, dropped=40))
    return run


def test_a_threshold_is_read_in_its_parts() -> None:
    read = parse(" p99.9( first-visit )<=1.5 s ")
    assert (read.metric, read.step, read.comparison) == ("p99.9", "first-visit", "<=")
    assert (read.bound, read.unit) == (1.5, "s")
    assert read.expression == "p99.9( first-visit )<=1.5 s"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("logons are quick", "as p99(logon) < 200ms or errors < 0.1%"),
        ("errors < -1%", "expected METRIC(STEP) COMPARISON NUMBER UNIT"),
        ("p101(roam) < 5ms", "p101 is no metric; known are p50, p99.9 and the like, mean, max"),
        ("p95 < 5", "write p95(logon) < 5ms"),
        ("latency(roam) < 5ms", "latency is no metric; known are p50, p99.9 and the like"),
        ("p99(roam) < 200", "p99 needs a unit; known are us, ms, s; write p99(roam) < 200ms"),
        ("max(roam) < 2min", "min is no unit of max; known are us, ms, s; write max(roam) < 2ms"),
        ("count(roam) > 5/s", "/s is no unit of count; known are none; write count(roam) > 5"),
        ("mean < 5ms", "mean is of one step; write mean(logon) < 5ms"),
        ("dropped(logon) < 1%", "arrivals are dropped before any step; write dropped < 1%"),
        ("errors != 0", "!= is no comparison; known are <, <=, >, >=, =="),
    ],
)
def test_what_is_no_threshold_is_told_with_what_to_write(expression: str, said: str) -> None:
    with pytest.raises(ThresholdError) as caught:
        parse(expression)
    assert str(caught.value).startswith(f"{expression}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "measured"),
    [
        ("p50(logon) < 1ms", pytest.approx(10, rel=0.001)),
        ("p50(logon) < 1us", pytest.approx(10_000, rel=0.001)),
        ("p99(logon) < 1s", pytest.approx(0.01, rel=0.001)),
        ("p95(logon) < 1s", pytest.approx(0.01, rel=0.001)),
        ("p99.5(logon) < 1s", pytest.approx(0.5, rel=0.001)),
        ("p100(logon) < 1s", pytest.approx(0.5, rel=0.001)),
        ("p99.9(logon) < 1s", pytest.approx(0.5, rel=0.001)),
        ("max(logon) < 1ms", pytest.approx(500, rel=0.001)),
        ("mean(logon) < 1ms", pytest.approx(14.9, rel=0.001)),
        ("count(logon) > 0", 100),
        ("count > 0", 100),
        ("rate(logon) > 0/s", 25),
        ("rate > 0", 25),
        ("errors(logon) < 1%", 20),
        ("errors(logon) < 1", 25),
        ("errors < 1", 26),
        ("errors < 1%", pytest.approx(100 * 26 / 126)),
        ("dropped < 1%", 10),
        ("dropped < 1", 40),
    ],
)
def test_each_metric_is_measured_in_the_unit_that_was_asked(
    expression: str, measured: float
) -> None:
    judged = judge(parse(expression), totals())
    assert judged.measured == measured
    assert judged.expression == expression


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
    ],
)
def test_what_was_measured_stands_left_of_the_comparison(
    comparison: str, below: bool, equal: bool, above: bool
) -> None:
    passed = [
        judge(parse(f"count(logon) {comparison} {bound}"), totals()).passed
        for bound in (101, 100, 99)
    ]
    assert passed == [below, equal, above]


@pytest.mark.parametrize("expression", ["p99(work) < 1s", "errors(work) < 1%", "count(work) == 0"])
def test_a_step_that_never_happened_fails(expression: str) -> None:
    judged = judge(parse(expression), totals())
    assert (judged.measured, judged.passed) == (None, False)


def test_a_step_that_never_succeeded_has_errors_but_no_latency() -> None:
    assert judge(parse("p99(roam) < 1s"), totals()).measured is None
    assert judge(parse("errors(roam) < 1%"), totals()).measured == 100


@pytest.mark.parametrize("expression", ["errors < 1%", "dropped < 1%", "rate >= 0"])
def test_a_run_in_which_nothing_happened_fails(expression: str) -> None:
    assert not judge(parse(expression), Totals()).passed
