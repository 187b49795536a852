"""The load generator alone: what it can ask of a server that does next to nothing.

Ours is the real command with one worker against `bench.trivial`: every answer is decoded, checked
against its request and timed. Beside it wrk, in C, asks a bare server for one constant page and
looks at little of it; the ratio says what a generator pays for speaking a protocol in Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import packages
from bench.course import Course, Figures, take_turns
from bench.results import Aim, Row, beside, within
from bench.serving import HTTP, serving, trivial
from clients.load.measuring.results import Result

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


def run(course: Course) -> Iterator[Row]:
    contestants = {"ours": lambda: _ours(course)}
    wrk = packages.find("wrk")
    if wrk is not None:
        contestants["wrk"] = lambda: _wrk(wrk, course)
    found = take_turns(course, contestants)
    ours, figure = found["ours"], "requests for a second of its CPU"
    note = "" if wrk else "not compared: wrk is missing"
    yield within("generator", "one worker", figure, "", ours["per_cpu"], AIM, note)
    yield within("generator", "one worker", "requests", "/s", ours["rate"], AIM)
    if wrk is not None:
        yield beside(
            "generator", "beside wrk", figure, "", ours["per_cpu"], "wrk", found["wrk"]["per_cpu"]
        )


def _ours(course: Course) -> Figures:
    scenario = course.folder / "generator.toml"
    scenario.write_text(SCENARIO.format(users=IN_FLIGHT, seconds=max(course.seconds(3.0), 1.0)))
    command = str(Path(sys.executable).with_name("tsfarm"))
    with trivial("license-server") as server:
        where = f"{server.host}:{server.port}"
        words = [command, "load", str(scenario), "--plain", "--license-server", where]
        words += ["--links", "2", "--json", "-"]
        done = subprocess.run(words, capture_output=True, env=os.environ, check=False)
    if done.returncode:
        raise OSError(f"tsfarm load: status {done.returncode}: {done.stderr.decode()[-2000:]}")
    result = msgspec.json.decode(done.stdout, type=Result)
    rate = result.steps[0].per_second
    return {"rate": rate, "per_cpu": rate / result.generator.busy}


def _wrk(wrk: str, course: Course) -> Figures:
    seconds = str(round(max(course.seconds(3.0), 1.0)))
    with serving(HTTP) as server:
        words = [
            wrk,
            "-t1",
            f"-c{IN_FLIGHT}",
            f"-d{seconds}",
            f"http://{server.host}:{server.port}/",
        ]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    counted = re.search(r"(\d+) requests in", said)
    if process.returncode or counted is None:
        raise OSError(f"wrk: status {process.returncode}: {said}")
    return {"per_cpu": int(counted[1]) / (usage.ru_utime + usage.ru_stime)}
