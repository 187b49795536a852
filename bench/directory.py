"""The session directory beside Redis: finding a user's session, and changing it.

Fifty links each, with the same client (`bench.pipelining`). The directory is the real daemon; each
link is a terminal server that has joined and synchronised its sessions. It has no accounts: what a
proof costs is its signature's check, some 60 µs, and no finding of sessions. Two loads:

- query: PlaceSession for a user with a session, which the directory finds and reserves;
  Redis: HGETALL of a hash with the same eleven fields
- update and query: UpdateSession of a row, then the query; Redis: HSET of the fields of an
  update, then HGETALL. Our update has no answer, so it is timed together with its query.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from bench import packages
from bench.context import BenchContext, Figures, of, take_turns
from bench.farm import farm
from bench.peers.redis import command, redis
from bench.pipelining import (
    Equal,
    Frames,
    Load,
    Pipeline,
    Server,
    connect,
    lines,
    measure,
    welcomed,
)
from bench.processes import resident_bytes
from bench.results import Aim, Row, row
from clients.load.target import issued
from daemons import lab
from tsproto import limits
from tsproto.codec import FrameReader, decode_message, encode
from tsproto.messages import (
    JoinFarm,
    PlaceSession,
    Role,
    SessionPlaced,
    SessionRow,
    SessionState,
    SyncSessions,
    UpdateSession,
)
from tsproto.transport.tls import FarmContext, daemon_tls

LINKS = 50
DEPTHS = (1, 16, 64)
AIM_DEPTH = 16
AIMS = {1: Aim(1.0), 16: Aim(1.2)}
MEMORY_AIM = Aim(1.5)
ROWS = (100_000, 1_000_000)
REQUESTS_A_LINK = 500  # of distinct users, repeated in turn
FIRST_REQUEST_ID = 70_000  # equal sizes of ids, and no answer as short as a heartbeat
CREATED_AT = 1_790_000_000
PEER = "Redis"
NO_ACCOUNTS = {"accounts": None}
QUERY, UPDATE = "query", "update and query"
OPERATIONS = {QUERY: 1, UPDATE: 2}
PIPELINED = 40  # messages of a synchronisation in flight


_T = TypeVar("_T")


class Side(msgspec.Struct, frozen=True):
    """A contestant with its rows loaded, and its requests by kind of load."""

    server: Server
    loads: dict[str, list[tuple[Pipeline, Load]]]
    bytes_a_row: float


def run(context: BenchContext) -> Iterator[Row]:
    sizes = (200,) if context.smoke else ROWS
    for rows in sizes:
        for is_secured in (False, True):
            yield from _compare(context, rows, is_secured)


def _compare(context: BenchContext, rows: int, is_secured: bool) -> Iterator[Row]:
    how = f"{rows:,} rows, {'TLS' if is_secured else 'plain'}"
    context.say(f"loading {how}")
    folder = context.folder / f"{rows}-{is_secured}"
    plan = lab.Plan(terminal_servers=(), license_servers=(), users=(), tls=is_secured)
    links = context.size(LINKS, 2)
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(farm(folder / "lab", plan, {plan.directory: NO_ACCOUNTS}))
        directory = made.lab.daemon(plan.directory)
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        pki = folder / "lab" / "pki"
        server = Server(directory.host, directory.port, made.process_of(directory.name))
        ours = runner.run(_load_ours(server, pki if is_secured else None, rows, links))
        stack.callback(lambda: runner.run(_close(ours)))
        theirs = None
        if packages.find("redis-server") is not None:
            secured = (pki, _identity(pki, "redis")) if is_secured else (None, None)
            peer = stack.enter_context(redis(folder / "redis", *secured))
            theirs = runner.run(_load_redis(peer, rows, links))
            stack.callback(lambda: runner.run(_close(theirs)))
        yield from _figures(context, runner, ours, theirs, how)


async def _close(side: Side) -> None:
    for pipeline, _ in side.loads[QUERY]:
        await pipeline.close()


def _figures(
    context: BenchContext, runner: asyncio.Runner, ours: Side, theirs: Side | None, how: str
) -> Iterator[Row]:
    sides = {"ours": ours, PEER: theirs} if theirs else {"ours": ours}
    for what, parts in OPERATIONS.items():
        for depth in (AIM_DEPTH,) if context.smoke else DEPTHS:
            case, seconds = f"{what}, {how}, depth {depth}", context.seconds(1.0)
            context.say(case)
            contestants = {
                name: partial(_measured, runner, side, what, depth, seconds, parts)
                for name, side in sides.items()
            }
            found = take_turns(context, contestants)
            mine, cpu, rate = found["ours"], of(found, PEER, "cpu"), of(found, PEER, "rate")
            aim = AIMS.get(depth)
            yield row(case, "server CPU an operation", "µs", mine["cpu"], PEER, cpu, aim)
            yield row(case, "operations", "/s", mine["rate"], PEER, rate)
    peer_bytes = [theirs.bytes_a_row] if theirs else None
    yield row(how, "memory a row", "B", [ours.bytes_a_row], PEER, peer_bytes, MEMORY_AIM)


def _measured(
    runner: asyncio.Runner, side: Side, what: str, depth: int, seconds: float, parts: int
) -> Figures:
    return runner.run(measure(side.server, side.loads[what], depth, seconds, parts))


# --- ours -----------------------------------------------------------------------------------------


async def _load_ours(server: Server, pki: Path | None, rows: int, links: int) -> Side:
    """Join as `links` terminal servers, synchronise all sessions, and prepare the requests."""
    before = resident_bytes(server.pid)
    side = Side(server, {QUERY: [], UPDATE: []}, 0.0)
    hosts = [f"host{number:03}" for number in range(links)]
    pipelines = [await welcomed(server, host, _identity(pki, host)) for host in hosts]
    shares = [[_row(host, i) for i in range(n, rows, links)] for n, host in enumerate(hosts)]
    await asyncio.gather(*map(_join, pipelines, hosts, shares))
    grown = resident_bytes(server.pid) - before
    for pipeline, owned in zip(pipelines, shares, strict=True):
        asked = await _with_receipts(pipeline, _asked(owned))
        side.loads[QUERY].append((pipeline, Load([_query(*each) for each in asked], Frames())))
        pairs = [_update(row) + _query(request_id, row) for request_id, row in asked]
        side.loads[UPDATE].append((pipeline, Load(pairs, Frames())))
    return msgspec.structs.replace(side, bytes_a_row=grown / rows)


def _identity(pki: Path | None, host: str) -> FarmContext | None:
    if pki is None:
        return None
    own = issued(pki, pki, Role.TERMINAL_SERVER, host)
    return daemon_tls(own.certificate, own.key, pki / "authority.crt")


async def _join(pipeline: Pipeline, host: str, rows: Sequence[SessionRow]) -> None:
    join = JoinFarm(
        address="127.0.0.1", port=5600, incarnation=bytes(16), sessions_max=2 * len(rows)
    )
    await pipeline.say(encode(join, 1), 1)
    size = limits.SESSIONS_PER_MESSAGE
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    for batch in _batches(parts, PIPELINED):
        frames = (
            encode(SyncSessions(sessions=list(part), last=part is parts[-1]), number)
            for number, part in enumerate(batch, FIRST_REQUEST_ID)
        )
        await pipeline.say(b"".join(frames), len(batch))


def _asked(rows: Sequence[SessionRow]) -> list[tuple[int, SessionRow]]:
    """Requests, with ids, for rows of one link that are spread over all its rows."""
    step = max(1, len(rows) // REQUESTS_A_LINK)
    return list(enumerate(rows[::step], FIRST_REQUEST_ID))


async def _with_receipts(
    pipeline: Pipeline, asked: Sequence[tuple[int, SessionRow]]
) -> list[tuple[int, SessionRow]]:
    """The same, with the directory's receipts: nobody is led to a row without one."""
    answers = Kept()
    wanted = [_query(request_id, row, wants_receipt=True) for request_id, row in asked]
    await pipeline.run_through(Load(wanted, answers, once=True), PIPELINED)
    given = {}
    for _, body in FrameReader(limits.FRAME_BYTES).feed(answers.data):
        answer = decode_message(body)
        if isinstance(answer, SessionPlaced):
            given[answer.request_id] = answer.receipt
    rows = [
        (request_id, msgspec.structs.replace(row, receipt=given[request_id]))
        for request_id, row in asked
    ]
    await pipeline.say(b"".join(_update(row) for _, row in rows) + _query(*rows[-1]), 1)
    return rows


