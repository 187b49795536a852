"""Vectors of every message of the table, and of the frames around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.conformance.vectors.fields import default, flat, row_faults, row_samples, typical
from tsproto import codec, limits
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, Heartbeat, Kind, Message, ResizeSession

Vector = dict[str, Any]
REQUEST_ID = 7
REQUEST_ID_MAX = 2**32 - 1

_encoder = msgspec.msgpack.Encoder()


def frame(body: bytes, kind: int = codec.MESSAGE_KIND) -> bytes:
    return codec.HEADER.pack(codec.EXT32, len(body), kind) + body


def message_vectors(message: type[Message]) -> Vector:
    """All of one message; `fields` names what stands in its array behind the number."""
    return {
        "message": message.__name__,
        "number": message.__struct_config__.tag,
        "kind": message.entry.kind.value,
        "fields": list(message.__struct_fields__),
        "valid": list(_valid(message)),
        "invalid": list(_invalid(message)),
    }


def _fields(message: type[Message]) -> tuple[msgspec.inspect.Field, ...]:
    """Without the request id, which the kind of the message decides on."""
    found = msgspec.inspect.type_info(message)
    assert isinstance(found, msgspec.inspect.StructType)
    return found.fields[1:]


def _request_id(message: type[Message]) -> int:
    return 0 if message.entry.kind is Kind.NOTIFICATION else REQUEST_ID


def _valid(message: type[Message]) -> Iterator[Vector]:
    fields, request_id = _fields(message), _request_id(message)
    row = {field.name: typical(field.type, field.name) for field in fields}
    yield _accepted(message, "typical", request_id, row, flat(row))
    if fields and not any(field.required for field in fields):
        defaults = {field.name: default(field) for field in fields}
        yield _accepted(message, "defaults", request_id, defaults, flat(defaults))
    for sample in row_samples(fields, ""):
        case = f"{sample.place}/{sample.case}".lstrip("/")
        yield _accepted(message, case, request_id, sample.value, sample.raw)
    if message.entry.kind is not Kind.NOTIFICATION:
        for other in (1, 2**31, REQUEST_ID_MAX):
            yield _accepted(message, f"request_id/value-{other}", other, row, flat(row))


def _accepted(
    message: type[Message], case: str, request_id: int, value: Vector, raw: list[Any]
) -> Vector:
    written = [message.__struct_config__.tag, request_id, *raw]
    return {
        "id": f"{message.__name__}/{case}",
        "canonical": raw == flat(value),
        "frame": frame(_encoder.encode(written)),
        "values": {"request_id": request_id, **value},
    }


def _invalid(message: type[Message]) -> Iterator[Vector]:
    fields, number = _fields(message), message.__struct_config__.tag
    start = [number, _request_id(message)]
    row = flat({field.name: typical(field.type, field.name) for field in fields})
    body = _encoder.encode([*start, *row])
    bodies = {
        "cut": body[:-1],
        "byte-too-many": body + b"\xc0",
        "map": _encoder.encode({"type": number}),
        "request_id/nil": _encoder.encode([number, None, *row]),
        "request_id/negative": _encoder.encode([number, -1, *row]),
        "request_id/too-large": _encoder.encode([number, REQUEST_ID_MAX + 1, *row]),
    }
    for fault in row_faults(fields, ""):
        bodies[f"{fault.place}/{fault.case}"] = _encoder.encode([*start, *fault.raw])
    for case, wrong in bodies.items():
        yield _refused(f"{message.__name__}/{case}", frame(wrong), ErrorCode.MALFORMED_MESSAGE)


def _refused(name: str, data: bytes, code: ErrorCode) -> Vector:
    return {"id": name, "code": code.name, "frame": data}


# --- frames ---------------------------------------------------------------------------------------


def frame_vectors() -> Vector:
    """`frame_bytes` is what the connection allows in the state that a vector is for."""
    return {
        "frame_bytes": {
            "opening": limits.FRAME_BYTES_OPENING,
            "licensing": limits.FRAME_BYTES_LICENSING,
            "logon": limits.FRAME_BYTES_LOGON,
            "service": limits.FRAME_BYTES,
            "session": limits.FRAME_BYTES,
        },
        "session": [
            {"id": f"session-bytes/{case}", "frame": frame(data, 1), "bytes": data}
            for case, data in (
                ("one", b"\x1b"),
                ("none", b""),
                ("every-byte", bytes(range(256))),
                ("not-utf-8", b"\xff\xfe\x00"),
            )
        ],
        "streams": [
            {
                "id": "stream/messages-and-session-bytes",
                "stream": codec.encode(ResizeSession(columns=132, rows=43))
                + frame(b"ls\r", 1)
                + codec.encode(Heartbeat()),
                "kinds": [0, 1, 0],
            }
        ],
        "invalid": list(_broken_frames()),
    }


def _broken_frames() -> Iterator[Vector]:
    body = _encoder.encode([Heartbeat.__struct_config__.tag, 0])
    sixteen = body + bytes(16 - len(body))
    others = {
        "fixext-16": b"\xd8\x00" + sixteen,
        "ext-8": bytes([0xC7, len(body), 0]) + body,
        "ext-16": bytes([0xC8, 0, len(body), 0]) + body,
        "bin-8": bytes([0xC4, len(body)]) + body,
        "bare-message": body,
        "text": b"GET / HTTP/1.1\r\n\r\n",
    }
    for case, data in others.items():
        yield _broken(f"frame/{case}", data, ErrorCode.MALFORMED_FRAME)
    for kind in (2, 127, -1, -128):
        yield _broken(f"frame/kind{kind:+d}", frame(body, kind), ErrorCode.UNKNOWN_FRAME_KIND)
    long = ErrorCode.FRAME_TOO_LONG
    bounds = (limits.FRAME_BYTES_OPENING, limits.FRAME_BYTES_LICENSING, limits.FRAME_BYTES_LOGON)
    for allowed in (*bounds, limits.FRAME_BYTES):
        header = codec.HEADER.pack(codec.EXT32, allowed + 1, 0)
        yield _broken(f"frame/longer-than-{allowed}", header, long, allowed)
    yield _broken("frame/longest-length", codec.HEADER.pack(codec.EXT32, 2**32 - 1, 0), long)
    yield from _bodies_of_nothing()


def _bodies_of_nothing() -> Iterator[Vector]:
    bodies = {"empty": b"", "integer": b"\x03", "empty-array": b"\x90", "nil-number": b"\x92\xc0\0"}
    for case, body in bodies.items():
        yield _broken(f"body/{case}", frame(body), ErrorCode.MALFORMED_MESSAGE)
    for number in (0, max(TABLE) + 1, 65_535, 2**31, 2**32, -1):
        body = _encoder.encode([number, 0])
        yield _broken(f"body/number-{number}", frame(body), ErrorCode.UNKNOWN_MESSAGE)


def _broken(
    name: str,
    data: bytes,
    code: ErrorCode,
    frame_bytes: int = limits.FRAME_BYTES_OPENING,
) -> Vector:
    return {**_refused(name, data, code), "frame_bytes": frame_bytes}
