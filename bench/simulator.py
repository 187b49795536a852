"""How fast the simulation runs: the same cores, connections and device procedure as in the daemons,
under virtual time, with every law checked.

- Seeds: runs of a small farm with crashes, partitions and lost datagrams, as `python -m
  tests.simulation` makes them. A message is one that a daemon or a device has heard, heartbeats
  left out; it is encoded, cut into pieces, and decoded as on a real link.
- A year: a farm with as many tokens as devices, where each device connects about once in thirty
  days, with a real logon: temporary token, full token, renewals, returns after it had expired. Days
  are jumped over between. It is lived through once, for it takes minutes; one seed decides all.

There is nothing to compare with; the figures say how much of the product's life a test run sees.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.course import Course, Figures, take_turns
from bench.results import Aim, Row, alone, within
from tests.simulation.farm import simulate
from tests.simulation.year import Lived, Months
from tsproto.errors import TsfarmError

SEEDS, SMOKE_SEEDS = 20, 1
DEVICES, SMOKE_DEVICES = 10_000, 20
DAYS, SMOKE_DAYS = 365, 40
YEAR_AIM = Aim(60.0, of_ratio=False)


class LawBroken(TsfarmError):
    """The simulation has found a fault of the product; the text says which."""


def run(course: Course) -> Iterator[Row]:
    found = take_turns(course, {"seeds": lambda: run_seeds(course.size(SEEDS, SMOKE_SEEDS))})
    for figure, unit in (("messages", "/s"), ("simulated", "days/s")):
        yield alone("simulator", "seeds with every fault", figure, unit, found["seeds"][figure])
    devices, days = course.size(DEVICES, SMOKE_DEVICES), course.size(DAYS, SMOKE_DAYS)
    course.say(f"{devices:,} devices for {days} days")
    began = time.perf_counter()
    lived = live(devices, days)
    took = time.perf_counter() - began
    case = f"{devices:,} devices, {days} days"
    note = (
        f"{lived.visits:,} logons tried, {lived.refused:,} of them refused; {lived.messages:,}"
        " messages"
    )
    yield within("simulator", case, "time", "s", [took], YEAR_AIM, note)
    yield alone("simulator", case, "messages", "/s", [lived.messages / took])
    yield alone("simulator", case, "logons", "/s", [lived.visits / took])


def run_seeds(seeds: int) -> Figures:
    """By the clock of the wall; raises LawBroken."""
    messages, seconds = 0, 0.0
    began = time.perf_counter()
    for seed in range(seeds):
        result = simulate(seed)
        if result.violation:
            raise LawBroken(f"seed {seed}: {result.violation}")
        messages += result.messages
        seconds += result.simulated_seconds
    took = time.perf_counter() - began
    return {"messages": messages / took, "simulated": seconds / 86_400 / took}


def live(devices: int, days: int) -> Lived:
    """Raises LawBroken."""
    lived = Months(devices).live(days)
    if lived.violation:
        raise LawBroken(f"{devices} devices: {lived.violation}")
    return lived
