"""Logons beside OpenSSH's with a key, and coming back to a session beside `tmux attach` through it.

Ours is the client library in this process, over TLS, against a whole farm: terminal servers,
session directory, license server. A first logon is that of a device without a license, which is
given one, durable at its license server, and of a user without a session. Each side runs the same
command with the same shell.

- throughput: logons whose session runs `true` and ends, from the first dial to the end of the last
  session, eight at a time. Our devices keep their licenses in memory: they would be as many
  machines. Clients of both sides share the machine with the servers, and each ssh is a process.
- first byte: one logon at a time, from the dial until the session has shown a byte. That of ssh
  includes the start of its program, as a user waits for it; so does the row of `tsfarm connect`.
  Our device keeps its license in files.

The check of a password is apart: the accounts have hashes that cost next to nothing. Server CPU is
that of all daemons and of what they started, programs included.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from bench.course import Course, Figures, children_cpu_seconds, cpu_seconds, take_turns
from bench.farm import farm, farm_cpu_seconds, hosts_of, keeper_of
from bench.peers import openssh, tmux
from bench.peers.openssh import Sshd
from bench.peers.tmux import Tmux
from bench.processes import wait_until_childless
from bench.programs import Program
from bench.results import Aim, Row, alone, beside
from bench.viewer import Seat, Viewer, device_in_memory
from clients.device import Device
from daemons import accounts, lab
from daemons.lab.plan import Lab, LicenseServerPlan, Plan

IN_FLIGHT = 8
RATE_AIM = Aim(50, at_most=False)
FIRST_BYTE_AIM = Aim(0.1)
USERS = 10_000
SERVER, LATER = "ts1", "ts2"
COMMANDS = {"nothing": "true", "ready": "echo ready; exec cat"}
MISSING = "not compared: sshd or ssh is missing"


class Farm:
    """A farm that runs, and who logs on to it. Every user is new where not said otherwise."""

    def __init__(self, folder: Path, made: Lab, runner: asyncio.Runner) -> None:
        self.folder = folder
        self.lab = made
        self.hosts = hosts_of(made)
        self._authority = (folder / "pki" / "authority.crt").read_bytes()
        self._numbers = itertools.count()
        self._runner = runner

    def seat(self, application: str) -> Seat:
        return Seat(
            hosts=self.hosts[:1],
            authority=self._authority,
            user=f"user{next(self._numbers):04}",
            application=application,
        )

    def device(self) -> Device:
        """A new one, with files."""
        return Device.open(self.folder / "devices" / str(next(self._numbers)), "bench")

    def run(self, work: Awaitable[Figures]) -> Figures:
        return self._runner.run(_awaited(work))


def run(course: Course) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_farm(course.folder / "lab"))
        sshd = terminals = None
        if openssh.is_there():
            sshd = stack.enter_context(openssh.openssh(course.folder / "openssh"))
            if tmux.is_there():
                terminals = stack.enter_context(tmux.tmux(course.folder / "tmux"))
        yield from _throughput(course, ours, sshd)
        yield from _first_bytes(course, ours, sshd)
        lab.start(ours.folder, LATER)
        yield from _coming_back(course, ours, sshd, terminals)
        yield from _passwords(course, ours)


@contextlib.contextmanager
def _farm(folder: Path) -> Iterator[Farm]:
    """Its second terminal server is stopped: with it every other user would be sent there."""
    shell = pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"
    applications = {name: {"command": [shell, "-c", command]} for name, command in COMMANDS.items()}
    plan = Plan(
        terminal_servers=(SERVER, LATER),
        license_servers=(LicenseServerPlan("license", tokens=100),),
        users=("somebody",),
    )
    settings = {name: {"sessions": {"applications": applications}} for name in (SERVER, LATER)}
    users = [f"user{number:04}" for number in range(USERS)]
    with farm(folder, plan, settings, users) as made:
        lab.stop(folder, LATER)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            yield Farm(folder, made, runner)


# --- throughput -----------------------------------------------------------------------------------


def _throughput(course: Course, ours: Farm, sshd: Sshd | None) -> Iterator[Row]:
    logons = course.size(300, 4)
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: ours.run(_our_logons(ours, logons))
    }
    if sshd is not None:
        contestants["ssh"] = partial(_their_logons, sshd, course.size(48, 2))
    contestants["ours"]()  # the first of all logons opens links and files
    found = take_turns(course, contestants)
    case, note = f"first logon, {IN_FLIGHT} at a time", "shell and `true` included in the CPU"
    mine = found["ours"]
    if sshd is None:
        yield alone("logon", case, "logons", "/s", mine["rate"], note=MISSING)
        yield alone("logon", case, "server CPU a logon", "ms", mine["cpu"], note=MISSING)
        return
    peer, theirs = "ssh host true", found["ssh"]
    yield beside("logon", case, "logons", "/s", mine["rate"], peer, theirs["rate"], RATE_AIM)
    yield beside(
        "logon", case, "server CPU a logon", "ms", mine["cpu"], peer, theirs["cpu"], note=note
    )


async def _our_logons(ours: Farm, count: int) -> Figures:
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def log_on(seat: Seat) -> None:
        async with turns:
            await Viewer(seat, device_in_memory()).ended_by_program()

    seats = [ours.seat("nothing") for _ in range(count)]
    cpu, began = farm_cpu_seconds(ours.folder, ours.lab), time.perf_counter()
    await asyncio.gather(*map(log_on, seats))
    took = time.perf_counter() - began
    wait_until_childless(keeper_of(ours.folder, SERVER))
    cpu = farm_cpu_seconds(ours.folder, ours.lab) - cpu
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


def _first_bytes(course: Course, ours: Farm, sshd: Sshd | None) -> Iterator[Row]:
    count = course.size(15, 1)
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: ours.run(_median_async(count, partial(_first_logon, ours))),
        "program": lambda: _median(count, partial(_our_program, ours)),
    }
    if sshd is not None:
        contestants["ssh"] = lambda: _median(
            count, partial(_program, sshd.words(COMMANDS["ready"], terminal=True))
        )
    found = take_turns(course, contestants)
    rows = (
        ("first logon", "ours", FIRST_BYTE_AIM, "ssh with the start of its program"),
        (
            "first logon through `tsfarm connect`",
            "program",
            None,
            "both with their programs' start",
        ),
    )
    for case, who, aim, note in rows:
        mine = found[who]["seconds"]
        yield _seconds(case, mine, "ssh", found.get("ssh"), aim, note)


async def _first_logon(ours: Farm) -> float:
    viewer = Viewer(ours.seat("ready"), ours.device())
    seconds = await viewer.first_byte_seconds()
    await viewer.log_off()
    return seconds


def _our_program(ours: Farm) -> float:
    """A device with a license, and a user without a session, as ssh's key and user are."""
    password = ours.folder / "password"
    if not password.exists():
        password.write_bytes(ours.seat("").password)
        password.chmod(0o600)
    host = ours.hosts[0]
    words = [
        str(Path(sys.executable).with_name("tsfarm")),
        "connect",
        f"{host.address}:{host.port}",
    ]
    words += ["--user", ours.seat("").user, "--app", "ready", "--password-file", str(password)]
    words += ["--ca", str(ours.folder / "pki" / "authority.crt")]
    words += ["--store", str(ours.folder / "devices" / "program")]
    return _program(words)


