"""The memory of an idle session with an attached client over TLS, beside sshd's connections.

Up to 10,000 users are attached to sessions on four terminal servers, each a farm of its own; the
machine's terminals, descriptors and processes may allow fewer. A session runs `cat`, which waits.
All clients are the client library's, in this process; they answer heartbeats. Memory is
proportional set size: private pages, and a share of the shared ones.

- terminal server and keeper: growth for each attached session after the first ones
- program: the size of a `cat`, on its own
- sshd: its two processes for each connection that runs `cat` on a terminal

Memory does not vary from turn to turn, so it is measured once.
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

from bench.context import BenchContext
from bench.peers.openssh import Sshd, openssh
from bench.processes import cpu_seconds, descendants, resident_bytes
from bench.programs import Program
from bench.results import Aim, Row, row
from bench.terminals import TerminalServer, terminal_servers
from bench.viewer import Viewer, device_in_memory
from tsproto.limits import SESSIONS_PER_SERVER_MAX

SESSIONS, SMOKE_SESSIONS = 10_000, 20
UNTRACKED = 1000  # sessions without screen tracking: enough for a figure
SERVERS = 4
PEER_CONNECTIONS = 50
AT_ONCE = 16  # logons at a time
MEMORY_AIM = Aim(45, of_ratio=False)
IDLE_SECONDS = 30.0  # two heartbeats of each link
RESERVED = 300  # descriptors, terminals and processes for other uses
KEEPER_DESCRIPTORS = 4  # of a session: terminal, its other end, ring, process
CLIENT_DESCRIPTORS = 1
END_OF_FILE = b"\x04"
END_SECONDS = 120.0


class Room(msgspec.Struct, frozen=True):
    """The number of sessions that fit, and the limit that sets it."""

    sessions: int
    limit: str


def run(context: BenchContext) -> Iterator[Row]:
    servers = context.size(SERVERS, 1)
    room = room_for(context.size(SESSIONS, SMOKE_SESSIONS), servers)
    context.say(f"{room.sessions:,} sessions: {room.limit}")
    with openssh(context.folder / "openssh") as sshd:
        theirs = _kib_of_sshd(sshd, context.size(PEER_CONNECTIONS, 3)) if sshd else None
    for tracked, sessions in ((True, room.sessions), (False, min(room.sessions, UNTRACKED))):
        keys = {"screen": tracked, "sessions_max": max(SESSIONS_PER_SERVER_MAX, sessions)}
        variants = {f"ts{number}": keys for number in range(1, servers + 1)}
        folder = context.folder / f"lab-{tracked}"
        with terminal_servers(folder, {"idle": ("/bin/cat",)}, variants, sessions) as made:
            found = uvloop.run(_measure(context, list(made.values()), sessions))
        case = f"{sessions:,} attached, screen tracking {'on' if tracked else 'off'}"
        yield from _rows(case, room, found, theirs)


def room_for(wanted: int, servers: int) -> Room:
    """The number of sessions that this machine's present limits allow."""
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
    """Raises OSError when not even one session fits."""
    limit = min(limits, key=lambda name: limits[name])
    if limits[limit] < 1:
        raise OSError(f"no room for a session: {limit}")
    return Room(limits[limit], limit)


def _rows(
    case: str, room: Room, found: dict[str, float], theirs: list[float] | None
) -> Iterator[Row]:
    note = f"a session runs cat; limit: {room.limit}"
    mine = [found["server"] / 1024]
    yield row(case, "of the terminal server, each", "KiB", mine, aim=MEMORY_AIM, note=note)
    whole = [(found["server"] + found["keeper"]) / 1024]
    yield row(case, "with the keeper's, each", "KiB", whole, "sshd", theirs)
    for figure, name in (("of the keeper, each", "keeper"), ("of a cat, each", "program")):
        yield row(case, figure, "KiB", [found[name] / 1024])
    yield row(case, "logons on the way there", "/s", [found["rate"]])
    yield row(case, "CPU of all while idle", "% of a core", [found["idle"] * 100])


# --- ours -----------------------------------------------------------------------------------------


async def _measure(
    context: BenchContext, servers: Sequence[TerminalServer], sessions: int
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
    await asyncio.sleep(context.seconds(IDLE_SECONDS))
    idle = (_cpu_of(servers) - cpu) / (time.perf_counter() - idle_since)
    programs = [pid for server in servers for pid in descendants(server.keeper)][:100]
    # A keeper's share of shared pages shrinks as processes come: growth may be below 0.
    found = {name: max(0.0, after[name] - before[name]) / grown for name in before}
    found["program"] = sum(map(resident_bytes, programs)) / len(programs)
    await _end(viewers)
    return {**found, "rate": grown / took, "idle": idle}


async def _attach(servers: Sequence[TerminalServer], count: int) -> list[Viewer]:
    """Attach `count` new users to the servers in turn, all from one device."""
    device = device_in_memory()
    turns = asyncio.Semaphore(AT_ONCE)

    async def attached(server: TerminalServer) -> Viewer:
        async with turns:
            viewer = server.viewer("idle", device)
            await viewer.begun()
            return viewer

    work = (attached(servers[number % len(servers)]) for number in range(count))
    return list(await asyncio.gather(*work))


async def _end(viewers: Sequence[Viewer]) -> None:
    """End the programs by end-of-file, as users do."""
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


def _kib_of_sshd(sshd: Sshd, count: int) -> list[float]:
    """KiB of each connection."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            words = sshd.words("echo ready; exec cat", terminal=True)
            program = stack.enter_context(Program(words))
            program.read_until(b"ready")
        return [sum(map(resident_bytes, sshd.connections())) / count / 1024]
