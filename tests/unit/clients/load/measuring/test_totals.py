from __future__ import annotations

import random
from typing import Any

import pytest

from clients.load.measuring.measures import Interval
from clients.load.measuring.results import CheckResult, Result, ThresholdResult
from clients.load.measuring.totals import Totals
from clients.load.scenario import Act, Closed, Journey, Open, Scenario, Stage
from tests.unit.clients.load.intervals import interval, step

ARRIVALS = Open(stages=(Stage(1, 1),))
SCENARIO = Scenario(name="storm", open=ARRIVALS, warm_up_seconds=3)
BARE = Scenario(
    name="bare", drives="directory", open=ARRIVALS, journeys=(Journey((Act("place"), Act("end"))),)
)
USERS = Scenario(name="day", closed=Closed(users=1, seconds=1))
FAST, SLOW = {"place": step([0.5])}, {"logon": step([800])}


def added(*intervals: Interval) -> Totals:
    totals = Totals()
    for each in intervals:
        totals.add(each)
    return totals


def result_of(totals: Totals, scenario: Scenario = SCENARIO) -> Result:
    return totals.result(scenario, "lab", 1_700_000_000.0, True, [], [], 7)


def warning(scenario: Scenario = SCENARIO, **given: Any) -> str:
    return result_of(added(interval(**given)), scenario).generator.warning


# --- results --------------------------------------------------------------------------------------


def test_a_result_adds_up_what_all_workers_did() -> None:
    result = result_of(
        added(
            interval(2, 2, worker=0, begun=5, finished=4, dropped=1, steps={"logon": step([10])}),
            interval(2, 2, worker=1, begun=6, finished=5, steps={"logon": step([10, 30])}),
        )
    )
    assert (result.begun, result.finished, result.dropped) == (11, 9, 1)
    assert (result.seconds, result.generator.workers) == (2, 2)
    [logon] = result.steps
    assert (logon.step, logon.count, logon.per_second) == ("logon", 3, 1.5)
    assert logon.latency.p50 == pytest.approx(10, rel=0.001)
    assert logon.latency.max == pytest.approx(30, rel=0.001)
    assert logon.curve[-1] == (100, logon.latency.max)


def test_failures_are_counted_by_code() -> None:
    steps = {"logon": step([10], LOGON_FAILED=2, BUSY=1)}
    [logon] = result_of(added(interval(steps=steps), interval(steps=steps))).steps
    assert (logon.failed, logon.errors) == (6, {"BUSY": 2, "LOGON_FAILED": 4})


def test_the_warm_up_is_no_part_of_the_time_that_was_measured() -> None:
    totals = added(interval(11, 1, steps=SLOW), interval(12, 1, steps=SLOW))
    assert result_of(totals).seconds == 2
    assert result_of(totals).steps[0].per_second == 1
    assert totals.now().seconds == 12


def test_steps_come_in_the_order_of_a_journey_and_its_parts_last() -> None:
    names = ["logoff", "keystroke", "work", "first-visit", "renew"]
    totals = added(interval(steps={name: step([1]) for name in names}))
    assert [each.step for each in result_of(totals).steps] == [
        "first-visit",
        "work",
        "renew",
        "logoff",
        "keystroke",
    ]


def test_a_result_carries_what_it_was_told() -> None:
    missed = ThresholdResult("errors < 1%", 2.0, "%", passed=False)
    kept = CheckResult("never two sessions a user", passed=True, detail="")
    result = Totals().result(SCENARIO, "lab", 17.0, False, [missed], [kept])
    assert (result.scenario, result.farm, result.started_at) == ("storm", "lab", 17.0)
    assert (result.complete, result.thresholds, result.checks) == (False, [missed], [kept])
    assert not result.passed


def test_a_run_that_nobody_measured_has_a_result() -> None:
    result = result_of(Totals())
    assert (result.seconds, result.steps, result.timeline) == (0, [], [])
    assert result.generator.warning == ""


def test_the_order_in_which_intervals_come_changes_nothing() -> None:
    rng = random.Random(1)
    each = [
        interval(at, worker=worker, begun=at, lateness=[at], in_flight=at, cpu_seconds=0.5,
                 steps={"logon": step([rng.expovariate(0.1)], BUSY=at), "work": step([at])})
        for at in range(1, 10)
        for worker in range(3)
    ]  # fmt: skip
    in_order = result_of(added(*each))
    rng.shuffle(each)
    assert result_of(added(*each)) == in_order


# --- progress -------------------------------------------------------------------------------------


