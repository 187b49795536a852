from __future__ import annotations

import pytest

from clients.load.measuring.results import CheckResult, ThresholdResult
from clients.load.report import findings
from tests.unit.clients.load.samples import NOTHING, failed_step, generator, result, step

PASSED = ThresholdResult("p99(logon) < 200ms", 31.0, "ms", True)
KEPT = CheckResult("one session", True, "")
MISSED = ThresholdResult("errors < 0.1%", 0.2, "%", False)


def test_the_most_frequent_code_comes_first_with_all_its_steps() -> None:
    steps = [
        step("logon", {"LOGON_BUSY": 2, "UNANSWERED": 3}),
        step("roam", {"LOGON_BUSY": 12, "NO_LICENSE": 3}),
    ]
    counts = findings.errors_by_code(steps)
    assert list(counts) == ["LOGON_BUSY", "NO_LICENSE", "UNANSWERED"]
    assert findings.where(counts["LOGON_BUSY"]) == "roam 12, logon 2"


def test_a_code_has_its_meaning_and_an_unknown_one_none() -> None:
    assert findings.meaning_of("NO_LICENSE") == "no license token is left for this device"
    assert findings.meaning_of("OF_TOMORROW") == ""


@pytest.mark.parametrize(
    ("measured", "unit", "shown"),
    [
        (None, "ms", "never happened"),
        (31.0, "ms", "31 ms"),
        (200.04, "ms", "200.04 ms"),
        (99.97, "/s", "99.97/s"),
        (12345, "", "12,345"),
        (0.12345678, "%", "0.12346 %"),
    ],
)
def test_a_measured_value_is_exact_enough_to_differ_from_its_bound(
    measured: float | None, unit: str, shown: str
) -> None:
    assert findings.measured(ThresholdResult("x", measured, unit, False)) == shown


def test_what_was_dropped_is_told_with_its_share_of_all_arrivals() -> None:
    assert findings.dropped(result(dropped=0)) == ""
    assert findings.dropped(result(begun=99, dropped=1)).startswith(
        "1 arrival (1.00 %) was dropped"
    )
    assert findings.dropped(result(begun=98, dropped=2)).startswith("2 arrivals (2.00 %) were dr")


def test_a_verdict_is_given_only_where_something_was_asked() -> None:
    broken, unknown = CheckResult("one", False, ""), CheckResult("two", None, "")
    assert findings.verdict(result()) == ""
    assert findings.verdict(result(thresholds=[PASSED], checks=[unknown])) == "passed"
    assert findings.verdict(result(thresholds=[PASSED], complete=False)) == "passed so far"
    assert findings.verdict(result(thresholds=[PASSED, MISSED])) == "FAILED: 1 threshold missed"
    both = result(thresholds=[MISSED, MISSED], checks=[broken])
    assert findings.verdict(both) == "FAILED: 2 thresholds missed, 1 rule broken"


def test_a_run_in_which_nothing_succeeded_has_failed_whatever_was_asked_of_it() -> None:
    failed = result(steps=[failed_step("logon", {"UNREACHABLE": 3})], checks=[KEPT])
    assert (failed.passed, findings.verdict(failed)) == (False, "FAILED: no step succeeded")


def test_failures_without_a_threshold_are_not_called_a_pass() -> None:
    some = result(steps=[step("logon", {"UNREACHABLE": 3})], checks=[KEPT])
    assert some.passed
    said = "no rule broken; 3 steps failed: a --threshold says how many may"
    assert findings.verdict(some) == said
    assert findings.verdict(result(checks=[KEPT])) == "passed"


def test_of_what_was_never_measured_nothing_is_said_but_that() -> None:
    given_up = result(seconds=0.0, warm_up_seconds=3.0, complete=False, steps=[], checks=[KEPT])
    assert findings.cut_short(given_up) == "stopped before anything was measured"
    assert findings.ran(given_up) == "0.0 s"
    assert findings.verdict(given_up) == ""


def test_a_warm_up_is_told_beside_what_was_measured() -> None:
    assert findings.ran(result()) == "60.0 s"
    assert findings.ran(result(warm_up_seconds=3.0)) == "60.0 s, after a warm-up of 3.0 s"


def test_the_generator_tells_how_late_and_how_busy_it_was() -> None:
    one = result(generator=generator(workers=1, busy=0.996))
    assert findings.workers(one) == "1 worker, busy 100 % of a core"
    assert findings.workers(result()) == "2 workers, busy 45 % of a core each"
    late = "lateness of arrivals: p50 20 µs, p99 800 µs, max 3.10 ms"
    assert findings.lateness(result()) == late
    idle = result(generator=generator(lateness=NOTHING))
    assert findings.lateness(idle) == "no journey was begun while it measured"
