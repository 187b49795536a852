"""`Sessions` with a real keeper and real PTYs, shown to clients that are made up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from daemons import settings
from daemons.effects import (
    Attach,
    Challenge,
    Challenged,
    Detach,
    EndProgram,
    Outcome,
    Peer,
    Prove,
    Proved,
    Resize,
)
from daemons.program_runner import ProgramRunner
from tests.integration.keepers import (
    DASH,
    DEVICE,
    PLAIN,
    USER,
    signature_of,
    start_of,
    statement_of,
    write_host,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Role
from tsproto.user_proof import ED25519, Asked, Method

COLUMNS, ROWS = 40, 10
USUAL = settings.Sessions(shell=DASH, allow_root=True, screen=True, replay_bytes=64 * 1024)


class Client:
    """The link of one client, as far as a pump uses it. `takes` is how many more bytes it accepts
    before it says that it is full."""

    def __init__(self, link_id: int, takes: float = float("inf")) -> None:
        self.id = link_id
        self.takes = takes
        self.received = b""
        self.is_paused = False
        self.closed: ErrorCode | None = None
        self._changed = asyncio.Event()

    @property
    def peer(self) -> Peer:
        return Peer(self.id, Role.CLIENT, f"client{self.id}", "127.0.0.1", 1)

    def send_session_bytes(self, data: bytes) -> bool:
        self.received += data
        self.takes -= len(data)
        self._changed.set()
        return self.takes > 0

    def pause_reading(self) -> None:
        self.is_paused = True
        self._changed.set()

    def resume_reading(self) -> None:
        self.is_paused = False
        self._changed.set()

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        self.closed = code

    async def until(self, text: bytes) -> bytes:
        """What was received up to `text`, which is consumed."""
        while text not in self.received:
            await self.change()
        before, self.received = self.received.split(text, 1)
        return before

    async def change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Server:
    """The sessions of one terminal server, and the clients on its links."""

    def __init__(self, folder: Path, given: settings.Sessions) -> None:
        self.ended: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.clients: dict[int, Client] = {}
        self._asked: dict[int, asyncio.Future[Outcome]] = {}
        config = write_host(folder, sessions=msgspec.to_builtins(given))
        self.sessions = ProgramRunner(
            config,
            given,
            folder,
            link_of=lambda peer: self.clients.get(peer.link),
            on_outcome=lambda question_id, outcome: self._asked[question_id].set_result(outcome),
            on_ended=lambda session_id, status: self.ended.put_nowait((session_id, status)),
        )

    def client(self, takes: float = float("inf")) -> Client:
        client = Client(len(self.clients) + 1, takes)
        self.clients[client.id] = client
        return client

    async def start(
        self, session_id: int = 1, *, command: str = "", application: str = ""
    ) -> Outcome:
        """The outcome of a whole logon: challenge, proof, start."""
        asked = Asked(application, command)
        said = await self.challenge()
        assert isinstance(said, Challenged), said
        proved = await self.prove(said, asked)
        assert isinstance(proved, Proved), proved
        return await self.run(session_id, proved.proof_id, asked)

    async def challenge(self) -> Outcome:
        return await self._outcome(
            lambda id_: self.sessions.challenge(Challenge(USER, DEVICE, PLAIN, (), id_))
        )

    async def prove(self, said: Challenged, asked: Asked) -> Outcome:
        signature = signature_of(statement_of(said, asked))
        return await self._outcome(
            lambda id_: self.sessions.prove(
                Prove(said.nonce, Method.PASSWORD, ED25519, signature, asked, id_)
            )
        )

    async def run(self, session_id: int, proof_id: int, asked: Asked) -> Outcome:
        start = replace(start_of(session_id, proof_id, asked), columns=COLUMNS, rows=ROWS)
        return await self._outcome(
            lambda id_: self.sessions.start_program(replace(start, question_id=id_))
        )

    async def _outcome(self, perform: Callable[[int], None]) -> Outcome:
        question_id = len(self._asked)
        self._asked[question_id] = asyncio.get_running_loop().create_future()
        perform(question_id)
        return await self._asked[question_id]

    def attach(
        self, client: Client, session_id: int = 1, *, fresh: bool = False, rows: int = ROWS
    ) -> None:
        self.sessions.attach(Attach(client.peer, session_id, COLUMNS, rows, fresh))

    def detach(self, session_id: int = 1) -> None:
        self.sessions.detach(Detach(session_id))

    def resize(self, columns: int, rows: int, session_id: int = 1) -> None:
        self.sessions.resize(Resize(session_id, columns, rows))

    def end(self, session_id: int = 1) -> None:
        self.sessions.end_program(EndProgram(session_id))

    def type(self, client: Client, text: bytes) -> None:
        self.sessions.on_session_bytes(client, text)

    def take(self, client: Client, more: float) -> None:
        """The client reads: it accepts so many more bytes."""
        client.takes = more
        self.sessions.on_writable(client)


@contextlib.asynccontextmanager
async def terminal_server(folder: Path, given: settings.Sessions = USUAL) -> AsyncIterator[Server]:
    """Ends like a terminal server does: the sessions stay in the keeper."""
    server = Server(folder, given)
    try:
        await server.sessions.adopt()
        yield server
    finally:
        await server.sessions.close()
