from __future__ import annotations

import pytest

from clients.load.report import figures


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "-"),
        (0.0004, "1 µs"),
        (0.5, "500 µs"),
        (0.9994, "999 µs"),
        (0.9996, "1.00 ms"),
        (12.345, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (12_345, "12.3 s"),
        (3_600_000, "3,600 s"),
    ],
)
def test_a_latency_has_three_digits_and_the_unit_that_fits(milliseconds: float, shown: str) -> None:
    assert figures.latency(milliseconds) == shown


@pytest.mark.parametrize(
    ("value", "significant", "shown"),
    [
        (0, 3, "0"),
        (0.0123456, 3, "0.0123"),
        (9.996, 3, "10.0"),
        (1234.56, 3, "1,235"),
        (1234.56, 5, "1,234.6"),
        (-2.5, 3, "-2.50"),
    ],
)
def test_digits_are_never_powers_of_ten(value: float, significant: int, shown: str) -> None:
    assert figures.digits(value, significant) == shown


def test_a_rate_is_shown_to_a_tenth_and_a_slow_one_finer() -> None:
    assert figures.per_second(1234.56) == "1,234.6"
    assert figures.per_second(0.96) == "1.0"
    assert figures.per_second(0.0333) == "0.0333"
    assert figures.per_second(0) == "0"


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0.00 %"),
        (1, 1_000_000, "< 0.01 %"),
        (1, 100, "1.00 %"),
        (25, 100, "25.0 %"),
        (999_999, 1_000_000, "> 99.99 %"),
        (1, 1, "100.0 %"),
    ],
)
def test_a_share_says_neither_nothing_nor_all_of_what_is_not(
    part: int, whole: int, shown: str
) -> None:
    assert figures.share(part, whole) == shown


@pytest.mark.parametrize(
    ("seconds", "duration", "clock"),
    [
        (4.26, "4.3 s", "00:04"),
        (119.9, "119.9 s", "01:59"),
        (750, "12 min 30 s", "12:30"),
        (7500, "2 h 05 min", "2:05:00"),
    ],
)
def test_times_are_as_coarse_as_they_are_long(seconds: float, duration: str, clock: str) -> None:
    assert figures.duration(seconds) == duration
    assert figures.clock(seconds) == clock


def test_one_is_not_plural() -> None:
    assert figures.counted(1, "rule") == "1 rule"
    assert figures.counted(1200, "journey") == "1,200 journeys"
