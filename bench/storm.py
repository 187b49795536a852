"""A whole farm of three terminal servers in the morning: what a logon costs, however many come.

`tsfarm load` sends so many users once each, at a rate that leaves the machine room, on devices that
no license server has seen: a temporary license, a logon with a password whose hash costs next to
nothing, a shell on a PTY, three keys and a page of output, a logoff. The cost is the CPU of all
daemons, of their keepers and of the programs that these started, for one such journey; the
generator's own is not in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from bench.course import Course, Figures, take_turns
from bench.farm import farm, farm_cpu_seconds
from bench.results import Aim, Row, alone, beside
from clients.load.measuring.results import Result
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


def run(course: Course) -> Iterator[Row]:
    sizes = (3, 6) if course.smoke else USERS
    shorter = msgspec.structs.replace(course, repetitions=min(course.repetitions, REPETITIONS_MAX))
    contestants = {f"{users:,} users": partial(_storm, course, users) for users in sizes}
    found = take_turns(shorter, contestants)
    yield from _rows(found, [f"{users:,} users" for users in sizes])


def _rows(found: dict[str, dict[str, list[float]]], cases: Sequence[str]) -> Iterator[Row]:
    first = found[cases[0]]
    yield alone("storm", cases[0], "CPU of the farm a journey", "ms", first["cpu"])
    for case in cases[1:]:
        costs, figure = found[case]["cpu"], "CPU of the farm a journey"
        yield beside("storm", case, figure, "ms", costs, cases[0], first["cpu"], FLAT)
    for case in cases:
        for figure in ("p50", "p99"):
            name = f"first visit, {figure}"
            yield alone("storm", case, name, "ms", found[case][figure])


def _storm(course: Course, users: int) -> Figures:
    rate = course.size(RATE, 6)
    folder = _fresh(course.folder, users)
    with farm(folder, lab.Plan(users=(), load_users=users + WARM_UP_USERS)) as made:
        # What a daemon does once, at its first session, is not the logons' cost.
        _load(folder, _scenario(course.folder, course.size(WARM_UP_USERS, 3), rate))
        before = farm_cpu_seconds(folder, made)
        result = _load(folder, _scenario(course.folder, users, rate))
        cpu = farm_cpu_seconds(folder, made) - before
    step = next(each for each in result.steps if each.step == "first-visit")
    if step.count < users * 0.99:
        raise OSError(f"only {step.count} of {users} users have logged on: {step.errors}")
    return {"cpu": cpu / step.count * 1000, "p50": step.latency.p50, "p99": step.latency.p99}


def _scenario(folder: Path, users: int, rate: int) -> Path:
    file = folder / f"storm-{users}.toml"
    file.write_text(SCENARIO.format(seconds=users / rate, rate=rate))
    return file


def _load(folder: Path, scenario: Path) -> Result:
    command = Path(sys.executable).with_name("tsfarm")
    words = [str(command), "load", str(scenario), "--lab", str(folder), "--json", "-"]
    done = subprocess.run(words, capture_output=True, env=os.environ, check=False)
    if done.returncode:
        raise OSError(f"tsfarm load: status {done.returncode}: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Result)


def _fresh(parent: Path, users: int) -> Path:
    """A folder for one more farm: devices of an earlier one are known there."""
    count = sum(1 for _ in parent.glob(f"farm-{users}-*"))
    return parent / f"farm-{users}-{count}"