def test_a_glimpse_has_the_rates_of_the_last_seconds_and_all_else_of_the_whole_run() -> None:
    early = [interval(at, steps={"logon": step([1] * 100)}) for at in range(1, 6)]
    late = [interval(at, steps={"logon": step([1] * 10, BUSY=1)}, begun=2) for at in range(6, 9)]
    [logon] = added(*early, *late).now().steps
    assert (logon.per_second, logon.count, logon.failed) == (10, 530, 3)
    assert logon.p50 == logon.p99 == pytest.approx(1, rel=0.001)


def test_the_rate_of_all_workers_does_not_dip_while_one_has_not_told_its_last_second() -> None:
    ten = {"logon": step([1] * 10)}
    others = [interval(at, worker=0, steps=ten) for at in (1, 2, 3, 4)]
    behind = [interval(at, worker=1, steps=ten) for at in (1, 2, 3)]
    assert added(*others, *behind).now().steps[0].per_second == 20


def test_a_worker_that_has_ended_has_no_rate() -> None:
    ended = interval(1, worker=0, steps={"logon": step([1] * 10)})
    assert added(ended, interval(9, worker=1)).now().steps[0].per_second == 0


def test_a_glimpse_counts_what_is_in_flight_now() -> None:
    totals = added(
        interval(2, worker=0, in_flight=3),
        interval(1, worker=0, in_flight=9),
        interval(2, worker=1, in_flight=4),
    )
    assert totals.now().in_flight == 7


def test_a_glimpse_shows_the_busiest_worker_and_how_late_the_generator_is() -> None:
    glimpse = added(
        interval(2, 2, worker=0, cpu_seconds=0.5, lateness=[0.5] * 99),
        interval(2, 2, worker=1, cpu_seconds=1.5, lateness=[4]),
    ).now()
    assert glimpse.busy == 0.75
    assert glimpse.lateness_p99_ms == pytest.approx(0.5, rel=0.01)


def test_before_the_first_interval_there_is_nothing_to_see() -> None:
    glimpse = Totals().now()
    assert (glimpse.seconds, glimpse.steps, glimpse.busy) == (0, [], 0)


# --- the generator itself -------------------------------------------------------------------------


def test_the_generator_tells_how_late_and_how_busy_it_was() -> None:
    generator = result_of(
        added(
            interval(2, 2, worker=0, cpu_seconds=0.5, lateness=[0.5]),
            interval(2, 2, worker=1, cpu_seconds=1.5, lateness=[1.5]),
        )
    ).generator
    assert generator.busy == 0.5
    assert generator.lateness.max == pytest.approx(1.5, rel=0.001)
    assert generator.warning == ""


def test_lateness_is_told_once_it_is_a_tenth_of_the_fastest_step_that_journeys_begin_with() -> None:
    steps = SLOW | {"keystroke": step([0.4]), "disconnect": step([3])}
    assert warning(steps=steps, lateness=[79]) == ""
    assert warning(steps=steps, lateness=[81]) == (
        "the generator began arrivals 81.0 ms late (p99), which is within the latencies, though no"
        " worker was busy: this machine had other things to do; give the generator cores of its own"
    )


def test_lateness_within_the_grain_of_timers_is_not_told() -> None:
    assert warning(BARE, steps=FAST, lateness=[1.9]) == ""
    assert "2.1 ms late" in warning(BARE, steps=FAST, lateness=[2.1])


def test_a_step_that_only_failed_is_not_the_fastest() -> None:
    steps = {"roam": step([100]), "renew": step(BUSY=1)} | SLOW
    assert warning(steps=steps, lateness=[9]) == ""
    assert "11.0 ms late" in warning(steps=steps, lateness=[11])


def test_a_closed_model_is_timed_from_when_it_begins_however_late_that_is() -> None:
    assert warning(USERS, steps=SLOW, lateness=[500]) == ""


def test_one_worker_without_a_free_moment_is_a_bottleneck() -> None:
    idle = interval(10, 10, worker=0, cpu_seconds=1)
    assert result_of(added(idle, interval(10, 10, worker=1, cpu_seconds=9))).generator.warning == ""
    busy = interval(10, 10, worker=1, cpu_seconds=9.5, lateness=[50])
    assert result_of(added(idle, busy)).generator.warning == (
        "the generator was the bottleneck: a worker was busy for 95 % of its time, and it began"
        " arrivals 50.0 ms late (p99); add --workers"
    )


def test_a_result_says_how_to_have_the_same_journeys_again() -> None:
    found = result_of(Totals())
    assert (found.seed, found.warm_up_seconds) == (7, 3)
