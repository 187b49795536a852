"""What an idle session costs whoever is attached to it over TLS, beside sshd's connections.

Ours: users attached to sessions on four terminal servers, farms of one each, up to 10,000 or as
many as this machine's terminals, descriptors and processes allow. A session runs `cat`, which
waits. Every client is the client library's, in this process; it answers heartbeats. Memory is
proportional set size: what a process has alone, and its part of what several share.

- of the terminal server: its growth for each attached session, from the first one on;
- of the keeper the same; of the program the size of a `cat`, which is apart;
- of sshd: what two processes a connection take, for connections that run `cat` on a terminal.

Memory does not vary from turn to turn, so this is measured once.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.course import Course, cpu_seconds, resident_bytes
from bench.peers import openssh
from bench.peers.openssh import Sshd
from bench.processes import descendants
from bench.programs import Program
from bench.results import Aim, Row, alone, beside, within
from bench.terminals import TerminalServer, terminal_servers
from bench.viewer import Viewer, device_in_memory
from tsproto.limits import SESSIONS_PER_SERVER_MAX

SESSIONS, SMOKE_SESSIONS = 10_000, 20
UNTRACKED = 1000  # sessions without screen tracking: what each costs is known by then
SERVERS = 4
PEER_CONNECTIONS = 50
AT_ONCE = 16  # logons at a time
MEMORY_AIM = Aim(45, of_ratio=False)
IDLE_SECONDS = 30.0  # two heartbeats of every link
RESERVED = 300  # descriptors, terminals and processes that are needed beside those of sessions
KEEPER_DESCRIPTORS = 4  # of a session: terminal, its other end, ring, process
CLIENT_DESCRIPTORS = 1
END_OF_FILE = b"\x04"
END_SECONDS = 120.0


class Room(msgspec.Struct, frozen=True):
    """How many sessions there is room for, and what sets the limit."""

    sessions: int
    limit: str


def run(course: Course) -> Iterator[Row]:
    servers = course.size(SERVERS, 1)
    room = room_for(course.size(SESSIONS, SMOKE_SESSIONS), servers)
    course.say(f"{room.sessions:,} sessions: {room.limit}")
    theirs = None
    if openssh.is_there():
        with openssh.openssh(course.folder / "openssh") as sshd:
            theirs = _bytes_of_sshd(sshd, course.size(PEER_CONNECTIONS, 3))
    for tracked, sessions in ((True, room.sessions), (False, min(room.sessions, UNTRACKED))):
        keys = {"screen": tracked, "sessions_max": max(SESSIONS_PER_SERVER_MAX, sessions)}
        variants = {f"ts{number}": keys for number in range(1, servers + 1)}
        folder = course.folder / f"lab-{tracked}"
        with terminal_servers(folder, {"idle": ("/bin/cat",)}, variants, sessions) as made:
            found = uvloop.run(_measure(course, list(made.values()), sessions))
        case = f"{sessions:,} attached, screen tracking {'on' if tracked else 'off'}"
        yield from _rows(case, room, found, theirs)


def room_for(wanted: int, servers: int) -> Room:
    """By this machine's limits as they are now."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    terminals = int(Path("/proc/sys/kernel/pty/max").read_text())
    taken = int(Path("/proc/sys/kernel/pty/nr").read_text())
    process_ids = int(Path("/proc/sys/kernel/pid_max").read_text())
    if processes == resource.RLIM_INFINITY:
        processes = process_ids
    return smallest(
        {
            "as many as are wanted": wanted,
            "kernel.pty.max": terminals - taken - RESERVED,
            "descriptors of this process": (descriptors - RESERVED) // CLIENT_DESCRIPTORS,
            "descriptors of the keepers": servers
            * ((descriptors - RESERVED) // KEEPER_DESCRIPTORS),
            "processes": min(processes, process_ids) - RESERVED,
        }
    )


def smallest(limits: dict[str, int]) -> Room:
    """Raises OSError when there is room for none."""
    limit = min(limits, key=lambda name: limits[name])
    if limits[limit] < 1:
        raise OSError(f"no room for a session: {limit}")
    return Room(limits[limit], limit)


def _rows(
    case: str, room: Room, found: dict[str, float], theirs: list[float] | None
) -> Iterator[Row]:
    note = f"a session runs cat; limit: {room.limit}"
    mine = [found["server"] / 1024]
    yield within("connections", case, "of the terminal server, each", "KiB", mine, MEMORY_AIM, note)
    if theirs is not None:
        whole = [(found["server"] + found["keeper"]) / 1024]
        other = [each / 1024 for each in theirs]
        figure = "with the keeper's, each"
        yield beside("connections", case, figure, "KiB", whole, "sshd", other)
    for figure, name in (("of the keeper, each", "keeper"), ("of a cat, each", "program")):
        yield alone("connections", case, figure, "KiB", [found[name] / 1024])
    yield alone("connections", case, "logons on the way there", "/s", [found["rate"]])
    yield alone("connections", case, "CPU of all while idle", "% of a core", [found["idle"] * 100])


# --- ours -----------------------------------------------------------------------------------------


async def _measure(
    course: Course, servers: Sequence[TerminalServer], sessions: int
) -> dict[str, float]:
    viewers = await _attach(servers, len(servers))
    before = _bytes_of(servers)
    began = time.perf_counter()
    viewers += await _attach(servers, sessions - len(viewers))
    took = time.perf_counter() - began
    grown = len(viewers) - len(servers)
    after = _bytes_of(servers)
    cpu = _cpu_of(servers)
    idle_since = time.perf_counter()
    await asyncio.sleep(course.seconds(IDLE_SECONDS))
    idle = (_cpu_of(servers) - cpu) / (time.perf_counter() - idle_since)
    programs = [pid for server in servers for pid in descendants(server.keeper)][:100]
    # Of what a keeper shares with other processes less is its own, the more of them there are.
    found = {name: max(0.0, after[name] - before[name]) / grown for name in before}
    found["program"] = sum(map(resident_bytes, programs)) / len(programs)
    await _end(viewers)
    return {**found, "rate": grown / took, "idle": idle}


async def _attach(servers: Sequence[TerminalServer], count: int) -> list[Viewer]:
    """Each with a user of its own, all on one device, in turn on the servers."""
    device = device_in_memory()
    turns = asyncio.Semaphore(AT_ONCE)

    async def attached(server: TerminalServer) -> Viewer:
        async with turns:
            viewer = Viewer(server.seat("idle"), device)
            await viewer.attached
            return viewer

    work = (attached(servers[number % len(servers)]) for number in range(count))
    return list(await asyncio.gather(*work))


async def _end(viewers: Sequence[Viewer]) -> None:
    """The programs end by themselves, as at the end of a user's day."""
    for viewer in viewers:
        viewer.send(END_OF_FILE)
    async with asyncio.timeout(END_SECONDS):
        await asyncio.gather(*(viewer.ended_by_program() for viewer in viewers))


def _bytes_of(servers: Sequence[TerminalServer]) -> dict[str, float]:
    return {
        "server": sum(resident_bytes(server.pid) for server in servers),
        "keeper": sum(resident_bytes(server.keeper) for server in servers),
    }


def _cpu_of(servers: Sequence[TerminalServer]) -> float:
    return sum(cpu_seconds(server.pid) + cpu_seconds(server.keeper) for server in servers)


# --- sshd -----------------------------------------------------------------------------------------


def _bytes_of_sshd(sshd: Sshd, count: int) -> list[float]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            words = sshd.words("echo ready; exec cat", terminal=True)
            program = stack.enter_context(Program(words))
            program.read_until(b"ready")
        return [sum(map(resident_bytes, sshd.connections())) / count]
