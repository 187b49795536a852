"""A server that does next to nothing, so that the load generator limits a run.

It welcomes plain links on loopback as a license server or a session directory. It reads a request's
number and id, and answers with prepared bytes around that id, without decoding or checking.

    python -m bench.trivial license-server 5701
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

import uvloop

from tsproto.codec import HEADER, decode_message, encode
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
    number_of,
)

HOST = "127.0.0.1"
ROLES = {"license-server": Role.LICENSE_SERVER, "session-directory": Role.SESSION_DIRECTORY}
# Offset of a request id of four bytes in an answer: after the frame's header and three bytes, for
# the array, the message number and the id's type.
ID_AT = HEADER.size + 3
WIDE_ID = 0x01000000
BODY_LENGTH = struct.Struct(">I")
# MessagePack's first byte of a request id, and the width of the number behind it.
ID_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4}


class Canned:
    """A prepared answer, without its request id."""

    def __init__(self, answer: Message) -> None:
        frame = encode(answer, WIDE_ID)
        assert frame[ID_AT : ID_AT + 4] == WIDE_ID.to_bytes(4, "big")
        self.head, self.tail = frame[:ID_AT], frame[ID_AT + 4 :]


def answers_to(peer: str) -> dict[int, Canned]:
    """The canned answer to each request of this peer, by the request's message number (its tag)."""
    issued = LicenseIssued(
        license_id=bytes(16),
        kind=LicenseKind.TEMPORARY,
        expires_at=2_000_000_000,
        token=bytes(250),
        issuer_certificate=bytes(500),
    )
    placed = SessionPlaced(placement=1, host=peer, address="192.0.2.1", port=5600)
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
    return {number_of(request): Canned(answer) for request, answer in answers.items()}


class Trivial(asyncio.Protocol):
    """One accepted link."""

    _transport: asyncio.Transport

    def __init__(self, role: Role) -> None:
        self._role = role
        self._answers: dict[int, Canned] = {}
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._pending + data
        end, said = len(data), []
        at = 0
        while end - at >= HEADER.size:
            body_at = at + HEADER.size
            next_at = body_at + BODY_LENGTH.unpack_from(data, at + 1)[0]
            if next_at > end:
                break
            said.append(self._answer(data, body_at, next_at))
            at = next_at
        self._pending = data[at:]
        self._transport.write(b"".join(said))

    def _answer(self, data: bytes, body_at: int, next_at: int) -> bytes:
        canned = self._answers.get(data[body_at + 1])
        if canned is None:
            return self._greet(decode_message(data[body_at:next_at]))
        first = data[body_at + 2]
        width = ID_WIDTHS.get(first)
        if width is None:
            request_id = first.to_bytes(4, "big")
        else:
            request_id = data[body_at + 3 : body_at + 3 + width].rjust(4, b"\0")
        return canned.head + request_id + canned.tail

    def _greet(self, message: Message) -> bytes:
        """Answers a Hello; notifications are ignored."""
        if not isinstance(message, Hello):
            return b""
        self._answers = answers_to(message.name)
        return encode(Welcome(version=message.version_max, role=self._role, name="trivial"))


async def serve(role: Role, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Trivial(role), HOST, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    role, port = ROLES[sys.argv[1]], int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(role, port))


if __name__ == "__main__":
    main()
