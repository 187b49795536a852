"""How long a terminal server that has just started is without a license server, beside a lookup of
python-zeroconf.

Ours: a terminal server of a farm is stopped and started; the license server is found by broadcast.
The time is read from its log, from its first query to the license server in use: answered, dialled,
its certificate and its name verified, the connection open. Starting Python is not in it.

python-zeroconf: a service that another process has registered is found by a `ServiceBrowser` of an
instance that is new, whose sockets are open, in a process that has imported everything; the time
ends with its address and port. Nothing is authenticated then, and no connection is there. A browser
waits 20 to 120 ms at random before it asks, so that many that start at once do not speak at once
(RFC 6762, 5.2). Our first answer needs no such wait: a host asks once, and license servers limit
what they answer.

Both on loopback, one of each; a network adds its round trips, to ours the more of them.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from bench.course import Course, Figures, take_turns
from bench.farm import farm
from bench.peers import zeroconf
from bench.results import Aim, Row, alone, beside
from daemons import lab
from daemons.lab.plan import LicenseServerPlan, Plan

HOST = "ts1"
PLAN = Plan(
    terminal_servers=(HOST,),
    license_servers=(LicenseServerPlan("license", tokens=1),),
    users=("user1",),
)
# What no part has in this: the session directory is joined at the same time.
SETTINGS = {HOST: {"directory": None}}
SEARCHING, IN_USE = "license_server.searching", "license_server.in_use"
STARTS = 9  # in a repetition
FOUND_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.01
AIM = Aim(0.1)
CASE, FIGURE = "one license server, found by broadcast", "cold start to in use"
MISSING = "not compared: python-zeroconf is missing"


def run(course: Course) -> Iterator[Row]:
    starts = course.size(STARTS, 1)
    folder = course.folder / "lab"
    with farm(folder, PLAN, SETTINGS):

        def ours() -> Figures:
            return {"ms": median_ms(find_once(folder) for _ in range(starts))}

        if not zeroconf.is_there():
            found = take_turns(course, {"ours": ours})
            yield alone("discovery", CASE, FIGURE, "ms", found["ours"]["ms"], note=MISSING)
            return
        with zeroconf.zeroconf(course.folder / "zeroconf"):

            def theirs() -> Figures:
                return {"ms": median_ms(zeroconf.look_up() for _ in range(starts))}

            found = take_turns(course, {"ours": ours, "python-zeroconf": theirs})
    yield beside(
        "discovery",
        CASE,
        FIGURE,
        "ms",
        found["ours"]["ms"],
        "python-zeroconf",
        found["python-zeroconf"]["ms"],
        AIM,
        note="ours has a verified TLS connection then; the peer has an address, and asks only"
        " after a wait of 20 to 120 ms",
    )


def median_ms(seconds: Iterable[float]) -> float:
    return 1000 * statistics.median(seconds)


def find_once(folder: Path) -> float:
    """Stop the terminal server and start it: the seconds in which it then found."""
    log = folder / HOST / "log"
    lab.stop(folder, HOST)
    begin = log.stat().st_size
    lab.start(folder, HOST)
    deadline = time.monotonic() + FOUND_SECONDS
    while time.monotonic() < deadline:
        with open(log, "rb") as lines:
            lines.seek(begin)
            seconds = seconds_to_use(lines.read())
        if seconds is not None:
            return seconds
        time.sleep(LOOK_AGAIN_SECONDS)
    raise OSError(f"{HOST} found no license server within {FOUND_SECONDS:g} s; see {log}")


def seconds_to_use(log: bytes) -> float | None:
    """From the first query in a daemon's log to the first license server in use; None when there is
    none yet. A last line that is not whole is left out."""
    whole, _, _ = log.rpartition(b"\n")
    noted = [json.loads(line) for line in whole.splitlines()]
    times: dict[str, datetime] = {}
    for line in noted:
        times.setdefault(line["event"], datetime.fromisoformat(line["timestamp"]))
    if SEARCHING not in times or IN_USE not in times:
        return None
    return (times[IN_USE] - times[SEARCHING]).total_seconds()