class Kept(Frames):
    """Counts answers, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def __call__(self, data: bytes) -> int:
        self.data += data
        return super().__call__(data)


def _query(request_id: int, row: SessionRow, *, wants_receipt: bool = False) -> bytes:
    asked = PlaceSession(
        user_name=row.user_name,
        application=row.application,
        session_id=row.session_id if wants_receipt else 0,
    )
    return encode(asked, request_id)


def _update(row: SessionRow) -> bytes:
    return encode(UpdateSession(session=row))


def _row(host: str, index: int) -> SessionRow:
    return SessionRow(
        host=host,
        session_id=index + 1,
        user_name=f"user{index:07}",
        application="",
        state=SessionState.DISCONNECTED,
        created_at=CREATED_AT,
        disconnected_at=CREATED_AT + index % 1000,
        placement=index + 1,
        columns=132,
        rows=43,
        device_name=f"laptop{index:07}",
    )


# --- Redis ----------------------------------------------------------------------------------------


async def _load_redis(server: Server, rows: int, links: int) -> Side:
    before = resident_bytes(server.pid)
    side = Side(server, {QUERY: [], UPDATE: []}, 0.0)
    pipelines = [await connect(server, Equal(1, lines)) for _ in range(links)]
    for number, pipeline in enumerate(pipelines):
        owned = [_row(f"host{number:03}", index) for index in range(number, rows, links)]
        for batch in _batches(owned, PIPELINED * limits.SESSIONS_PER_MESSAGE):
            await pipeline.say(b"".join(_hash(row) for row in batch), len(batch))
        asked = [row for _, row in _asked(owned)]
        got = Equal(1 + 2 * 2 * len(SessionRow.__struct_fields__), lines)
        side.loads[QUERY].append((pipeline, Load([_get(row) for row in asked], got)))
        both = Equal(2 + 2 * 2 * len(SessionRow.__struct_fields__), lines)
        pairs = [_change(row) + _get(row) for row in asked]
        side.loads[UPDATE].append((pipeline, Load(pairs, both)))
    grown = resident_bytes(server.pid) - before
    return msgspec.structs.replace(side, bytes_a_row=grown / rows)


def _hash(row: SessionRow) -> bytes:
    fields = zip(row.__struct_fields__, msgspec.structs.astuple(row), strict=True)
    words = itertools.chain.from_iterable((name, _word(value)) for name, value in fields)
    return command("HSET", f"session:{row.user_name}", *words)


def _change(row: SessionRow) -> bytes:
    """Sets the fields that change when a session is left or shown."""
    changed = ("state", "disconnected_at", "columns", "rows", "device_name")
    words = itertools.chain.from_iterable((name, _word(getattr(row, name))) for name in changed)
    return command("HSET", f"session:{row.user_name}", *words)


def _get(row: SessionRow) -> bytes:
    return command("HGETALL", f"session:{row.user_name}")


def _word(value: object) -> str:
    return str(int(value)) if isinstance(value, int) else str(value)


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
