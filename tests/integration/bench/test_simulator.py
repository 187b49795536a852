"""The bench of the simulation, in as little as shows that it works."""

from __future__ import annotations

import pytest

from bench import simulator
from bench.__main__ import run
from bench.simulator import LawBroken
from tests.simulation.year import Lived, Months


def test_seeds_and_months_are_measured() -> None:
    rows = run("simulator", smoke=True, repetitions=1)
    assert [(row.case, row.figure) for row in rows] == [
        ("seeds with every fault", "messages"),
        ("seeds with every fault", "simulated"),
        ("20 devices, 40 days", "time"),
        ("20 devices, 40 days", "messages"),
        ("20 devices, 40 days", "logons"),
    ]
    assert all(row.ours.median > 0 for row in rows)
    assert [row.aim for row in rows if row.aim] == ["≤ 60"]


def test_a_broken_law_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Lived(violation="two tokens")
    monkeypatch.setattr(Months, "live", lambda months, days: broken)
    with pytest.raises(LawBroken, match="20 devices: two tokens"):
        simulator.live(20, 40)
