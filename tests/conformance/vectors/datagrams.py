"""Vectors of discovery: queries, with the answer of one license server, and answers.

What is refused is ignored in silence, so there is no code: `answer` is null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tsproto import discovery, limits
from tsproto.discovery import Answer, Query, Scope

Vector = dict[str, Any]

SCOPES = ((Scope.WORKGROUP, "lab-hosts"), (Scope.SITE, "north"))
INSTANCE = bytes(range(16, 32))
NONCE = bytes(range(16))
SERVER: dict[str, Any] = {"farm": "lab", "name": "ls1", "port": limits.LICENSE_PORT}

_encoder = msgspec.msgpack.Encoder()


def discovery_vectors() -> Vector:
    good = discovery.encode_query(_query())
    reply = _encoder.encode(Answer(**SERVER, nonce=NONCE))
    return {
        "datagram_bytes": limits.DATAGRAM_BYTES,
        "server": {**SERVER, "instance": INSTANCE, "scopes": [list(scope) for scope in SCOPES]},
        "query_fields": list(Query.__struct_fields__),
        "answer_fields": list(Answer.__struct_fields__),
        "queries": [_asked(case, query, reply) for case, query in _queries().items()],
        "ignored_queries": [
            {"id": f"query/{case}", "datagram": datagram, "answer": None}
            for case, datagram in _broken_queries(good).items()
        ],
        "answers": [
            {"id": f"answer/{case}", "datagram": _encoder.encode(heard), "values": _values(heard)}
            for case, heard in _answers().items()
        ],
        "ignored_answers": [
            {"id": f"answer/{case}", "datagram": datagram}
            for case, datagram in _broken_answers(reply).items()
        ],
    }


def _query(**changes: Any) -> Query:
    query = Query(farm="lab", scope=Scope.WORKGROUP, scope_name="lab-hosts", nonce=NONCE)
    return msgspec.structs.replace(query, **changes)


def _values(datagram: Query | Answer) -> Vector:
    values = msgspec.to_builtins(datagram, builtin_types=(bytes,))
    return dict(zip(datagram.__struct_fields__, values, strict=True))


def _queries() -> dict[str, Query]:
    return {
        "meant": _query(),
        "second-scope": _query(scope=Scope.SITE, scope_name="north"),
        "of-another-server": _query(instance=bytes(16)),
        "other-farm": _query(farm="elsewhere"),
        "other-scope-name": _query(scope_name="other"),
        "name-of-another-scope": _query(scope=Scope.SITE),
        "own": _query(instance=INSTANCE),
        "longest-names": _query(farm="f" * 64, scope_name="s" * 64, instance=bytes(16)),
    }


def _asked(case: str, query: Query, reply: bytes) -> Vector:
    datagram = discovery.encode_query(query)
    decoded = discovery.decode_query(datagram)
    assert decoded is not None
    answered = case in ("meant", "second-scope", "of-another-server")
    return {
        "id": f"query/{case}",
        "datagram": datagram,
        "values": _values(decoded),
        "answer": reply if answered else None,
    }


def _broken_queries(good: bytes) -> dict[str, bytes]:
    padding = len(good) - good.index(b"\xc5") - discovery.BIN16_HEADER_BYTES
    bare = msgspec.to_builtins(_query(), builtin_types=(bytes,))

    def padded(*values: Any) -> bytes:
        unpadded = len(_encoder.encode([*values, b""])) + 1
        return _encoder.encode([*values, bytes(limits.DATAGRAM_BYTES - unpadded)])

    fields = bare[:-1]
    return {
        "not-padded": good[:-padding],
        "a-byte-short": good[:-1],
        "a-byte-long": good + b"\0",
        "magic": padded("tsfarn", *fields[1:]),
        "version": padded(fields[0], 2, *fields[2:]),
        "kind": padded(*fields[:2], 3, *fields[3:]),
        "scope": padded(*fields[:4], 4, *fields[5:]),
        "short-nonce": padded(*fields[:6], NONCE[:-1], *fields[7:]),
        "no-msgpack": b"\xc1" * limits.DATAGRAM_BYTES,
    }


def _answers() -> dict[str, Answer]:
    good = Answer(**SERVER, nonce=NONCE)
    return {
        "good": good,
        "least": msgspec.structs.replace(good, farm="f", name="n", port=1),
        "most": msgspec.structs.replace(good, farm="f" * 64, name="n" * 64, port=65_535),
    }


def _broken_answers(good: bytes) -> dict[str, bytes]:
    fields = msgspec.to_builtins(Answer(**SERVER, nonce=NONCE), builtin_types=(bytes,))
    return {
        "cut": good[:-1],
        "byte-too-many": good + b"\0",
        "magic": _encoder.encode(["other", *fields[1:]]),
        "kind": _encoder.encode([*fields[:2], 1, *fields[3:]]),
        "port-0": _encoder.encode([*fields[:5], 0, fields[6]]),
        "port-65536": _encoder.encode([*fields[:5], 65_536, fields[6]]),
        "name-empty": _encoder.encode([*fields[:4], "", *fields[5:]]),
        "long-nonce": _encoder.encode([*fields[:6], bytes(17)]),
        "too-long": _encoder.encode([*fields, bytes(limits.DATAGRAM_BYTES)]),
    }
