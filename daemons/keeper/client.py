"""The terminal server's client of its keeper: finds or starts it, and asks it for sessions.

asyncio's streams carry neither packets nor descriptors, so the socket is read and written directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from daemons.copied import copied
from daemons.effects import (
    Challenge,
    Challenged,
    NotProved,
    NotTaken,
    PamAnswer,
    ProgramFailed,
    Prompted,
    Prove,
    Proved,
    StartProgram,
    Take,
    Taken,
)
from daemons.keeper import messages as km
from daemons.keeper.address import unix_address
from daemons.keeper.starting import SOCKET, START_SECONDS, KeeperError, start_keeper
from tsproto.user_proof import Method

ANSWER_SECONDS = 10.0  # a start may wait for the user's home on a slow file server
PAM_SECONDS = 120.0  # a module may wait for a tap on the user's telephone
WAIT_SECONDS = 0.1  # for a keeper that the supervisor starts


class KeeperLost(KeeperError):
    """The connection to the keeper broke, or there is none."""


class OutOfDescriptors(KeeperError):
    """This process has too many open files to receive the descriptors of an answer."""


class HeldProgram(msgspec.Struct, frozen=True):
    """A session's program. Its receiver must close the two descriptors."""

    pid: int
    master: int
    ring: int

    def close(self) -> None:
        os.close(self.master)
        os.close(self.ring)


