"""Our connection layer, one request and its answer, beside a bare uvloop protocol.

Both get the same frames. The bare one sends the bytes back without reading or checking them: the
floor for a protocol in Python. One link is two daemons of a farm; fifty links are a daemon with
many clients.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import partial

import uvloop

from bench.context import BenchContext, Figures, take_turns
from bench.pipelining import Equal, Frames, Load, Pipeline, Server, connect, measure, welcomed
from bench.results import Aim, Row, row
from bench.serving import serving
from clients.load.target import issued
from tsproto import certificates
from tsproto.codec import encode
from tsproto.messages import PlaceSession, Role
from tsproto.transport import daemon_tls

LINKS = (1, 50)
DEPTHS = (1, 16, 64)
CPU_AIM = Aim(1.5)  # on one link at depth 1
FIRST_REQUEST_ID = 70_000  # equal sizes of ids, and so of frames


def run(context: BenchContext) -> Iterator[Row]:
    pki = context.folder / "pki"
    pki.mkdir()
    certificate, key = certificates.create_authority("bench", time.time())
    (pki / "authority.crt").write_bytes(certificate)
    (pki / "authority.key").write_bytes(key)
    issued(pki, pki, Role.SESSION_DIRECTORY, "sd")
    for is_secured in (False, True):
        words = (str(pki),) if is_secured else ()
        tls = None
        if is_secured:
            own = issued(pki, pki, Role.TERMINAL_SERVER, "ts1")
            tls = daemon_tls(own.certificate, own.key, pki / "authority.crt")
        with serving("ours", *words, tls=tls) as ours, serving("bare", *words, tls=tls) as bare:
            how = "TLS" if is_secured else "plain"
            loads = [(2, 16)] if context.smoke else list(itertools.product(LINKS, DEPTHS))
            for load in loads:
                yield from _compare(context, ours, bare, load, how)


def requests() -> list[bytes]:
    """PlaceSession, as a terminal server sends it."""
    asked = PlaceSession(**PlaceSession.example)
    return [encode(asked, FIRST_REQUEST_ID + number) for number in range(1000)]


def _compare(
    context: BenchContext, ours: Server, bare: Server, load: tuple[int, int], how: str
) -> Iterator[Row]:
    links, depth = load
    case = f"{links} link{'s' if links > 1 else ''}, depth {depth}, {how}"

    def run(server: Server, is_ours: bool) -> Figures:
        return uvloop.run(_measure(server, is_ours, load, context.seconds(1.0)))

    contestants = {
        f"ours, {case}": partial(run, ours, True),
        f"bare, {case}": partial(run, bare, False),
    }
    found = take_turns(context, contestants)
    mine, other = found.values()
    aim = CPU_AIM if load == (1, 1) else None
    yield row(case, "server CPU a request", "µs", mine["cpu"], "bare uvloop", other["cpu"], aim)
    yield row(case, "requests", "/s", mine["rate"], "bare uvloop", other["rate"])


async def _measure(server: Server, is_ours: bool, load: tuple[int, int], seconds: float) -> Figures:
    links, depth = load
    frames = requests()
    loads: list[tuple[Pipeline, Load]] = []
    try:
        for _ in range(links):
            answers = Frames() if is_ours else Equal(len(frames[0]), len)
            pipeline = await (welcomed(server, "ts1") if is_ours else connect(server, answers))
            loads.append((pipeline, Load(frames, answers)))
        return await measure(server, loads, depth, seconds)
    finally:
        for pipeline, _ in loads:
            await pipeline.close()
