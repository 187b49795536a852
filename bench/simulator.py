"""The speed of the simulation: real cores and connections under virtual time, all laws checked.

- seeds: runs of a small farm with crashes, partitions and lost datagrams, as `python -m
  tests.simulation` makes them. Messages are those that a daemon or device received, without
  heartbeats; each is encoded, cut into pieces and decoded as on a real link.
- a year: a farm with a token for each device, where a device logs on about once in thirty days:
  temporary token, full token, renewals, returns after expiry. Idle time is skipped. It takes
  minutes, so it runs once, from one seed.

There is no peer; the figures say how much of the product's life a test run covers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.context import BenchContext, Figures, take_turns
from bench.results import Aim, Row, row
from tests.simulation.farm import simulate
from tests.simulation.year import Lived, Months
from tsproto.errors import TsfarmError

SEEDS, SMOKE_SEEDS = 20, 1
DEVICES, SMOKE_DEVICES = 10_000, 20
DAYS, SMOKE_DAYS = 365, 40
YEAR_AIM = Aim(60.0, of_ratio=False)


class LawBroken(TsfarmError):
    """The simulation found a fault; the text says which."""


def run(context: BenchContext) -> Iterator[Row]:
    found = take_turns(context, {"seeds": lambda: run_seeds(context.size(SEEDS, SMOKE_SEEDS))})
    for figure, unit in (("messages", "/s"), ("simulated", "days/s")):
        yield row("seeds with every fault", figure, unit, found["seeds"][figure])
    devices, days = context.size(DEVICES, SMOKE_DEVICES), context.size(DAYS, SMOKE_DAYS)
    context.say(f"{devices:,} devices for {days} days")
    began = time.perf_counter()
    lived = live(devices, days)
    took = time.perf_counter() - began
    case = f"{devices:,} devices, {days} days"
    note = (
        f"{lived.visits:,} logons tried, {lived.refused:,} of them refused; {lived.messages:,}"
        " messages"
    )
    yield row(case, "time", "s", [took], aim=YEAR_AIM, note=note)
    yield row(case, "messages", "/s", [lived.messages / took])
    yield row(case, "logons", "/s", [lived.visits / took])


def run_seeds(seeds: int) -> Figures:
    """Rates by wall clock; raises LawBroken."""
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
