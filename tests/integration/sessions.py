"""`Sessions` with a real keeper and real PTYs, shown to clients that are made up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from daemons import settings
from daemons.effects import (
    Attach,
    Detach,
    EndProgram,
    Peer,
    ProgramFailed,
    ProgramStarted,
    Resize,
    StartProgram,
)
from daemons.program_runner import ProgramRunner
from tests.integration.keepers import DASH
from tsproto.errors import ErrorCode
from tsproto.messages import Role

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
        self.started: asyncio.Queue[tuple[int, ProgramStarted | ProgramFailed]] = asyncio.Queue()
        self.ended: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.clients: dict[int, Client] = {}
        self.sessions = ProgramRunner(
            given,
            folder,
            link_of=lambda peer: self.clients.get(peer.link),
            on_started=lambda question_id, outcome: self.started.put_nowait((question_id, outcome)),
            on_ended=lambda session_id, status: self.ended.put_nowait((session_id, status)),
        )

    def client(self, takes: float = float("inf")) -> Client:
        client = Client(len(self.clients) + 1, takes)
        self.clients[client.id] = client
        return client

    async def start(
        self, session_id: int = 1, *, command: str = "", application: str = ""
    ) -> ProgramStarted | ProgramFailed:
        question_id = self.begin(session_id, command=command, application=application)
        answered, outcome = await self.started.get()
        assert answered == question_id
        return outcome

    def begin(self, session_id: int = 1, *, command: str = "", application: str = "") -> int:
        """Its answer comes into `started`, with the question id that this gives."""
        question_id = 100 + session_id
        self.sessions.start_program(
            StartProgram(
                session_id=session_id,
                user_name="user1",
                system_user="",
                application=application,
                command=command,
                columns=COLUMNS,
                rows=ROWS,
                terminal="xterm-256color",
                question_id=question_id,
            )
        )
        return question_id

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
