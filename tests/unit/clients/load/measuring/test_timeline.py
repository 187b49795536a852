from __future__ import annotations

import random

import pytest
from hdrh.histogram import HdrHistogram

from clients.load.measuring.measures import Interval
from clients.load.measuring.results import Point
from clients.load.measuring.timeline import Timeline
from tests.unit.clients.load.intervals import interval, step


def timeline(*intervals: Interval, points_max: int = 100) -> list[Point]:
    run = Timeline(points_max)
    for each in intervals:
        run.add(
            each,
            {
                name: HdrHistogram.decode(step.latencies)
                for name, step in each.steps.items()
                if step.latencies
            },
        )
    return run.points()


def test_a_second_adds_up_all_workers() -> None:
    [point] = timeline(
        interval(1, worker=0, begun=3, dropped=1, in_flight=5, steps={"logon": step([10])}),
        interval(1, worker=1, begun=4, in_flight=6, steps={"logon": step([30, 50], BUSY=2)}),
    )
    assert (point.at, point.seconds) == (0, 1)
    assert (point.begun, point.dropped, point.in_flight) == (7, 1, 11)
    logon = point.steps["logon"]
    assert (logon.count, logon.failed) == (3, 2)
    assert logon.p50 == pytest.approx(30, rel=0.01)
    assert logon.p99 == logon.max == pytest.approx(50, rel=0.001)


def test_a_step_that_only_failed_has_no_latency() -> None:
    [point] = timeline(interval(steps={"logon": step(BUSY=2)}))
    logon = point.steps["logon"]
    assert (logon.count, logon.failed, logon.p50, logon.max) == (0, 2, 0, 0)


def test_intervals_that_end_a_little_early_or_late_keep_their_second() -> None:
    points = timeline(interval(1.004), interval(2.003), interval(2.999, 0.996))
    assert [point.at for point in points] == [0, 1, 2]


def test_the_short_interval_that_a_run_ends_with_joins_the_second_before_it() -> None:
    points = timeline(interval(1.004, begun=5), interval(1.007, 0.003, begun=1))
    assert [(point.at, point.begun) for point in points] == [(0, 6)]


def test_seconds_that_nobody_told_of_have_no_point() -> None:
    assert [point.at for point in timeline(interval(1), interval(10))] == [0, 9]


def test_a_long_run_has_coarser_points_that_add_up() -> None:
    each = [interval(at, begun=1, in_flight=at, steps={"work": step([at])}) for at in range(1, 10)]
    points = timeline(*each, points_max=4)
    assert [(point.at, point.seconds, point.begun) for point in points] == [
        (0, 4, 4),
        (4, 4, 4),
        (8, 4, 1),
    ]
    assert [point.in_flight for point in points] == [4, 8, 9]
    assert [point.steps["work"].count for point in points] == [4, 4, 1]
    assert [point.steps["work"].max for point in points] == pytest.approx([4, 8, 9], rel=0.001)


def test_the_order_in_which_intervals_come_changes_nothing() -> None:
    rng = random.Random(1)
    each = [
        interval(at, worker=worker, in_flight=at, steps={"work": step([rng.expovariate(0.1)])})
        for at in range(1, 30)
        for worker in range(3)
    ]
    in_order = timeline(*each, points_max=10)
    rng.shuffle(each)
    assert timeline(*each, points_max=10) == in_order


@pytest.mark.parametrize("milliseconds", [0.005, 0.3, 7, 250, 9_000, 3_600_000])
def test_latencies_are_within_a_hundredth(milliseconds: float) -> None:
    [point] = timeline(interval(steps={"work": step([milliseconds] * 3 + [milliseconds * 1.1])}))
    assert point.steps["work"].p50 == pytest.approx(milliseconds, rel=0.01)
