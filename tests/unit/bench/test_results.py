"""Ratios are of pairs, aims of medians."""

from __future__ import annotations

import pytest

from bench.results import Aim, Spread, row, spread


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert spread([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0, 3)


def test_a_ratio_is_of_pairs_not_of_medians() -> None:
    # The machine was twice as slow in the second turn, for both: the ratio knows nothing of it.
    made = row("case", "CPU", "µs", [2.0, 4.0, 2.0], "peer", [1.0, 2.0, 1.0])
    assert made.ratio == Spread(2.0, 2.0, 2.0, 3)
    assert made.ours.median == 2.0


def test_turns_that_do_not_pair_are_a_fault() -> None:
    with pytest.raises(ValueError):
        row("case", "CPU", "µs", [2.0], "peer", [1.0, 2.0])


@pytest.mark.parametrize(
    ("aim", "met", "words"),
    [
        (Aim(2.0), True, "≤ 2 × the peer's"),
        (Aim(1.9), False, "≤ 1.9 × the peer's"),
        (Aim(2.0, at_most=False), True, "≥ 2 × the peer's"),
        (Aim(2.1, at_most=False), False, "≥ 2.1 × the peer's"),
        (Aim(2.2, least=1.8), True, "1.8 to 2.2 × the peer's"),
        (Aim(2.2, least=2.1), False, "2.1 to 2.2 × the peer's"),
        (Aim(1.9, least=1.8), False, "1.8 to 1.9 × the peer's"),
        (Aim(6.0, of_ratio=False), True, "≤ 6"),
        (Aim(5.0, of_ratio=False), False, "≤ 5"),
    ],
)
def test_an_aim_says_whether_it_is_met(aim: Aim, met: bool, words: str) -> None:
    made = row("case", "CPU", "µs", [6.0], "peer", [3.0], aim)
    assert (made.met, made.aim) == (met, words)


def test_an_aim_of_a_ratio_needs_a_peer() -> None:
    assert row("case", "CPU", "µs", [6.0], aim=Aim(2.0)).met is None
    assert row("case", "CPU", "µs", [6.0], aim=Aim(7.0, of_ratio=False)).met is True
    assert row("case", "CPU", "µs", [6.0], note="why").note == "why"
