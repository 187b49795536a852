"""Reads figures of a histogram from its array of counts. Values are whole microseconds.

The library's own functions take 4 times as long for percentiles and 100 times for the mean, and
progress asks twice a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import ceil
from typing import Final

from hdrh.histogram import HdrHistogram

from clients.load.measuring.results import Latency

SHOWN: Final = (50.0, 90.0, 99.0, 99.9)
CURVE_TICKS: Final = 5  # points of a curve from 0 to 50 %, from 50 to 75 %, and so on


def at(latencies: HdrHistogram, percentiles: Iterable[float]) -> list[int]:
    """The value at each percentile; 0 where nothing was recorded."""
    lowest, counts = _recorded_part(latencies)
    sums = list(accumulate(counts))
    if not sums:
        return [0 for _ in percentiles]
    ranks = (max(1, ceil(sums[-1] * percentile / 100)) for percentile in percentiles)
    values = (latencies.get_value_from_index(lowest + bisect_left(sums, rank)) for rank in ranks)
    return [latencies.get_highest_equivalent_value(value) for value in values]


def recorded(latencies: HdrHistogram) -> Iterator[tuple[int, int]]:
    """Each recorded value and its count, in order of values."""
    lowest, counts = _recorded_part(latencies)
    for index, count in enumerate(counts, lowest):
        if count:
            yield latencies.get_value_from_index(index), count


def latency(latencies: HdrHistogram) -> Latency:
    count = latencies.get_total_count()
    p50, p90, p99, p999 = at(latencies, SHOWN)
    total = sum(value * times for value, times in recorded(latencies))
    return Latency(
        mean=total / count / 1e3 if count else 0.0,
        p50=p50 / 1e3,
        p90=p90 / 1e3,
        p99=p99 / 1e3,
        p999=p999 / 1e3,
        max=latencies.get_max_value() / 1e3,
    )


def curve(latencies: HdrHistogram) -> list[tuple[float, float]]:
    """Pairs of a percentile and its milliseconds, finer towards 100 %; none for none."""
    percentiles = list(_ticks(latencies.get_total_count()))
    values = at(latencies, percentiles)
    return [
        (percentile, value / 1e3) for percentile, value in zip(percentiles, values, strict=True)
    ]


def _ticks(count: int) -> Iterator[float]:
    """CURVE_TICKS for each halving of the distance to 100 %, until less than a value is left."""
    if not count:
        return
    left = 100.0
    while left * count >= 100:
        yield from (100 - left + left / 2 * tick / CURVE_TICKS for tick in range(CURVE_TICKS))
        left /= 2
    yield 100.0


def _recorded_part(latencies: HdrHistogram) -> tuple[int, Sequence[int]]:
    """The index of the least value, and the counts from there to the greatest."""
    if not latencies.get_total_count():
        return 0, []
    lowest = latencies.get_counts_array_index(latencies.get_min_value())
    highest = latencies.get_counts_array_index(latencies.get_max_value())
    return lowest, latencies.counts[lowest : highest + 1]
