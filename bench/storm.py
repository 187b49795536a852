"""The CPU of a logon on a farm of three terminal servers, by the number of users.

`tsfarm load` sends each user once, at a rate below the machine's limit, on new devices: a temporary
license, a logon by a proof, a shell on a PTY, three keys and a page of output, a
logoff. The cost is the CPU of daemons, keepers and programs for one such journey, without the
generator's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from bench.context import BenchContext, Figures, Found, take_turns
from bench.farm import farm
from bench.programs import load
from bench.results import Aim, Row, row
from daemons import lab

USERS = (100, 1_000, 10_000)
RATE = 40  # journeys a second
WARM_UP_USERS = 30
REPETITIONS_MAX = 2  # ten thousand users take minutes
FLAT = Aim(1.2, least=0.8)
SCENARIO = """
thresholds = ["errors < 0.1%"]

[open]
in_flight_max = 2000
stages = [{{ seconds = {seconds}, start_rate = {rate}, rate = {rate} }}]

[[journeys]]
acts = [
    {{ do = "first-visit" }},
    {{ do = "work", seconds = 0.2, keystrokes = 3, output = 2000 }},
    {{ do = "logoff" }},
]
"""


def run(context: BenchContext) -> Iterator[Row]:
    sizes = (3, 6) if context.smoke else USERS
    shorter = msgspec.structs.replace(
        context, repetitions=min(context.repetitions, REPETITIONS_MAX)
    )
    contestants = {f"{users:,} users": partial(_storm, context, users) for users in sizes}
    found = take_turns(shorter, contestants)
    yield from _rows(found, [f"{users:,} users" for users in sizes])


def _rows(found: Found, cases: Sequence[str]) -> Iterator[Row]:
    fewest, figure = cases[0], "CPU of the farm a journey"
    costs = found[fewest]["cpu"]
    yield row(fewest, figure, "ms", costs)
    for case in cases[1:]:
        yield row(case, figure, "ms", found[case]["cpu"], fewest, costs, FLAT)
    for case in cases:
        for percentile in ("p50", "p99"):
            yield row(case, f"first visit, {percentile}", "ms", found[case][percentile])


def _storm(context: BenchContext, users: int) -> Figures:
    rate = context.size(RATE, 6)
    folder = context.fresh()  # an earlier farm knows the devices
    lab_of_farm = ("--lab", str(folder))
    with farm(folder, lab.Plan(users=(), load_users=users + WARM_UP_USERS)) as made:
        # A daemon's first session costs extra.
        load(_scenario(context.folder, context.size(WARM_UP_USERS, 3), rate), *lab_of_farm)
        before = made.cpu_seconds()
        result = load(_scenario(context.folder, users, rate), *lab_of_farm)
        cpu = made.cpu_seconds() - before
    step = next(each for each in result.steps if each.step == "first-visit")
    if step.count < users * 0.99:
        raise OSError(f"only {step.count} of {users} users have logged on: {step.errors}")
    return {"cpu": cpu / step.count * 1000, "p50": step.latency.p50, "p99": step.latency.p99}


def _scenario(folder: Path, users: int, rate: int) -> str:
    file = folder / f"storm-{users}.toml"
    file.write_text(SCENARIO.format(seconds=users / rate, rate=rate))
    return str(file)