def _program(words: list[str]) -> float:
    with Program(words, on_terminal=True) as program:
        program.read_until(b"ready")
        return time.perf_counter() - program.started_at


# --- coming back ----------------------------------------------------------------------------------


def _coming_back(
    course: Course, ours: Farm, sshd: Sshd | None, terminals: Tmux | None
) -> Iterator[Row]:
    count = course.size(15, 1)
    contestants: dict[str, Callable[[], Figures]] = {
        "direct": lambda: ours.run(_median_of_returns(ours, count, redirected=False)),
        "redirected": lambda: ours.run(_median_of_returns(ours, count, redirected=True)),
    }
    if sshd is not None and terminals is not None:
        terminals.start("ready", "sh", "-c", COMMANDS["ready"])
        words = sshd.words(terminals.attach("ready"), terminal=True)
        contestants["tmux"] = lambda: _median(count, partial(_program, words))
    found = take_turns(course, contestants)
    note = "ssh with the start of its program"
    for case, who in (("reconnect", "direct"), ("reconnect with redirect", "redirected")):
        mine, theirs = found[who]["seconds"], found.get("tmux")
        yield _seconds(case, mine, "ssh host tmux attach", theirs, FIRST_BYTE_AIM, note)


async def _median_of_returns(ours: Farm, count: int, *, redirected: bool) -> Figures:
    """One session, left and come back to, at its own host or by way of the other one."""
    seat, device = ours.seat("ready"), ours.device()
    viewer = Viewer(seat, device)
    await viewer.first_byte_seconds()
    its_host = (await viewer.attached).host
    ways = [host for host in ours.hosts if (host.name != its_host) is redirected]
    seat = msgspec.structs.replace(seat, hosts=tuple(ways))
    seconds = []
    for _ in range(count + 1):
        await viewer.disconnect()
        viewer = Viewer(seat, device)
        seconds.append(await viewer.first_byte_seconds())
    await viewer.log_off()
    return {"seconds": statistics.median(seconds[1:])}  # the first return is given a full license


# --- passwords ------------------------------------------------------------------------------------


def _passwords(course: Course, ours: Farm) -> Iterator[Row]:
    """What an ordinary hash adds to each of the logons above that gives a password."""
    password = (ours.folder / "users" / "somebody").read_bytes().rstrip()
    secret = accounts.read_accounts(ours.folder / "accounts")["somebody"].password_hash
    seconds = []
    for _ in range(course.size(5, 1)):
        began = time.perf_counter()
        assert accounts.matches(secret, password)
        seconds.append(time.perf_counter() - began)
    note = "argon2id; what an ordinary account adds to every logon with a password"
    yield alone("logon", "password", "check", "ms", [each * 1e3 for each in seconds], note=note)


# --- figures --------------------------------------------------------------------------------------


async def _awaited(work: Awaitable[Figures]) -> Figures:
    return await work


def _median(count: int, take: Callable[[], float]) -> Figures:
    return {"seconds": statistics.median(take() for _ in range(count))}


async def _median_async(count: int, take: Callable[[], Awaitable[float]]) -> Figures:
    return {"seconds": statistics.median([await take() for _ in range(count)])}


def _seconds(
    case: str,
    ours: list[float],
    peer: str,
    theirs: dict[str, list[float]] | None,
    aim: Aim | None,
    note: str,
) -> Row:
    figure, mine = "first byte after", [each * 1e3 for each in ours]
    if theirs is None:
        return alone("logon", case, figure, "ms", mine, note=f"not compared: {peer} is missing")
    other = [each * 1e3 for each in theirs["seconds"]]
    return beside("logon", case, figure, "ms", mine, peer, other, aim, note)
