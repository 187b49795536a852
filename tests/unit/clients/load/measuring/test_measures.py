from __future__ import annotations

import random

from hdrh.histogram import HdrHistogram

from clients.load.measuring.measures import Latencies, Measures, histogram
from tsproto.errors import ErrorCode


def test_latencies_make_the_histogram_that_each_of_them_recorded_would_have_made() -> None:
    chance = random.Random(1)
    latencies, expected = Latencies(), histogram()
    for _ in range(2_000):
        seconds = 10 ** chance.uniform(-6, 3)
        latencies.add(seconds)
        expected.record_value(int(seconds * 1e6))
    found = HdrHistogram.decode(latencies.take())
    for percentile in (0.1, 1, 10, 25, 50, 75, 90, 99, 99.9):
        assert found.get_value_at_percentile(percentile) == expected.get_value_at_percentile(
            percentile
        )
    assert found.get_total_count() == 2_000


def test_what_no_histogram_holds_counts_as_its_ends() -> None:
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(10_000.0)
    found = HdrHistogram.decode(latencies.take())
    assert found.get_total_count() == 2
    assert found.get_value_at_percentile(1) == 1
    assert found.get_value_at_percentile(100) >= 3_599_000_000


def test_an_interval_holds_what_came_since_the_last_one() -> None:
    measures = Measures(3, lambda: 0.0)
    measures.begun(0.002)
    measures.took("logon", 0.010)
    measures.failed("logon", ErrorCode.LOGON_BUSY)
    measures.failed("roam", ErrorCode.UNREACHABLE)
    measures.finished()
    measures.dropped()
    first = measures.take(1.5, 7)
    assert (first.worker, first.ends_at, first.seconds, first.in_flight) == (3, 1.5, 1.5, 7)
    assert (first.begun, first.finished, first.dropped) == (1, 1, 1)
    assert first.steps["logon"].errors == {"LOGON_BUSY": 1}
    assert HdrHistogram.decode(first.steps["logon"].latencies).get_total_count() == 1
    assert (first.steps["roam"].latencies, first.steps["roam"].errors) == (b"", {"UNREACHABLE": 1})
    second = measures.take(2.0, 0)
    assert (second.seconds, second.steps, second.lateness) == (0.5, {}, b"")
    assert (second.begun, second.finished, second.dropped) == (0, 0, 0)


def test_a_warm_up_is_forgotten_with_the_time_that_it_took() -> None:
    measures = Measures(0, lambda: 0.0)
    measures.took("logon", 1.0)
    measures.begun(1.0)
    measures.forget(10.0)
    measures.took("logon", 0.001)
    interval = measures.take(11.0, 0)
    assert (interval.seconds, interval.begun) == (1.0, 0)
    assert HdrHistogram.decode(interval.steps["logon"].latencies).get_total_count() == 1
