from __future__ import annotations

import pytest

from clients.load.report import axes


@pytest.mark.parametrize(
    ("highest", "marks"),
    [
        (0, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (7, (0, 2, 4, 6, 8)),
        (100, (0, 20, 40, 60, 80, 100)),
        (101, (0, 25, 50, 75, 100, 125)),
        (0.03, (0, 0.01, 0.02, 0.03)),
    ],
)
def test_rates_are_marked_from_nothing_to_above_the_highest(
    highest: float, marks: tuple[float, ...]
) -> None:
    scale = axes.from_nothing(highest)
    assert scale.marks == pytest.approx(marks)
    assert (scale.place(0), scale.place(scale.marks[-1])) == (0, 1)


@pytest.mark.parametrize(
    ("start", "end", "marks"),
    [
        (0, 1, (0, 1)),
        (5, 65, (10, 20, 30, 40, 50, 60)),
        (0, 600, (0, 120, 240, 360, 480, 600)),
        (0, 86_400, (0, 14_400, 28_800, 43_200, 57_600, 72_000, 86_400)),
        (0, 604_800, (0, 86_400, 172_800, 259_200, 345_600, 432_000, 518_400, 604_800)),
    ],
)
def test_time_is_marked_as_a_clock_is(start: float, end: float, marks: tuple[float, ...]) -> None:
    scale = axes.of_time(start, end)
    assert scale.marks == marks
    assert (scale.place(start), scale.place(end)) == (0, 1)


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([], (1, 2, 5, 10)),
        ([12], (10, 20)),
        ([1], (0.5, 1, 2)),
        ([10, 900], (10, 20, 50, 100, 200, 500, 1000)),
        ([0.1, 3000], (0.1, 1, 10, 100, 1000)),
    ],
)
def test_latencies_are_marked_around_all_of_them(
    values: list[float], marks: tuple[float, ...]
) -> None:
    scale = axes.of_latencies(values)
    assert scale.marks == pytest.approx(marks)
    assert all(0 <= scale.place(value) <= 1 for value in values)


def test_ten_times_as_long_is_as_far_wherever_it_begins() -> None:
    scale = axes.of_latencies([1, 1000])
    assert scale.place(10) == pytest.approx(1 / 3)
    assert scale.place(100) == pytest.approx(2 / 3)
    assert scale.place(0.001) == 0


@pytest.mark.parametrize(
    ("reached", "marks"),
    [
        (0, (0, 50, 90, 99)),
        (99, (0, 50, 90, 99)),
        (99.2, (0, 50, 90, 99, 99.9)),
        (99.99, (0, 50, 90, 99, 99.9, 99.99)),
        (99.9999999, (0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999)),
    ],
)
def test_percentiles_are_marked_as_far_as_they_were_measured(
    reached: float, marks: tuple[float, ...]
) -> None:
    assert axes.of_percentiles(reached).marks == marks


def test_each_nine_takes_as_much_room_and_all_of_them_are_at_the_end() -> None:
    scale = axes.of_percentiles(99.99)
    places = [scale.place(percentile) for percentile in (0, 90, 99, 99.9, 99.99, 100)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
