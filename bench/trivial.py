"""A server that does next to nothing, so that the load generator limits a run.

It welcomes plain links on loopback as a license server or a session directory. It reads a request's
number and id, and answers with a prepared message, without decoding or checking the rest.
"""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec

from tsproto.codec import FrameReader, decode_message, encode
from tsproto.limits import FRAME_BYTES
from tsproto.messages import (
    AcquireLicense,
    Done,
    Hello,
    Joined,
    JoinFarm,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    Message,
    PlaceSession,
    Pools,
    QueryPools,
    QuerySessions,
    RenewLicense,
    Role,
    SessionPlaced,
    Sessions,
    SyncSessions,
    Welcome,
)


class Head(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a message."""

    number: int
    request_id: int


_head = msgspec.msgpack.Decoder(Head).decode


def answers_to(peer: str) -> dict[object, Message]:
    """The answer to each request of this peer, by the request's message number (its tag)."""
    issued = LicenseIssued(
        license_id=bytes(16),
        kind=LicenseKind.TEMPORARY,
        expires_at=2_000_000_000,
        token=bytes(250),
        issuer_certificate=bytes(500),
    )
    placed = SessionPlaced(
        placement=1, host=peer, address="192.0.2.1", port=5600, receipt=bytes(32)
    )
    answers: dict[type[Message], Message] = {
        AcquireLicense: issued,
        RenewLicense: issued,
        MarkValidated: Done(),
        JoinFarm: Joined(generation=bytes(16)),
        SyncSessions: Done(),
        PlaceSession: placed,
        QueryPools: Pools(pools=[]),
        QuerySessions: Sessions(sessions=[]),
    }
    return {request.__struct_config__.tag: answer for request, answer in answers.items()}


class Trivial(asyncio.Protocol):
    """One accepted link."""

    _transport: asyncio.Transport

    def __init__(self, role: Role) -> None:
        self._role = role
        self._answers: dict[object, Message] = {}
        self._frames = FrameReader(FRAME_BYTES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        said = []
        for _, body in self._frames.feed(data):
            head = _head(body)
            if (answer := self._answers.get(head.number)) is not None:
                said.append(encode(answer, head.request_id))
            elif isinstance(message := decode_message(body), Hello):
                self._answers = answers_to(message.name)
                version = message.version_max
                said.append(encode(Welcome(version=version, role=self._role, name="trivial")))
        self._transport.write(b"".join(said))
