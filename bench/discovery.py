"""The time in which a new terminal server finds a license server, beside python-zeroconf.

Ours: a terminal server of a farm is restarted and finds its license server by broadcast. The time
is read from its log, from the first query to the license server in use: answered, dialled,
certificate and name verified. Starting Python is not included.

python-zeroconf: a `ServiceBrowser` of a new instance, with open sockets, finds a service that
another process has registered; the time ends with its address and port, without a connection or
authentication. A browser waits 20 to 120 ms at random before its query (RFC 6762, 5.2). Ours needs
no such wait: a host asks once, and license servers limit their answers.

Both on loopback; a network adds round trips, more of them to ours.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from bench.context import BenchContext, Figures, of, take_turns
from bench.farm import farm
from bench.peers import zeroconf
from bench.results import Aim, Row, row
from daemons import lab
from daemons.lab.plan import LicenseServerPlan, Plan

HOST = "ts1"
PLAN = Plan(
    terminal_servers=(HOST,),
    license_servers=(LicenseServerPlan("license", tokens=1),),
    users=("user1",),
)
# Without a session directory, which would be joined at the same time.
SETTINGS = {HOST: {"directory": None}}
SEARCHING, IN_USE = "license_server.searching", "license_server.in_use"
STARTS = 9  # of each repetition
FOUND_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.01
AIM = Aim(0.1)
CASE, FIGURE = "one license server, found by broadcast", "cold start to in use"
PEER = "python-zeroconf"
NOTE = "ours has a verified TLS connection then; the peer an address, after a wait of 20 to 120 ms"


def run(context: BenchContext) -> Iterator[Row]:
    starts = context.size(STARTS, 1)
    folder = context.folder / "lab"
    with contextlib.ExitStack() as stack:
        stack.enter_context(farm(folder, PLAN, SETTINGS))
        contestants = {"ours": lambda: _median_ms(find_once(folder) for _ in range(starts))}
        if zeroconf.is_there():
            stack.enter_context(zeroconf.zeroconf(context.folder / "zeroconf"))
            contestants[PEER] = lambda: _median_ms(zeroconf.look_up() for _ in range(starts))
        found = take_turns(context, contestants)
    yield row(CASE, FIGURE, "ms", found["ours"]["ms"], PEER, of(found, PEER, "ms"), AIM, NOTE)


def _median_ms(seconds: Iterable[float]) -> Figures:
    return {"ms": 1000 * statistics.median(seconds)}


def find_once(folder: Path) -> float:
    """Restart the terminal server; returns the seconds in which it found the license server."""
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
    none yet. An incomplete last line is skipped."""
    whole, _, _ = log.rpartition(b"\n")
    noted = [json.loads(line) for line in whole.splitlines()]
    times: dict[str, datetime] = {}
    for line in noted:
        times.setdefault(line["event"], datetime.fromisoformat(line["timestamp"]))
    if SEARCHING not in times or IN_USE not in times:
        return None
    return (times[IN_USE] - times[SEARCHING]).total_seconds()
