"""A node of a later version of the protocol: it offers one version more, and each of its messages
has a field at its end that nobody here knows.
"""

from __future__ import annotations

import struct

import msgspec

from tests.simulation.network import Network
from tsproto.messages import Hello

HEADER = struct.Struct(">BIb")  # ext32, its length, its kind; then the body
MESSAGE_KIND = 0
HELLO = Hello.__struct_config__.tag
VERSION_MAX = 3  # its place in Hello, behind number, request id and version_min
UNKNOWN = {"of": "a later version", "with": [1, [2, [3]]]}


def make_newer(network: Network, name: str) -> None:
    """Everything that this node sends from now on is of a later version."""
    network.spoken[name] = newer


def newer(frames: bytes) -> bytes:
    """The same frames as a later version sends them."""
    said, at = [], 0
    while at < len(frames):
        mark, length, kind = HEADER.unpack_from(frames, at)
        body = frames[at + HEADER.size : at + HEADER.size + length]
        at += HEADER.size + length
        if kind == MESSAGE_KIND:
            fields = msgspec.msgpack.decode(body)
            if fields[0] == HELLO:
                fields[VERSION_MAX] += 1
            body = msgspec.msgpack.encode([*fields, UNKNOWN])
        said.append(HEADER.pack(mark, len(body), kind) + body)
    return b"".join(said)