class KeeperClient:
    """`config` is the terminal server's configuration, which the keeper reads too. `folder` is the
    keeper's, with its socket, pid file and log: the terminal server's own, unless the keeper has
    more privilege. Then a supervisor starts it, and not this process (`starts` false).

    `on_ended` is called with a session id and the exit status of its program, `on_lost` when the
    connection broke; `connect` may then be called again.
    """

    def __init__(
        self,
        config: Path,
        folder: Path,
        *,
        on_ended: Callable[[int, int], None],
        on_lost: Callable[[], None],
        idle_seconds: float | None = None,
        starts: bool = True,
    ) -> None:
        self._config = config
        self._folder = folder
        self._starts = starts
        self._socket_path = folder / SOCKET
        self._on_ended = on_ended
        self._on_lost = on_lost
        self._idle_seconds = idle_seconds
        self._socket: socket.socket | None = None
        self._connecting = asyncio.Lock()
        self._request_ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[km.Reply, list[int]]]] = {}
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()

    async def connect(self) -> None:
        """Connect to the keeper unless connected; start one if none answers. Raises KeeperError."""
        async with self._connecting:
            if self._socket is None:
                self._adopt_socket(await self._dialled())

    async def _dialled(self) -> socket.socket:
        """Try until START_SECONDS are over: a keeper that is ending holds its lock to the last, and
        a keeper started meanwhile gives way to it."""
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + START_SECONDS
        while True:
            try:
                return self._dial()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if loop.time() >= gives_up_at:
                    raise KeeperError(f"the keeper of {self._folder} ended: {error}") from None
            except OSError as error:
                detail = f"the keeper of {self._folder} cannot be reached: {error}"
                raise KeeperError(detail) from None
            if self._starts:
                idle_seconds = self._idle_seconds
                await asyncio.to_thread(
                    start_keeper, self._config, self._folder, idle_seconds=idle_seconds
                )
            else:
                await asyncio.sleep(WAIT_SECONDS)

    async def sessions(self) -> list[km.KeptSession]:
        """All sessions of the keeper, including those whose program has ended."""
        kept: list[km.KeptSession] = []
        while True:
            after_id = kept[-1].session_id if kept else -1
            reply, _ = await self._ask(partial(km.ListSessions, after_id=after_id))
            assert isinstance(reply, km.SessionList)
            kept += reply.sessions
            if not reply.more:
                return kept

    async def challenge(self, effect: Challenge) -> Challenged | NotProved:
        """Raises KeeperError."""
        reply, _ = await self._ask(lambda id_: copied(km.Challenge, effect, request_id=id_))
        if isinstance(reply, km.Challenged):
            return copied(Challenged, reply)
        return _not_proved(reply)

    async def prove(self, effect: Prove | PamAnswer) -> Prompted | Proved | NotProved:
        """Raises KeeperError."""
        kind: type[km.Prove | km.PamAnswer] = (
            km.Prove if isinstance(effect, Prove) else km.PamAnswer
        )
        is_pam = isinstance(effect, PamAnswer) or effect.method is Method.PAM
        reply, _ = await self._ask(
            lambda id_: copied(kind, effect, request_id=id_),
            seconds=PAM_SECONDS if is_pam else ANSWER_SECONDS,
        )
        match reply:
            case km.Proved():
                return copied(Proved, reply)
            case km.Prompted():
                return copied(Prompted, reply)
        return _not_proved(reply)

    async def take(self, effect: Take) -> Taken | NotTaken:
        """Raises KeeperError."""
        reply, _ = await self._ask(lambda id_: km.Take(id_, effect.statement))
        if isinstance(reply, km.Taken):
            return Taken(reply.standing)
        assert isinstance(reply, km.NotTaken), reply
        return NotTaken(reply.code, reply.detail)

    async def start(self, effect: StartProgram) -> HeldProgram | ProgramFailed:
        """Run a program on a new PTY. After a failure nothing of it is left. Raises KeeperLost."""
        try:
            return await self._held(lambda id_: copied(km.StartProved, effect, request_id=id_))
        except KeeperLost:
            raise
        except KeeperError as error:
            self.hang_up(effect.session_id)
            self.forget(effect.session_id)
            return ProgramFailed(str(error))

    async def fetch(self, session_id: int) -> HeldProgram | ProgramFailed:
        """Get the descriptors of a session again. Raises KeeperError; OutOfDescriptors when the
        session is there and only its descriptors could not be received."""
        return await self._held(lambda id_: km.FetchSession(id_, session_id))

    async def adopt(self, session_id: int, master: int, ring: int) -> str:
        """Give a session of a keeper that died to the present one. Empty when it took it, else the
        reason. Raises KeeperError."""
        copies = os.dup(master), os.dup(ring)
        try:
            reply, _ = await self._ask(lambda id_: km.Adopt(id_, session_id), copies)
        finally:
            _close_all([*copies])
        return reply.detail if isinstance(reply, km.CannotStart) else ""

    def note_shown(self, session_id: int, proof_id: int, attachment: int) -> None:
        self._send(km.Shown(session_id, proof_id, attachment))

    def hang_up(self, session_id: int) -> None:
        """End the session's programs; `on_ended` is called when the first one has ended."""
        self._send(km.HangUp(session_id))

    def forget(self, session_id: int) -> None:
        """Let the keeper drop an ended session, or one whose start failed."""
        self._send(km.Forget(session_id))

    def close(self) -> None:
        """The keeper and its sessions go on."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        self._unsent.clear()
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(KeeperLost("the connection to the keeper broke"))

    # --- starting one ---

    def _dial(self) -> socket.socket:
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            dialled.setblocking(False)
            dialled.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * km.PACKET_BYTES)
            with unix_address(self._socket_path) as address:
                dialled.connect(address)
        except OSError:
            dialled.close()
            raise
        return dialled

    def _adopt_socket(self, connected: socket.socket) -> None:
        self._socket = connected
        asyncio.get_running_loop().add_reader(connected, self._receive, connected)

    # --- asking ---

    async def _held(self, request: Callable[[int], km.Request]) -> HeldProgram | ProgramFailed:
        reply, descriptors = await self._ask(request)
        match reply:
            case km.Descriptors(_, pid) if len(descriptors) == 2:
                return HeldProgram(pid, *descriptors)
            case km.CannotStart(_, code, detail):
                return ProgramFailed(detail, code)
        _close_all(descriptors)
        raise OutOfDescriptors("the terminal server has as many files open as it may")

    async def _ask(
        self,
        request: Callable[[int], km.Request],
        descriptors: tuple[int, ...] = (),
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> tuple[km.Reply, list[int]]:
        request_id = next(self._request_ids)
        answer: asyncio.Future[tuple[km.Reply, list[int]]]
        answer = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            if not self._send(request(request_id), descriptors):
                raise KeeperLost("there is no connection to the keeper")
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise KeeperError(
                f"the keeper has not answered within {seconds:.0f} s; another terminal"
                " server may be using it"
            ) from None
        finally:
            self._waiting.pop(request_id, None)

    def _send(self, request: km.Request, descriptors: tuple[int, ...] = ()) -> bool:
        if self._socket is None:
            return False
        self._unsent.append((km.encode(request), descriptors))
        if len(self._unsent) == 1:
            self._send_waiting()
        return True

    def _send_waiting(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                packet, descriptors = self._unsent[0]
                socket.send_fds(self._socket, [packet], descriptors)
                self._unsent.popleft()
        except BlockingIOError:
            loop.add_writer(self._socket, self._send_waiting)
        except OSError:
            self._lose()
        else:
            loop.remove_writer(self._socket)

    def _receive(self, connected: socket.socket) -> None:
        if connected is not self._socket:
            return  # closed after the loop had scheduled this call
        try:
            packet, descriptors, _, _ = socket.recv_fds(connected, km.PACKET_BYTES, 2)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            self._lose()
            return
        reply = km.decode_reply(packet)
        if isinstance(reply, km.Ended):
            self._on_ended(reply.session_id, reply.exit_status)
            return
        answer = self._waiting.pop(reply.request_id, None)
        if answer is None or answer.done():
            _close_all(descriptors)
        else:
            answer.set_result((reply, descriptors))

    def _lose(self) -> None:
        self.close()
        self._on_lost()


def _not_proved(reply: km.Reply) -> NotProved:
    assert isinstance(reply, km.NotProved), reply
    return copied(NotProved, reply)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
