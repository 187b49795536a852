from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice, pairwise
from math import floor, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.pacing.arrivals import arrivals, expected, length
from clients.load.scenario import RATE_MAX, SECONDS_MAX, Closed, Open, Scenario, Stage

rates = st.floats(0, 40)
stages = st.builds(
    Stage,
    seconds=st.one_of(st.just(0.0), st.floats(0.001, 10)),
    rate=rates,
    start_rate=st.one_of(st.none(), rates),
)
evens = st.builds(Open, stages=st.lists(stages, min_size=1, max_size=5).map(tuple))
shapes = st.builds(
    Open,
    stages=st.lists(stages, min_size=1, max_size=5).map(tuple),
    arrivals=st.sampled_from(["even", "poisson"]),
)


def due(open: Open, share: int = 0, shares: int = 1, seed: int = 1) -> Iterator[float]:
    return arrivals(open, random.Random(seed), share, shares)


def steady(rate: float, seconds: float, arrivals: str = "even") -> Open:
    model: dict[str, object] = {"arrivals": arrivals}
    return Open(stages=(Stage(seconds, rate, start_rate=rate),), **model)  # type: ignore[arg-type]


# --- even -----------------------------------------------------------------------------------------


def test_a_steady_rate_is_spaced_evenly_from_the_first_moment_on() -> None:
    assert list(due(steady(rate=4, seconds=1))) == [0, 0.25, 0.5, 0.75]


def test_a_ramp_from_nothing_follows_the_root_of_time() -> None:
    ramp = Open(stages=(Stage(seconds=10, rate=2),))
    assert list(due(ramp)) == pytest.approx([sqrt(10 * k) for k in range(10)])


def test_a_ramp_down_mirrors_a_ramp_up() -> None:
    down = list(due(Open(stages=(Stage(seconds=10, rate=0, start_rate=2),))))
    up = [10 - at for at in due(Open(stages=(Stage(seconds=10, rate=2),)))]
    assert down[1:] == pytest.approx(list(reversed(up[1:])))


def test_a_stage_goes_on_from_the_rate_before_it() -> None:
    shape = Open(stages=(Stage(1, 2, start_rate=2), Stage(1, 2)))
    assert list(due(shape)) == [0, 0.5, 1, 1.5]


def test_nobody_arrives_at_rate_nothing() -> None:
    pause = Open(stages=(Stage(1, 2, start_rate=2), Stage(60, 0, 0), Stage(1, 2, 2)))
    assert list(due(pause)) == [0, 0.5, 61, 61.5]


@pytest.mark.parametrize("model", ["even", "poisson"])
def test_a_burst_comes_whole_and_at_once(model: str) -> None:
    [*burst] = due(Open(stages=(Stage(2, 0), Stage(0, 3)), arrivals=model))  # type: ignore[arg-type]
    assert burst == [2, 2, 2]


def test_a_burst_leaves_the_rate_as_it_was() -> None:
    shape = Open(stages=(Stage(1, 2, start_rate=2), Stage(0, 100), Stage(1, 2)))
    assert list(due(shape))[-2:] == [1, 1.5]


def test_the_last_minute_of_a_week_is_as_exact_as_the_first() -> None:
    week = Open(stages=tuple(Stage(SECONDS_MAX / 1000, 1 / 30, 1 / 30) for _ in range(1000)))
    whole = list(due(week))
    assert len(whole) == pytest.approx(SECONDS_MAX / 30, abs=1)
    assert whole[-1] == pytest.approx(30 * (len(whole) - 1), abs=1e-6)


def test_a_day_at_the_greatest_rate_begins_at_once() -> None:
    day = due(steady(RATE_MAX, 86_400), share=1, shares=4)
    assert list(islice(day, 3)) == [1e-6, 5e-6, 9e-6]


@given(evens)
def test_as_many_come_as_the_rate_amounts_to(shape: Open) -> None:
    assert abs(len(list(due(shape))) - expected(shape)) <= 1


@given(evens)
def test_each_comes_when_the_rate_amounts_to_those_before_it(shape: Open) -> None:
    for number, at in enumerate(due(shape)):
        assert amount(shape, at, with_bursts_then=False) <= number + 1e-6
        assert amount(shape, at, with_bursts_then=True) >= number - 1e-6


def amount(shape: Open, until: float, *, with_bursts_then: bool) -> float:
    """The integral of the rate, summed up stage by stage."""
    total = begins = rate = 0.0
    for stage in shape.stages:
        first = rate if stage.start_rate is None else stage.start_rate
        if stage.seconds:
            gone = min(max(until - begins, 0.0), stage.seconds)
            total += gone * (first + (stage.rate - first) * gone / stage.seconds / 2)
        elif begins < until + (1e-6 if with_bursts_then else -1e-6):
            total += stage.rate
        begins += stage.seconds
        rate = stage.rate if stage.seconds else first
    return total


# --- poisson --------------------------------------------------------------------------------------


def test_poisson_arrivals_come_at_the_rate_on_the_average() -> None:
    gaps = [b - a for a, b in pairwise(due(steady(rate=100, seconds=100, arrivals="poisson")))]
    mean = sum(gaps) / len(gaps)
    spread = sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(0.01, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)  # the mark of an exponential distribution


def test_poisson_arrivals_follow_a_ramp() -> None:
    ramp = Open(stages=(Stage(seconds=100, rate=100),), arrivals="poisson")
    halves = [floor(at / 50) for at in due(ramp)]
    assert halves.count(1) == pytest.approx(3 * halves.count(0), rel=0.1)


def test_poisson_arrivals_hang_on_the_seed_alone() -> None:
    crowd = steady(rate=5, seconds=10, arrivals="poisson")
    assert list(due(crowd, seed=7)) == list(due(crowd, seed=7))
    assert list(due(crowd, seed=7)) != list(due(crowd, seed=8))


# --- of any shape ---------------------------------------------------------------------------------


@given(shapes)
def test_arrivals_never_go_back_and_stay_within_the_stages(shape: Open) -> None:
    whole = list(due(shape))
    assert whole == sorted(whole)
    assert all(0 <= at <= length(Scenario(name="x", open=shape)) for at in whole)


@given(shapes, st.integers(1, 5))
def test_shares_are_every_so_manieth_of_the_whole(shape: Open, shares: int) -> None:
    whole = list(due(shape))
    for share in range(shares):
        assert list(due(shape, share, shares)) == whole[share::shares]


def test_the_length_is_that_of_all_stages_or_of_the_closed_model() -> None:
    stages = (Stage(0, 5), Stage(10, 1), Stage(2.5, 1))
    assert length(Scenario(name="x", open=Open(stages=stages))) == 12.5
    assert length(Scenario(name="x", closed=Closed(users=3, seconds=7))) == 7
