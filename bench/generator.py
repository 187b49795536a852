"""The load generator alone: its rate against a server that costs next to nothing.

Ours is the real command with one worker against `bench.trivial`: every answer is decoded, checked
against its request and timed. wrk, in C, requests one constant page and checks little of it; the
ratio is the price of a protocol in Python.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

from bench import packages
from bench.context import BenchContext, Figures, of, take_turns
from bench.programs import load
from bench.results import Aim, Row, row
from bench.serving import serving

AIM = Aim(100_000, at_most=False, of_ratio=False)  # requests for a second of a core
IN_FLIGHT = 64
SCENARIO = """
drives = "licenses"
[closed]
users = {users}
seconds = {seconds}
[[journeys]]
acts = [{{ do = "issue" }}]
"""


def run(context: BenchContext) -> Iterator[Row]:
    contestants = {"ours": lambda: _ours(context)}
    wrk = packages.find("wrk")
    if wrk is not None:
        contestants["wrk"] = lambda: _wrk(wrk, context)
    found = take_turns(context, contestants)
    ours, figure = found["ours"], "requests for a second of its CPU"
    yield row("one worker", figure, "", ours["per_cpu"], aim=AIM)
    yield row("one worker", "requests", "/s", ours["rate"], aim=AIM)
    yield row("beside wrk", figure, "", ours["per_cpu"], "wrk", of(found, "wrk", "per_cpu"))


def _ours(context: BenchContext) -> Figures:
    scenario = context.folder / "generator.toml"
    scenario.write_text(SCENARIO.format(users=IN_FLIGHT, seconds=max(context.seconds(3.0), 1.0)))
    with serving("trivial") as server:
        where = f"{server.host}:{server.port}"
        result = load(str(scenario), "--plain", "--license-server", where, "--links", "2")
    rate = result.steps[0].per_second
    return {"rate": rate, "per_cpu": rate / result.generator.busy}


def _wrk(wrk: str, context: BenchContext) -> Figures:
    seconds = str(round(max(context.seconds(3.0), 1.0)))
    with serving("http") as server:
        words = [wrk, "-t1", f"-c{IN_FLIGHT}", f"-d{seconds}"]
        before = os.times()
        done = subprocess.run(
            [*words, f"http://{server.host}:{server.port}/"], capture_output=True, text=True
        )
        after = os.times()
    counted = re.search(r"(\d+) requests in", done.stdout)
    if done.returncode or counted is None:
        raise OSError(f"wrk: status {done.returncode}: {done.stdout}")
    cpu = after.children_user + after.children_system
    return {"per_cpu": int(counted[1]) / (cpu - before.children_user - before.children_system)}
