from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.measuring.measures import HIGHEST_MICROSECONDS, histogram
from clients.load.measuring.percentiles import at, curve, latency, recorded

microseconds = st.lists(st.integers(1, HIGHEST_MICROSECONDS), min_size=1, max_size=30)


@given(microseconds, st.floats(0, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[int], percentile: float
) -> None:
    latencies = histogram()
    for value in values:
        latencies.record_value(value)
    [found] = at(latencies, [percentile])
    ranked = sorted(values)
    exact = next(v for n, v in enumerate(ranked, 1) if n >= len(ranked) * percentile / 100)
    assert exact <= found <= exact * 1.001 + 1


def test_what_was_recorded_is_read_back_in_order() -> None:
    latencies = histogram()
    latencies.record_value(1_500, 3)
    latencies.record_value(7)
    assert list(recorded(latencies)) == [(7, 1), (1_500, 3)]


def test_a_latency_is_in_milliseconds() -> None:
    latencies = histogram()
    latencies.record_value(1_000, 998)
    latencies.record_value(2_000, 2)
    found = latency(latencies)
    assert (found.p50, found.p90, found.p99, found.p999, found.max) == (1, 1, 1, 2, 2)
    assert found.mean == pytest.approx(1.002)


def test_nothing_recorded_is_nothing_at_all() -> None:
    assert at(histogram(), [50, 99]) == [0, 0]
    assert list(recorded(histogram())) == []
    assert latency(histogram()).max == 0
    assert curve(histogram()) == []


def test_a_curve_ends_where_a_finer_percentile_would_be_no_other_value() -> None:
    rng = random.Random(1)
    latencies = histogram()
    for _ in range(1_000):
        latencies.record_value(rng.randrange(1_000, 9_000))
    percentiles, values = zip(*curve(latencies), strict=True)
    assert percentiles[:7] == (0, 10, 20, 30, 40, 50, 55)
    assert percentiles[-1] == 100
    assert 99.8 < percentiles[-2] < 99.95
    assert list(values) == sorted(values)
    assert values[-1] == latency(latencies).max
