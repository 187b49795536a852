"""Encoding and decoding of every message, beside msgpack and JSON of the same values.

Ours splits the stream into frames and decodes a typed message with every bound checked; the peers
decode one whole object to a list. Each message is the example in the protocol's reference. Times
are of one message, in CPU of one process.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import msgpack
import msgspec

from bench.context import BenchContext, Figures, Found, take_turns
from bench.results import Row, row
from tsproto.codec import HEADER, FrameReader, decode_message, encode
from tsproto.limits import FRAME_BYTES
from tsproto.messages import TABLE, Message

LOOPS = 5_000
# The most frequent messages; the others are in the JSON and in the mean.
SHOWN = ("PlaceSession", "SessionPlaced", "UpdateSession", "AcquireLicense", "LicenseIssued")
PEERS = ("msgpack", "JSON")


def run(context: BenchContext) -> Iterator[Row]:
    found: Found = {}
    for kind in TABLE.values():
        name = kind.__name__
        one = _measured(context, kind(**kind.example))
        yield from _rows(name, one, is_detail=name not in SHOWN)
        for who, figures in one.items():
            for what, values in figures.items():
                found.setdefault(who, {}).setdefault(what, []).append(statistics.median(values))
    means = {
        who: {what: [statistics.mean(values)] for what, values in figures.items()}
        for who, figures in found.items()
    }
    yield from _rows(f"mean of {len(TABLE)} messages", means, is_detail=False)


def _rows(case: str, found: Found, is_detail: bool) -> Iterator[Row]:
    for what in ("encode", "decode"):
        for peer in PEERS:
            made = row(case, what, "µs", found["ours"][what], peer, found[peer][what])
            yield msgspec.structs.replace(made, is_detail=is_detail)


def _measured(context: BenchContext, message: Message) -> Found:
    loops = context.size(LOOPS, 50)
    frame = encode(message, 1)
    values = msgspec.msgpack.decode(frame[HEADER.size :])
    packed, text = msgpack.packb(values), json.dumps(values, default=bytes.hex)
    reader = FrameReader(FRAME_BYTES)
    write_json = partial(json.dumps, default=bytes.hex)
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "ours": (partial(encode, message, 1), partial(_decode, reader, frame)),
        "msgpack": (partial(msgpack.packb, values), partial(msgpack.unpackb, packed)),
        "JSON": (partial(write_json, values), partial(json.loads, text)),
    }
    return take_turns(context, {who: partial(_timed, *both, loops) for who, both in calls.items()})


def _decode(reader: FrameReader, frame: bytes) -> None:
    for _, body in reader.feed(frame):
        decode_message(body)


def _timed(
    encode_one: Callable[[], object], decode_one: Callable[[], object], loops: int
) -> Figures:
    return {"encode": _microseconds(encode_one, loops), "decode": _microseconds(decode_one, loops)}


def _microseconds(call: Callable[[], object], loops: int) -> float:
    began = time.process_time()
    for _ in range(loops):
        call()
    return (time.process_time() - began) / loops * 1e6
