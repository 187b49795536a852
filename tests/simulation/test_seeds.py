"""Sixty seeds in each run, and one trace a seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation import shrink
from tests.simulation.farm import simulate
from tests.simulation.marks import missed
from tests.simulation.swarm import FAULTS, WORK, draw

SEEDS = 60
ROOT = Path(__file__).parents[2]
# Of the list of marks, what other sixty seeds than today's may miss: today's miss none.
MARKS_MISSED_MAX = 6


def test_every_law_holds_and_the_rare_cases_happen() -> None:
    seen: dict[str, int] = {}
    for seed in range(SEEDS):
        result = simulate(seed)
        assert not result.violation, f"{result.violation}\nreplay: {shrink.command(result)}"
        for name, count in result.seen.items():
            seen[name] = seen.get(name, 0) + count
    not_seen = missed(seen)
    assert len(not_seen) <= MARKS_MISSED_MAX, not_seen


def test_one_seed_has_one_trace_also_in_another_process() -> None:
    here = simulate(3)
    program = "from tests.simulation.farm import simulate; print(simulate(3).digest)"
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PATH": os.environ["PATH"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here.digest


def test_seeds_differ_in_what_they_are_made_of() -> None:
    drawn = [draw(seed) for seed in range(200)]
    for fault in FAULTS:
        assert 0 < sum(fault in swarm.faults for swarm in drawn) < len(drawn), fault
    for kind in WORK:
        assert 0 < sum(kind in swarm.work for swarm in drawn) < len(drawn), kind
    assert any(not swarm.faults for swarm in drawn)
