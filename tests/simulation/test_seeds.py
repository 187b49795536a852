"""Twenty seeds in each run, one trace a seed, and the planted bugs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.__main__ import replay
from tests.simulation.farm import simulate
from tests.simulation.planted import PLANTED

SEEDS = 20
SEEDS_FOR_A_PLANTED_BUG = 20
MUST_HAPPEN = (
    "crash",
    "crash right after an answer",
    "committed, never acknowledged",
    "partition",
    "redirect",
    "temporary token",
    "full token",
    "logons in one instant",
)


def test_every_law_holds_and_the_rare_cases_happen() -> None:
    seen: set[str] = set()
    for seed in range(SEEDS):
        result = simulate(seed)
        assert not result.violation, f"{result.violation}\nreplay: {replay(result)}"
        seen.update(result.seen)
    assert [case for case in MUST_HAPPEN if case not in seen] == []


def test_one_seed_has_one_trace_also_in_another_process() -> None:
    here = simulate(3)
    program = "from tests.simulation.farm import simulate; print(simulate(3).digest)"
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here.digest


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str) -> None:
    for seed in range(SEEDS_FOR_A_PLANTED_BUG):
        if simulate(seed, PLANTED[name]).violation:
            return
    pytest.fail(f"{SEEDS_FOR_A_PLANTED_BUG} seeds did not find: {name}")
