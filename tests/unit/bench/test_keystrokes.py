"""The percentiles of keystrokes."""

from __future__ import annotations

import pytest

from bench.keystrokes import WARM_UP_KEYS, percentiles


def test_the_first_keys_do_not_count() -> None:
    seconds = [1.0] * WARM_UP_KEYS + [n / 1e6 for n in range(101)]
    assert percentiles(seconds) == {"p50": pytest.approx(50.0), "p99": pytest.approx(99.0)}


def test_where_there_are_only_a_few_all_of_them_count() -> None:
    assert percentiles([3e-6, 1e-6, 2e-6]) == {
        "p50": pytest.approx(2.0),
        "p99": pytest.approx(3.0),
    }
