"""The planted bugs are found, and what finds one is shrunk."""

from __future__ import annotations

import pytest

from tests.simulation import shrink
from tests.simulation.farm import simulate
from tests.simulation.planted import PLANTED

SEEDS = 60


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str) -> None:
    found = (simulate(seed, PLANTED[name]).violation for seed in range(SEEDS))
    assert any(found), f"{SEEDS} seeds did not find: {name}"


def test_a_failing_seed_is_shrunk_to_what_still_breaks_the_same_law() -> None:
    plant = PLANTED["a session's end not told"]
    failed = next(r for r in (simulate(seed, plant) for seed in range(SEEDS)) if r.violation)
    smallest = shrink.shrunk(failed, plant)
    assert smallest.law == failed.law
    assert smallest.swarm.devices <= failed.swarm.devices
    assert len(smallest.swarm.faults) < len(failed.swarm.faults)
    assert not smallest.swarm.work
    again = simulate(smallest.seed, plant, smallest.swarm)
    assert (again.violation, again.digest) == (smallest.violation, smallest.digest)
    assert f"--seed {failed.seed}" in shrink.command(smallest)
    compile(shrink.draft(smallest), "draft", "exec")
