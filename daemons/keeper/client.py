"""The terminal server's side of its keeper: finds it or starts it, and asks it for sessions.

A packet socket is no asyncio stream, and its descriptors no stream's bytes: it is read where the
loop says that it is readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

import daemons
from daemons.effects import ProgramFailed
from daemons.keeper import messages as km
from daemons.keeper.address import unix_address
from tsproto.errors import TsfarmError

ANSWER_SECONDS = 10.0  # a start waits for the user's home on a slow file server
START_SECONDS = 10.0  # until a new keeper listens


class KeeperError(TsfarmError):
    """The keeper cannot be started, or does not answer."""


class KeeperLost(KeeperError):
    """The connection to the keeper broke, or there is none."""


class OutOfDescriptors(KeeperError):
    """The descriptors of an answer found no room in this process."""


class HeldProgram(msgspec.Struct, frozen=True):
    """A session's program, and descriptors that are the receiver's to close."""

    pid: int
    master: int
    ring: int

    def close(self) -> None:
        os.close(self.master)
        os.close(self.ring)


class KeeperClient:
    """`folder` is the terminal server's own: the keeper's socket, pid file and log lie there. Where
    the socket is a symbolic link, the keeper is another's to start.

    `on_ended` is called with a session and the exit status of its program, `on_lost` when the
    connection broke; `connect` may then be called again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_ended: Callable[[int, int], None],
        on_lost: Callable[[], None],
        idle_seconds: float | None = None,
    ) -> None:
        self._folder = folder
        self._socket_path = folder / "keeper.sock"
        self._on_ended = on_ended
        self._on_lost = on_lost
        self._idle_seconds = idle_seconds
        self._socket: socket.socket | None = None
        self._connecting = asyncio.Lock()
        self._request_ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[km.Reply, list[int]]]] = {}
        self._unsent: deque[bytes] = deque()

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def connect(self) -> None:
        """Connect to the keeper, unless that is done, and start one when none answers; raises
        KeeperError."""
        async with self._connecting:
            if self._socket is None:
                self._adopt_socket(await self._dialled())

    async def _dialled(self) -> socket.socket:
        """A keeper that is just ending has its lock until the last: a start may come to nothing."""
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + START_SECONDS
        while True:
            try:
                return self._dial()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if self._socket_path.is_symlink():
                    detail = f"no keeper listens at {self._socket_path.readlink()}"
                    raise KeeperError(detail) from None
                if loop.time() >= gives_up_at:
                    raise KeeperError(f"the keeper of {self._folder} ended: {error}") from None
            except OSError as error:
                detail = f"the keeper of {self._folder} cannot be reached: {error}"
                raise KeeperError(detail) from None
            await asyncio.to_thread(self._start_keeper)

    async def sessions(self) -> list[km.KeptSession]:
        """All sessions that the keeper holds, those included whose program has ended."""
        kept: list[km.KeptSession] = []
        while True:
            after_id = kept[-1].session_id if kept else -1
            reply, _ = await self._ask(partial(km.ListSessions, after_id=after_id))
            assert isinstance(reply, km.SessionList)
            kept += reply.sessions
            if not reply.more:
                return kept

    async def start(
        self, program: km.Program, columns: int, rows: int, ring_bytes: int
    ) -> HeldProgram | ProgramFailed:
        """Run a program on a new PTY. Whatever fails, nothing of it is left; raises KeeperLost."""
        try:
            return await self._held(
                lambda id_: km.StartSession(id_, program, columns, rows, ring_bytes)
            )
        except KeeperLost:
            raise
        except KeeperError as error:
            self.hang_up(program.session_id)
            self.forget(program.session_id)
            return ProgramFailed(str(error))

    async def fetch(self, session_id: int) -> HeldProgram | ProgramFailed:
        """The descriptors of a session once more; raises KeeperError, OutOfDescriptors when the
        session is there and only its descriptors did not arrive."""
        return await self._held(lambda id_: km.FetchSession(id_, session_id))

    def hang_up(self, session_id: int) -> None:
        """Notice of the program's end follows when it has ended."""
        self._send(km.HangUp(session_id))

    def forget(self, session_id: int) -> None:
        """The session's end, or its failed start, has been dealt with."""
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

    def _start_keeper(self) -> None:
        """Blocks until the keeper listens. It has its own kernel session and its own files, so
        that neither a signal to our group nor our end reaches it."""
        command = [sys.executable, "-m", "daemons.keeper", "--detach"]
        command += ["--socket", str(self._socket_path)]
        command += ["--pid-file", str(self._folder / "keeper.pid")]
        if self._idle_seconds is not None:
            command += ["--idle-seconds", str(self._idle_seconds)]
        try:
            subprocess.run(
                command,
                check=True,
                cwd=Path(daemons.__file__).parent.parent,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=START_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise KeeperError(f"the keeper cannot start: {last}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KeeperError(f"the keeper cannot start: {error}") from None

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

    async def _ask(self, request: Callable[[int], km.Request]) -> tuple[km.Reply, list[int]]:
        request_id = next(self._request_ids)
        answer: asyncio.Future[tuple[km.Reply, list[int]]]
        answer = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            if not self._send(request(request_id)):
                raise KeeperLost("there is no connection to the keeper")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise KeeperError(
                f"the keeper has not answered within {ANSWER_SECONDS:.0f} s; another terminal"
                " server may be using it"
            ) from None
        finally:
            self._waiting.pop(request_id, None)

    def _send(self, request: km.Request) -> bool:
        if self._socket is None:
            return False
        self._unsent.append(km.encode(request))
        if len(self._unsent) == 1:
            self._send_waiting()
        return True

    def _send_waiting(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                self._socket.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            loop.add_writer(self._socket, self._send_waiting)
        except OSError:
            self._lose()
        else:
            loop.remove_writer(self._socket)

    def _receive(self, connected: socket.socket) -> None:
        if connected is not self._socket:
            return  # it was closed while this call was under way
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


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
