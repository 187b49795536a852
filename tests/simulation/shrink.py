"""A failing run, made smaller: fewer faults, less work, fewer clients, shorter, as long as the same
law is broken. What is left is printed as the command that replays it, and as a named test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tests.simulation.farm import Plant, Result, simulate
from tests.simulation.swarm import Swarm, draw

RUNS_MAX = 150

Progress = Callable[[Result], None]


def shrunk(failed: Result, plant: Plant | None, progress: Progress = lambda result: None) -> Result:
    """The smallest run found that breaks the same law; `failed` itself when none is smaller."""
    smallest, runs, is_smaller = failed, 0, True
    while is_smaller:
        is_smaller = False
        for made_of in smaller(smallest.swarm):
            if runs == RUNS_MAX:
                return smallest
            runs += 1
            result = simulate(failed.seed, plant, made_of)
            if result.law == failed.law:
                smallest, is_smaller = result, True
                progress(smallest)
                break
    return smallest


def smaller(swarm: Swarm) -> Iterator[Swarm]:
    """What may be left out, the largest parts first."""
    if swarm.rounds > 0:
        yield replace(swarm, rounds=swarm.rounds // 2)
        if swarm.rounds > 2:
            yield replace(swarm, rounds=swarm.rounds - 1)
    for kept in _parts([*swarm.faults]):
        yield replace(swarm, faults={name: swarm.faults[name] for name in kept})
    for kept in _parts(sorted(swarm.work)):
        yield replace(swarm, work=frozenset(kept))
    if swarm.devices > 1:
        yield replace(swarm, devices=swarm.devices // 2)
        yield replace(swarm, devices=swarm.devices - 1)
    if swarm.users > 1:
        yield replace(swarm, users=swarm.users - 1)
    if swarm.seconds > 5 and swarm.rounds:
        yield replace(swarm, seconds=swarm.seconds // 2)


def _parts(names: list[str]) -> Iterator[list[str]]:
    """None of them, either half, all but one."""
    if names:
        yield []
    if len(names) > 2:
        half = len(names) // 2
        yield names[half:]
        yield names[:half]
    if len(names) > 1:
        for left_out in names:
            yield [name for name in names if name != left_out]


def command(result: Result, planted: str = "") -> str:
    """Replays the run."""
    words = [f"python -m tests.simulation --seed {result.seed}"]
    swarm, drawn = result.swarm, draw(result.seed)
    if swarm.faults != drawn.faults:
        words.append(f"--faults '{','.join(swarm.faults)}'")
    if swarm.work != drawn.work:
        words.append(f"--work '{','.join(sorted(swarm.work))}'")
    for name in ("devices", "users", "rounds", "seconds"):
        if getattr(swarm, name) != getattr(drawn, name):
            words.append(f"--{name} {getattr(swarm, name):g}")
    if planted:
        words.append(f"--planted '{planted}'")
    return " ".join(words)


def draft(result: Result) -> str:
    """A test to begin with: name it after what went wrong."""
    swarm = result.swarm
    name = "".join(c if c.isalnum() else "_" for c in result.law.lower()).strip("_")
    return f'''def test_{name}_seed_{result.seed}() -> None:
    """{result.law[:1].upper()}{result.law[1:]}."""
    made_of = replace(
        draw({result.seed}),
        faults={swarm.faults!r},
        work=frozenset({sorted(swarm.work)!r}),
        devices={swarm.devices},
        users={swarm.users},
        rounds={swarm.rounds},
        seconds={swarm.seconds},
    )
    assert simulate({result.seed}, made_of=made_of).violation == ""
'''
