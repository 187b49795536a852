"""Durable licenses beside PostgreSQL: issue, make full, renew; 1, 16 and 128 in flight.

Ours is the real license server over plain TCP on one link: each answer is a signed token whose
ledger row is on disk (SQLite, synchronous=FULL, group commit). In PostgreSQL the same row is an
upsert with a commit of its own, over one connection for each request in flight; nothing is signed
or checked. The two floors of ours are measured alone: SQLite's group commit of such a row, and an
Ed25519 signature.

A renewal needs a token near its end, so each repetition has a farm of its own with a warped clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import psycopg
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import packages
from bench.context import BenchContext, Figures, Found, of, take_turns
from bench.farm import farm
from bench.peers.postgresql import postgresql, server_pid
from bench.pipelining import Frames, Load, Pipeline, Server, welcomed
from bench.processes import cpu_seconds, descendants
from bench.results import Aim, Row, row
from clients.known_lab import warp
from clients.load.drivers.licenses import PRODUCT, acquisition, renewal, validation
from daemons import lab
from tsproto import limits
from tsproto.codec import FrameReader, decode_message, encode
from tsproto.messages import AcquireLicense, LicenseIssued, Message

DEPTHS = (1, 16, 128)
AIM = Aim(3.0, at_most=False)  # at 16 in flight
AIM_DEPTH = 16
DEVICES = 4000  # below the limit of one terminal server in a minute
FIRST_REQUEST_ID = 70_000
# Full tokens last 52 to 89 days: then those of the last six are near their end.
WARP_DAYS = limits.FULL_DAYS_MAX - limits.RENEWAL_DAYS + 1
SERVER = "license-a"
TOKEN_BYTES = 250  # a typical token with its signature
CLAIMS_BYTES = 180
PEER = "PostgreSQL"
WHAT = ("issue", "make full", "renew")


def run(context: BenchContext) -> Iterator[Row]:
    has_postgresql = packages.find("initdb") is not None
    for depth in (AIM_DEPTH,) if context.smoke else DEPTHS:
        yield from _compare(context, depth, has_postgresql)
    signing = take_turns(context, {"Ed25519 alone": partial(_sign, context.size(5000, 50))})
    yield row("Ed25519 alone", "CPU a signature", "µs", signing["Ed25519 alone"]["cpu"])


def _compare(context: BenchContext, depth: int, has_postgresql: bool) -> Iterator[Row]:
    count = context.size(DEVICES, 60)
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: _ours(context.fresh(), count, depth),
        "SQLite alone": lambda: _sqlite(context.folder / f"alone-{depth}.db", count, depth),
    }
    folder = context.folder / f"postgresql-{depth}"
    with contextlib.ExitStack() as stack:
        if has_postgresql:
            address = stack.enter_context(postgresql(folder))
            contestants[PEER] = partial(_postgresql, address, folder, count, depth)
        found = take_turns(context, contestants)
    yield from _rows(found, depth)


def _rows(found: Found, depth: int) -> Iterator[Row]:
    ours, aim = found["ours"], AIM if depth == AIM_DEPTH else None
    upserts, cpu = of(found, PEER, "upsert"), of(found, PEER, "upsert cpu")
    for what in WHAT:
        case = f"{what}, {depth} in flight"
        yield row(case, "operations", "/s", ours[what], PEER, upserts, aim)
        yield row(case, "server CPU an operation", "µs", ours[f"{what} cpu"], PEER, cpu)
    case, alone = f"issue, {depth} in flight", found["SQLite alone"]["rows"]
    yield row(case, "operations", "/s", ours["issue"], "SQLite alone", alone)


# --- ours -----------------------------------------------------------------------------------------


def _ours(folder: Path, count: int, depth: int) -> Figures:
    plan = lab.Plan(
        terminal_servers=(),
        license_servers=(lab.LicenseServerPlan(SERVER, tokens=count),),
        users=(),
        tls=False,
    )
    with farm(folder, plan) as made:
        daemon = made.lab.daemon(SERVER)
        server = Server(daemon.host, daemon.port, made.process_of(SERVER))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            pipeline = runner.run(welcomed(server, "ts1"))
            figures, issued = runner.run(_made_full(server, pipeline, count, depth))
            warp(folder, WARP_DAYS * limits.DAY_SECONDS)
            figures |= runner.run(_renewed(server, pipeline, issued, depth))
            runner.run(pipeline.close())
    return figures


async def _made_full(
    server: Server, pipeline: Pipeline, count: int, depth: int
) -> tuple[Figures, list[tuple[AcquireLicense, LicenseIssued]]]:
    acquired = [acquisition(os.urandom(32), "laptop1") for _ in range(count)]
    _, figures = await _timed(server, pipeline, "issue", acquired, depth)
    validated = [validation(each) for each in acquired]
    await pipeline.run_through(Load(_frames(validated), Frames(), once=True), depth)
    issued, of_full = await _timed(server, pipeline, "make full", acquired, depth)
    return figures | of_full, list(zip(acquired, issued, strict=True))


async def _renewed(
    server: Server,
    pipeline: Pipeline,
    issued: Sequence[tuple[AcquireLicense, LicenseIssued]],
    depth: int,
) -> Figures:
    last = max(license.expires_at for _, license in issued)
    near_seconds = (limits.FULL_DAYS_MAX - WARP_DAYS) * limits.DAY_SECONDS
    near = [
        renewal(asked, license.license_id)
        for asked, license in issued
        if last - license.expires_at < near_seconds
    ]
    renewed, figures = await _timed(server, pipeline, "renew", near, depth)
    if any(license.expires_at <= last for license in renewed):
        raise OSError("the license server has not renewed every token that was near its end")
    return figures


async def _timed(
    server: Server, pipeline: Pipeline, what: str, asked: Sequence[Message], depth: int
) -> tuple[list[LicenseIssued], Figures]:
    """The answers in the order of the requests, their rate, and the server's CPU time."""
    kept: list[bytes] = []
    count = Frames()

    def keep(data: bytes) -> int:
        kept.append(data)
        return count(data)

    load = Load(_frames(asked), keep, once=True)
    cpu, began = cpu_seconds(server.pid), time.perf_counter()
    await pipeline.run_through(load, depth)
    took, cpu = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
    frames = FrameReader(limits.FRAME_BYTES).feed(b"".join(kept))
    answers = sorted((decode_message(body) for _, body in frames), key=lambda each: each.request_id)
    issued = [answer for answer in answers if isinstance(answer, LicenseIssued)]
    if len(issued) < len(asked):
        raise OSError(f"{what}: {len(asked) - len(issued)} of {len(asked)} were refused")
    return issued, {what: len(asked) / took, f"{what} cpu": cpu / len(asked) * 1e6}


