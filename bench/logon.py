"""Logons beside OpenSSH's with a key, and reconnecting beside `tmux attach` over ssh.

Ours is the client library in this process, over TLS, against a whole farm. A first logon is of a
device without a license, which it gets, durable at the license server, and of a user without a
session. Both sides run the same command in the same shell.

- throughput: logons whose session runs `true`, eight at a time, from the first dial to the end of
  the last session. Our devices keep licenses in memory: they stand for as many machines. Clients
  share the machine with the servers, and each ssh is a process.
- first byte: one logon at a time, from the dial to the first byte of the session. For ssh and
  `tsfarm connect` it includes the start of the program. Our device keeps its license in files.

A user signs with a key that is in memory: to derive it from a password is the client's work, and
measured apart. Server CPU is of all daemons and of the programs that they started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from bench.context import BenchContext, Figures, of, take_turns
from bench.farm import Farm, farm
from bench.peers.openssh import Sshd, openssh
from bench.peers.tmux import Tmux, tmux
from bench.processes import children_cpu_seconds, cpu_seconds, wait_until_childless
from bench.programs import Program
from bench.results import Aim, Row, row
from bench.viewer import Viewer, device_in_memory
from clients import user_keys
from clients.device import Device
from clients.logon import steps
from daemons import lab
from daemons.lab.plan import LicenseServerPlan, Plan
from tsproto import limits
from tsproto.user_proof import Cost

IN_FLIGHT = 8
RATE_AIM = Aim(50, at_most=False)
FIRST_BYTE_AIM = Aim(0.1)
USERS = 10_000
SERVER, LATER = "ts1", "ts2"
COMMANDS = {"nothing": "true", "ready": "echo ready; exec cat"}


def run(context: BenchContext) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_farm(context.folder / "lab"))
        sshd = stack.enter_context(openssh(context.folder / "openssh"))
        terminals = stack.enter_context(tmux(context.folder / "tmux"))
        yield from _throughput(context, ours, sshd)
        yield from _first_bytes(context, ours, sshd)
        lab.start(ours.folder, LATER)
        yield from _coming_back(context, ours, sshd, terminals)
        yield from _passwords(context)


@contextlib.contextmanager
def _farm(folder: Path) -> Iterator[Farm]:
    """The second terminal server is stopped; otherwise it would take every other user."""
    shell = pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"
    applications = {name: {"command": [shell, "-c", command]} for name, command in COMMANDS.items()}
    plan = Plan(
        terminal_servers=(SERVER, LATER),
        license_servers=(LicenseServerPlan("license", tokens=100),),
        users=(),
    )
    settings = {name: {"sessions": {"applications": applications}} for name in (SERVER, LATER)}
    with farm(folder, plan, settings, USERS) as made:
        lab.stop(folder, LATER)
        yield made


def _device(ours: Farm) -> Device:
    """A new device, kept in files."""
    return Device.open(ours.folder / "devices" / secrets.token_hex(4), "bench")


# --- throughput -----------------------------------------------------------------------------------


def _throughput(context: BenchContext, ours: Farm, sshd: Sshd | None) -> Iterator[Row]:
    logons = context.size(300, 4)
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: uvloop.run(_our_logons(ours, logons))
    }
    if sshd is not None:
        contestants["ssh"] = partial(_their_logons, sshd, context.size(48, 2))
    contestants["ours"]()  # the first logon of a farm opens links and files
    found = take_turns(context, contestants)
    case, peer, mine = f"first logon, {IN_FLIGHT} at a time", "ssh host true", found["ours"]
    rate, cpu = of(found, "ssh", "rate"), of(found, "ssh", "cpu")
    note = "shell and `true` included in the CPU"
    yield row(case, "logons", "/s", mine["rate"], peer, rate, RATE_AIM)
    yield row(case, "server CPU a logon", "ms", mine["cpu"], peer, cpu, note=note)


async def _our_logons(ours: Farm, count: int) -> Figures:
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def log_on(plan: steps.Plan) -> None:
        async with turns:
            await Viewer(ours, plan, device_in_memory()).ended_by_program()

    plans = [ours.logon("nothing") for _ in range(count)]
    cpu, began = ours.cpu_seconds(), time.perf_counter()
    await asyncio.gather(*map(log_on, plans))
    took = time.perf_counter() - began
    wait_until_childless(ours.keeper_of(SERVER))
    cpu = ours.cpu_seconds() - cpu
    return {"rate": count / took, "cpu": cpu / count * 1e3}


def _their_logons(sshd: Sshd, count: int) -> Figures:
    def log_on(_: int) -> None:
        words = sshd.words("true")
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    cpu, began = _cpu_of(sshd), time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(log_on, range(count)))
    took = time.perf_counter() - began
    wait_until_childless(sshd.pid)
    return {"rate": count / took, "cpu": (_cpu_of(sshd) - cpu) / count * 1e3}


def _cpu_of(sshd: Sshd) -> float:
    return cpu_seconds(sshd.pid) + children_cpu_seconds(sshd.pid)


# --- until the first byte -------------------------------------------------------------------------


def _first_bytes(context: BenchContext, ours: Farm, sshd: Sshd | None) -> Iterator[Row]:
    count = context.size(15, 1)
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: _median(count, lambda: uvloop.run(_first_logon(ours))),
        "program": lambda: _median(count, partial(_our_program, ours)),
    }
    if sshd is not None:
        contestants["ssh"] = lambda: _median(
            count, partial(_program, sshd.words(COMMANDS["ready"], terminal=True))
        )
    found = take_turns(context, contestants)
    theirs, figure = of(found, "ssh", "ms"), "first byte after"
    note = "ssh with the start of its program"
    yield row("first logon", figure, "ms", found["ours"]["ms"], "ssh", theirs, FIRST_BYTE_AIM, note)
    case, note = "first logon through `tsfarm connect`", "both with their programs' start"
    yield row(case, figure, "ms", found["program"]["ms"], "ssh", theirs, note=note)


async def _first_logon(ours: Farm) -> float:
    viewer = Viewer(ours, ours.logon("ready"), _device(ours))
    seconds = await viewer.first_byte_seconds()
    await viewer.log_off()
    return seconds


def _our_program(ours: Farm) -> float:
    """A device with a license and a user without a session, like ssh's key and user."""
    return _program(ours.words(ours.logon("ready"), ours.folder / "devices" / "program"))


