"""The keeper: starts sessions' programs on PTYs, and keeps both when the terminal server ends.

The keeper is the only process that needs privilege. It reads nothing from the network: its one
client is the terminal server, which runs as the same user or as root, on a Unix socket. It does not
read the PTYs either, but holds a duplicate of each descriptor. It is single-threaded, because it
forks.

It believes its client nothing: it judges users' proofs itself, and starts only programs of its own
configuration for users who were proved.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
from msgspec.structs import replace

from daemons.copied import copied
from daemons.keeper import messages as km
from daemons.keeper.cgroup import SessionGroup, SessionGroups, SessionLimits
from daemons.keeper.kept_program import (
    AdoptedProgram,
    KeptProgram,
    NotAdopted,
    signal_all,
    with_processes,
)
from daemons.keeper.launch import LaunchFailure, Program
from daemons.keeper.own_files import OwnFiles
from daemons.keeper.pam_child import PamUser
from daemons.keeper.pam_logons import PamChild, PamLogons, PamProgram
from daemons.keeper.proving import Monitor, NotStarted
from daemons.keeper.record import Record, Started
from tsproto.account import Account
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.statements import StatementRefused
from tsproto.user_proof import Method

KILL_AFTER_SECONDS = 5.0  # from SIGHUP to SIGKILL: an editor saves its recovery file
LOOK_AGAIN_SECONDS = 0.1
UNCLAIMED_SECONDS = 86_400.0  # without a client, when all sessions have ended
_PEER_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Answer(Protocol):
    """Sends a reply, unless the client that asked has disconnected."""

    def __call__(self, reply: km.Reply, descriptors: tuple[int, ...] = ...) -> None: ...


class Keeper:
    """Serves one client at a time; the next one waits in the socket's backlog."""

    def __init__(
        self,
        listener: socket.socket,
        files: OwnFiles,
        record: Record,
        groups: SessionGroups | None,
        idle_seconds: float,
        allowed_uid: int | None = None,
    ) -> None:
        self._files = files
        self._record = record
        self._groups = groups
        self._monitor = Monitor(files.host(), files.accounts.find, secrets.SystemRandom())
        self._selector = selectors.DefaultSelector()
        self._pam = PamLogons(self._monitor, self._watch, self._unwatch, files.now)
        self._listener = listener
        self._client: socket.socket | None = None
        self._sessions: dict[int, KeptProgram] = {}
        self._admitted = {0, os.geteuid(), *([] if allowed_uid is None else [allowed_uid])}
        self._idle_seconds = idle_seconds
        self._idle_since = time.monotonic()
        self._is_stopping = False
        self._watch(listener, self._accept)
        self._catch_signals()

    def run(self) -> None:
        """Serve until no session and no client is left for long enough, or until SIGTERM; then
        until the sessions have ended."""
        while not self._has_finished():
            for key, _ in self._selector.select(self._timeout()):
                # A file that was unwatched in this same round may be closed, and its number reused.
                if self._selector.get_map().get(key.fd) is key:
                    self._guarded(key.data)
            self._guarded(self._kill_overdue)

    def _guarded(self, action: Callable[[], None]) -> None:
        """A fault in one request ends the connection, and leaves the other sessions alone."""
        try:
            action()
        except Exception:
            traceback.print_exc()
            self._drop_client()

    # --- time ---

    def _has_finished(self) -> bool:
        if self._is_stopping:
            return not self._sessions
        return self._client is None and time.monotonic() >= self._ends_at()

    def _ends_at(self) -> float:
        if any(session.is_running for session in self._sessions.values()):
            return float("inf")
        return self._idle_since + (UNCLAIMED_SECONDS if self._sessions else self._idle_seconds)

    def _timeout(self) -> float | None:
        deadlines = []
        for session in self._sessions.values():
            if session.kill_at is not None:
                # The kernel reports no end of background processes: look again.
                look_again = time.monotonic() + LOOK_AGAIN_SECONDS
                deadlines.append(session.kill_at if session.is_running else look_again)
        if self._client is None and not self._is_stopping:
            deadlines.append(self._ends_at())
        earliest = min(deadlines, default=float("inf"))
        return None if earliest == float("inf") else max(0.0, earliest - time.monotonic())

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        hung_up = {s: s.kill_at for s in self._sessions.values() if s.kill_at is not None}
        overdue = [session for session, kill_at in hung_up.items() if kill_at <= now]
        ended = [s for s, kill_at in hung_up.items() if kill_at > now and not s.is_running]
        signal_all(overdue, signal.SIGKILL)
        alive = dict.fromkeys(with_processes(ended))
        for session in overdue + [session for session in ended if session not in alive]:
            session.kill_at = None
            self._remove_if_done(session)

    # --- the client ---

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        credentials = client.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size
        )
        _, uid, _ = _PEER_CREDENTIALS.unpack(credentials)
        if uid not in self._admitted:
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * km.PACKET_BYTES)
        self._client = client
        self._unwatch(self._listener)
        self._watch(client, self._receive)

    def _receive(self) -> None:
        assert self._client is not None
        try:
            packet, descriptors, _, _ = socket.recv_fds(
                self._client, km.PACKET_BYTES, 2, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            packet, descriptors = b"", []
        try:
            self._serve(packet, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _serve(self, packet: bytes, descriptors: list[int]) -> None:
        """Takes those of the descriptors that it keeps out of the list."""
        if not packet:
            self._drop_client()
            return
        match km.decode_request(packet):
            case km.ListSessions() as request:
                self._list(request)
            case km.Challenge() as request:
                self._monitor.host = self._files.host()
                self._send(self._monitor.challenge(request, self._files.now()))
            case km.Prove(method=Method.PAM) as request:
                self._pam.begin(request, self._files.settings.pam, self._answer())
            case km.Prove() as request:
                self._send(self._monitor.prove(request, self._files.now()))
            case km.PamAnswer() as request:
                self._pam.answer(request, self._answer())
            case km.StartProved() as request:
                self._start(request)
            case km.Shown() as request:
                self._pam.drop(request.proof_id)
                self._monitor.shown(request, self._files.now())
            case km.Take() as request:
                self._take(request)
            case km.FetchSession() as request:
                self._fetch(request)
            case km.HangUp(session_id):
                if session := self._sessions.get(session_id):
                    self._hang_up([session])
            case km.Forget(session_id):
                self._forget(session_id)
            case km.Adopt() as request:
                self._adopt(request, descriptors)

    def _send(self, reply: km.Reply, descriptors: tuple[int, ...] = ()) -> None:
        """A client that does not read its packets is dropped; it can connect again and list."""
        if self._client is None:
            return
        try:
            socket.send_fds(self._client, [km.encode(reply)], descriptors)
        except OSError:
            self._drop_client()

    def _drop_client(self) -> None:
        if self._client is None:
            return
        self._unwatch(self._client)
        self._client.close()
        self._client = None
        self._pam.forget_asked()
        self._idle_since = time.monotonic()
        self._watch(self._listener, self._accept)

    # --- requests ---

    def _list(self, request: km.ListSessions) -> None:
        ids = sorted(id_ for id_, s in self._sessions.items() if not s.is_forgotten)
        wanted = [id_ for id_ in ids if id_ > request.after_id]
        page = wanted[: km.SESSIONS_PER_PACKET]
        rows = tuple(self._sessions[id_].as_kept() for id_ in page)
        self._send(km.SessionList(request.request_id, rows, len(wanted) > len(page)))

    def _take(self, request: km.Take) -> None:
        try:
            authorities = self._files.authorities()
            standing = self._files.accounts.take(request.statement, authorities, self._files.now())
        except TsfarmError as error:
            code = error.code if isinstance(error, StatementRefused) else ErrorCode.BUSY
            self._send(km.NotTaken(request.request_id, code, str(error)))
        else:
            self._send(km.Taken(request.request_id, standing))

    def _start(self, request: km.StartProved) -> None:
        if self._is_stopping or request.session_id in self._sessions:
            detail = "the keeper is stopping, or has this session already"
            self._send(_refusal(request.request_id, detail))
            return
        try:
            session = self._started(request)
        except NotStarted as error:
            self._send(km.CannotStart(request.request_id, error.code, str(error)))
            return
        except OSError as error:
            detail = f"the host has no room for a session: {error}"
            self._send(_refusal(request.request_id, detail))
            return
        self._sessions[session.session_id] = session
        answer = self._answer()
        self._watch(
            session.failures, lambda: self._on_executed(session, request.request_id, answer)
        )

    def _answer(self) -> Answer:
        """Answers the present client: the next one's requests have the same ids."""
        client = self._client

        def answer(reply: km.Reply, descriptors: tuple[int, ...] = ()) -> None:
            if self._client is client:
                self._send(reply, descriptors)

        return answer

    def _started(self, request: km.StartProved) -> KeptProgram:
        """The session that this proof may start. Raises NotStarted and OSError."""
        child = self._pam.take(request.proof_id)
        settings = self._files.settings
        try:
            spent = self._monitor.spend(request, self._files.now())
            program = self._program(request, spent.account)
            group = self._group(request.session_id)
        except (NotStarted, OSError):
            if child is not None:
                child.end()
            raise
        if group is not None:
            program = replace(program, group=str(group.folder))
        size = request.columns, request.rows, settings.sessions.replay_bytes
        if settings.pam and child is None:
            user = PamUser(
                service=settings.pam,
                system_user=program.system_user,
                address=spent.address,
                asks=False,
            )
            child = PamChild(user)
        if child is not None:
            return PamProgram(child, program, *size, group)
        return KeptProgram(program, *size, group)

    def _group(self, session_id: int) -> SessionGroup | None:
        """Raises OSError: no session runs without the limits that it should have."""
        if self._groups is None:
            return None
        sessions = self._files.settings.sessions
        return self._groups.group(session_id, copied(SessionLimits, sessions))

    def _program(self, request: km.StartProved, account: Account) -> Program:
        sessions, asked = self._files.settings.sessions, request.asked
        application = sessions.applications.get(asked.application)
        if asked.application and application is None:
            detail = f"this host has no application {asked.application!r}"
            raise NotStarted(detail, ErrorCode.UNKNOWN_APPLICATION)
        return Program(
            session_id=request.session_id,
            system_user=account.system_user,
            allow_root=sessions.allow_root,
            shared_user=sessions.shared_user,
            shell=sessions.shell,
            arguments=application.command if application else (),
            command=asked.command,
            folder=application.folder if application else "",
            terminal=request.terminal,
            lang=request.lang,
            tz=request.tz,
            colorterm=request.colorterm,
        )

    def _on_executed(self, session: KeptProgram, request_id: int, answer: Answer) -> None:
        self._unwatch(session.failures)
        report = session.read_failure()
        if report:
            failure = msgspec.msgpack.decode(report, type=LaunchFailure)
            session.note_end()
            session.kill_at = None
            self._forget(session.session_id)
            answer(km.CannotStart(request_id, failure.code, failure.detail))
            return
        self._watch(session.pidfd, lambda: self._on_ended(session))
        if session.is_forgotten:
            answer(_refusal(request_id, "the session was forgotten while it started"))
            self._remove_if_done(session)
        else:
            self._record.add(Started.now(session.session_id, session.pid, session.slave))
            answer(km.Descriptors(request_id, session.pid), (session.master, session.ring))

    def _fetch(self, request: km.FetchSession) -> None:
        session = self._sessions.get(request.session_id)
        if session is None or session.is_forgotten:
            self._send(_refusal(request.request_id, "the keeper has no such session"))
            return
        self._send(km.Descriptors(request.request_id, session.pid), (session.master, session.ring))

    def _adopt(self, request: km.Adopt, descriptors: list[int]) -> None:
        started = self._record.left(request.session_id)
        if started is None or self._is_stopping or request.session_id in self._sessions:
            detail = "no earlier keeper of this host has left such a session"
            self._send(_refusal(request.request_id, detail))
            return
        if len(descriptors) != 2:
            self._send(_refusal(request.request_id, "a terminal and a ring belong to a session"))
            return
        master, ring = descriptors
        descriptors.clear()
        try:
            session = AdoptedProgram(started, master, ring)
        except (NotAdopted, OSError) as error:
            self._send(_refusal(request.request_id, f"the session cannot be adopted: {error}"))
            return
        self._sessions[session.session_id] = session
        self._record.add(started)
        self._watch(session.pidfd, lambda: self._on_ended(session))
        self._send(km.Adopted(request.request_id))

    def _hang_up(self, sessions: Collection[KeptProgram]) -> None:
        idle = [session for session in sessions if session.kill_at is None]
        ended = [session for session in idle if not session.is_running]
        alive = [session for session in idle if session.is_running] + with_processes(ended)
        signal_all(alive, signal.SIGHUP)
        for session in alive:
            session.kill_at = time.monotonic() + KILL_AFTER_SECONDS

    def _forget(self, session_id: int) -> None:
        session = self._sessions.get(session_id)
        if session is None:
            return
        session.is_forgotten = True
        self._remove_if_done(session)

    # --- sessions' ends ---

    def _on_ended(self, session: KeptProgram) -> None:
        self._unwatch(session.pidfd)
        status = session.note_end()
        if not session.is_forgotten:
            self._send(km.Ended(session.session_id, status))
        self._remove_if_done(session)

    def _remove_if_done(self, session: KeptProgram) -> None:
        """A forgotten session stays until its last program has ended. Its terminal stays until the
        launch has succeeded or failed."""
        if not session.is_forgotten or session.is_starting:
            return
        session.close_terminal()
        if session.is_running or session.kill_at is not None:
            return
        session.close()
        del self._sessions[session.session_id]
        self._monitor.forget(session.session_id)
        self._record.remove(session.session_id)
        self._idle_since = time.monotonic()

    # --- signals ---

    def _catch_signals(self) -> None:
        self._wake, wakeup = socket.socketpair()
        for end in (self._wake, wakeup):
            end.setblocking(False)
        self._wakeup = wakeup
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._watch(self._wake, self._stop)

    def _stop(self) -> None:
        self._wake.recv(64)
        self._is_stopping = True
        self._pam.close()
        self._hang_up(self._sessions.values())
        for session_id in list(self._sessions):
            self._forget(session_id)

    def _watch(self, file: int | socket.socket, action: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, action)

    def _unwatch(self, file: int | socket.socket) -> None:
        self._selector.unregister(file)


def _refusal(request_id: int, detail: str) -> km.CannotStart:
    return km.CannotStart(request_id, ErrorCode.PROGRAM_FAILED, detail)