def _frames(messages: Sequence[Message]) -> list[bytes]:
    return [encode(message, number) for number, message in enumerate(messages, FIRST_REQUEST_ID)]


# --- beside ---------------------------------------------------------------------------------------

TABLE = (
    "CREATE TABLE IF NOT EXISTS licenses (license_id {bytes} PRIMARY KEY,"
    " device_id {bytes} NOT NULL, product TEXT NOT NULL,"
    " expires_at BIGINT NOT NULL, token {bytes} NOT NULL)"
)
UPSERT = (
    "INSERT INTO licenses VALUES ({0}, {0}, {0}, {0}, {0})"
    " ON CONFLICT (license_id) DO UPDATE"
    " SET expires_at = excluded.expires_at, token = excluded.token"
)


def _ledger_rows(count: int) -> list[tuple[bytes, bytes, str, int, bytes]]:
    token = os.urandom(TOKEN_BYTES)
    return [(os.urandom(16), os.urandom(32), PRODUCT, 1_800_000_000, token) for _ in range(count)]


def _postgresql(address: str, folder: Path, count: int, depth: int) -> Figures:
    return asyncio.run(_upserts(address, folder, _ledger_rows(count), depth))


async def _upserts(
    address: str, folder: Path, rows: list[tuple[bytes, bytes, str, int, bytes]], depth: int
) -> Figures:
    """Each row in a transaction of its own, as each client is promised a durable license."""
    connections = [
        await psycopg.AsyncConnection.connect(address, autocommit=True) for _ in range(depth)
    ]
    await connections[0].execute(TABLE.format(bytes="BYTEA"))
    todo = iter(rows)
    upsert = UPSERT.format("%s")

    async def work(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        for license in todo:
            await connection.execute(upsert, license, prepare=True)

    processes = descendants(server_pid(folder))
    cpu, began = _cpu_of(processes), time.perf_counter()
    await asyncio.gather(*map(work, connections))
    took, cpu = time.perf_counter() - began, _cpu_of(processes) - cpu
    for connection in connections:
        await connection.close()
    return {"upsert": len(rows) / took, "upsert cpu": cpu / len(rows) * 1e6}


def _cpu_of(processes: Sequence[int]) -> float:
    return sum(map(cpu_seconds, processes))


def _sqlite(file: Path, count: int, depth: int) -> Figures:
    """The cost of the disk in ours: commits of `depth` rows each."""
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    connection.execute(TABLE.format(bytes="BLOB"))
    rows = _ledger_rows(count)
    began = time.perf_counter()
    for start in range(0, count, depth):
        with connection:
            connection.executemany(UPSERT.format("?"), rows[start : start + depth])
    took = time.perf_counter() - began
    connection.close()
    return {"rows": count / took}


def _sign(count: int) -> Figures:
    key, claims = Ed25519PrivateKey.generate(), os.urandom(CLAIMS_BYTES)
    began = time.process_time()
    for _ in range(count):
        key.sign(claims)
    return {"cpu": (time.process_time() - began) / count * 1e6}