def _program(words: list[str]) -> float:
    with Program(words, on_terminal=True) as program:
        program.read_until(b"ready")
        return time.perf_counter() - program.started_at


# --- coming back ----------------------------------------------------------------------------------


def _coming_back(
    context: BenchContext, ours: Farm, sshd: Sshd | None, terminals: Tmux | None
) -> Iterator[Row]:
    count = context.size(15, 1)
    contestants: dict[str, Callable[[], Figures]] = {
        "direct": lambda: uvloop.run(_median_of_returns(ours, count, redirected=False)),
        "redirected": lambda: uvloop.run(_median_of_returns(ours, count, redirected=True)),
    }
    if sshd is not None and terminals is not None:
        attach = terminals.session("sh", "-c", COMMANDS["ready"])
        words = sshd.words(attach, terminal=True)
        contestants["tmux"] = lambda: _median(count, partial(_program, words))
    found = take_turns(context, contestants)
    theirs, note = of(found, "tmux", "ms"), "ssh with the start of its program"
    for case, who in (("reconnect", "direct"), ("reconnect with redirect", "redirected")):
        mine, figure, peer = found[who]["ms"], "first byte after", "ssh host tmux attach"
        yield row(case, figure, "ms", mine, peer, theirs, FIRST_BYTE_AIM, note)


async def _median_of_returns(ours: Farm, count: int, *, redirected: bool) -> Figures:
    """A session that is left and reconnected to, at its host or through the other one."""
    plan, device = ours.logon("ready"), _device(ours)
    viewer = Viewer(ours, plan, device)
    await viewer.first_byte_seconds()
    ways = [host for host in ours.hosts if (host.name != viewer.shown.host) is redirected]
    plan = msgspec.structs.replace(plan, hosts=tuple(ways))
    seconds = []
    for _ in range(count + 1):
        await viewer.disconnect()
        viewer = Viewer(ours, plan, device)
        seconds.append(await viewer.first_byte_seconds())
    await viewer.log_off()
    return {"ms": 1e3 * statistics.median(seconds[1:])}  # the first return gets a full license


# --- passwords ------------------------------------------------------------------------------------


def _passwords(context: BenchContext) -> Iterator[Row]:
    """What a typed password costs the client, once a visit; each logon above lacks it."""
    seconds = []
    for _ in range(context.size(5, 1)):
        began = time.perf_counter()
        asyncio.run(user_keys.argon2id(b"open sesame", bytes(limits.SALT_BYTES), Cost()))
        seconds.append(time.perf_counter() - began)
    note = "argon2id, on the client; no host hashes a password"
    yield row(
        "password", "derivation of its key", "ms", [each * 1e3 for each in seconds], note=note
    )


# --- figures --------------------------------------------------------------------------------------


def _median(count: int, take: Callable[[], float]) -> Figures:
    return {"ms": 1e3 * statistics.median(take() for _ in range(count))}
