"""The keeper's side of PAM: the logons whose user is being asked, each with a process of its own,
and the sessions that such a process opens.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Protocol

import msgspec

from daemons.keeper import messages as km
from daemons.keeper.cgroup import SessionGroup
from daemons.keeper.kept_program import NOBODY, KeptProgram, with_processes
from daemons.keeper.launch import LaunchFailure, Program
from daemons.keeper.pam_child import (
    Answers,
    Asks,
    Begin,
    Judged,
    PamUser,
    Runs,
    decode_said,
    encode,
    serve,
)
from daemons.keeper.proving import DENIED, OVER, RETRY_SECONDS, Monitor, PamLogon
from tsproto import limits
from tsproto.errors import ErrorCode

ASKING_MAX = 64  # processes, of users who have not been proved; then the oldest gives way
GAVE_WAY = "too many users are being asked at once: log on again"
SILENT = f"no answer within {limits.CHALLENGE_SECONDS} seconds, or the host's PAM has failed"


class PamChild:
    """The process that asks one user. Raises OSError when the host has no room for it."""

    def __init__(self, user: PamUser) -> None:
        self.link, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                serve(childs, user)
        except OSError:
            self.link.close()
            raise
        finally:
            childs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def said(self) -> Asks | Judged | Runs | None:
        """None when it has ended."""
        try:
            packet = self.link.recv(km.PACKET_BYTES)
        except OSError:
            return None
        said: Asks | Judged | Runs | None = decode_said(packet) if packet else None
        return said

    def tell(self, told: Answers | Begin, descriptors: tuple[int, ...] = ()) -> None:
        with contextlib.suppress(OSError):  # its end is seen at the link
            socket.send_fds(self.link, [encode(told)], descriptors)

    def end(self) -> None:
        """Its modules cannot be stopped otherwise; it has opened no session."""
        self.link.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class PamProgram(KeptProgram):
    """A session that PAM opened: `child` is its process, the program's parent."""

    def __init__(
        self,
        child: PamChild,
        program: Program,
        columns: int,
        rows: int,
        ring_bytes: int,
        group: SessionGroup | None = None,
    ) -> None:
        self._child = child
        try:
            super().__init__(program, columns, rows, ring_bytes, group)
        except OSError:
            if not self.child:  # it has not begun
                child.end()
            raise

    def _fork(self, program: Program) -> None:
        self.pid = self.child = self._child.pid
        self._child.tell(Begin(program), (self.slave, self._descriptors["report"]))

    def read_failure(self) -> bytes:
        report = super().read_failure()
        said = None if report else self._child.said()
        if isinstance(said, Runs):
            self.pid = said.pid
        self._child.link.close()
        if report or isinstance(said, Runs):
            return report
        detail = "the process of the host's PAM has ended"
        return msgspec.msgpack.encode(LaunchFailure(ErrorCode.PROGRAM_FAILED, detail))

    def note_end(self) -> int:
        """The program's id stays taken while processes of the session are left, and may be
        another's afterwards."""
        status = super().note_end()
        if not with_processes([self]):
            self.pid = NOBODY
        return status


class Answer(Protocol):
    def __call__(self, reply: km.Reply) -> None: ...


class _Asking(msgspec.Struct, eq=False):
    """`round` counts the prompts; `prompts` is how many of this round wait for the user, None while
    PAM judges. `answer` sends the reply that the client waits for."""

    child: PamChild
    logon: PamLogon
    request_id: int
    answer: Answer
    round: int = 0
    prompts: int | None = None


class PamLogons:
    """`watch` calls its second argument when the socket can be read."""

    def __init__(
        self,
        monitor: Monitor,
        watch: Callable[[socket.socket, Callable[[], None]], None],
        unwatch: Callable[[socket.socket], None],
        now: Callable[[], float],
    ) -> None:
        self._monitor = monitor
        self._watch, self._unwatch, self._now = watch, unwatch, now
        self._asking: dict[bytes, _Asking] = {}  # by nonce, the oldest first
        self._proved: dict[int, PamChild] = {}  # by proof id

    def begin(self, request: km.Prove, service: str, answer: Answer) -> None:
        logon = self._monitor.ask(request, self._now())
        if isinstance(logon, km.NotProved):
            answer(logon)
            return
        user = PamUser(
            service=service, system_user=logon.system_user, address=logon.address, asks=True
        )
        if len(self._asking) >= ASKING_MAX:
            self._fail(next(iter(self._asking)), ErrorCode.LOGON_BUSY, GAVE_WAY)
        try:
            child = PamChild(user)
        except OSError as error:
            detail = f"the host has no room to ask its PAM: {error}"
            answer(km.NotProved(request.request_id, ErrorCode.LOGON_BUSY, detail, RETRY_SECONDS))
            return
        self._asking[request.nonce] = _Asking(child, logon, request.request_id, answer)
        self._watch(child.link, lambda: self._on_said(request.nonce))

    def answer(self, request: km.PamAnswer, answer: Answer) -> None:
        asking = self._asking.get(request.nonce)
        if asking is None:
            code = ErrorCode.LOGON_BUSY
            answer(km.NotProved(request.request_id, code, OVER, RETRY_SECONDS))
            return
        asking.request_id, asking.answer = request.request_id, answer
        if request.round != asking.round or len(request.answers) != asking.prompts:
            detail = "these are no answers to the prompts of this round"
            self._fail(request.nonce, ErrorCode.NOT_PERMITTED, detail)
            return
        asking.prompts = None
        asking.child.tell(Answers(request.answers))

    def take(self, proof_id: int) -> PamChild | None:
        """The process that proved the user: the caller owns it."""
        child = self._proved.pop(proof_id, None)
        if child is not None:
            self._unwatch(child.link)
        return child

    def drop(self, proof_id: int) -> None:
        """The proof starts no session: its user is shown one that runs, or did not come back."""
        if (child := self.take(proof_id)) is not None:
            child.end()

    def forget_asked(self) -> None:
        """The client that waits for them is gone."""
        for nonce in [*self._asking]:
            self._close(nonce)

    def close(self) -> None:
        self.forget_asked()
        for proof_id in [*self._proved]:
            self.drop(proof_id)

    def _on_said(self, nonce: bytes) -> None:
        asking = self._asking[nonce]
        match asking.child.said():
            case Asks(prompts, notices):
                asking.round += 1
                if asking.round > limits.PAM_ROUNDS_MAX:
                    detail = f"the host's PAM asks more than {limits.PAM_ROUNDS_MAX} times"
                    self._fail(nonce, ErrorCode.LOGON_FAILED, detail)
                    return
                asking.prompts = len(prompts)
                said = tuple((words, is_shown) for words, is_shown in prompts)
                prompted = km.Prompted(asking.request_id, asking.round, said, tuple(notices))
                asking.answer(prompted)
            case Judged(ErrorCode.NORMAL, _):
                self._on_proved(nonce, asking)
            case Judged(ErrorCode.ACCOUNT_UNUSABLE as code, detail) if asking.logon.is_known:
                self._fail(nonce, code, detail)
            case Judged():
                self._fail(nonce, ErrorCode.LOGON_FAILED, DENIED)
            case _:
                self._fail(nonce, ErrorCode.LOGON_BUSY, SILENT)

    def _on_proved(self, nonce: bytes, asking: _Asking) -> None:
        verdict = self._monitor.prove_by_pam(asking.logon, asking.request_id, self._now())
        if isinstance(verdict, km.NotProved):
            self._close(nonce)
        else:
            child = asking.child
            del self._asking[nonce]
            self._unwatch(child.link)
            self._proved[verdict.proof_id] = child
            self._watch(child.link, lambda: self.drop(verdict.proof_id))
        asking.answer(verdict)

    def _fail(self, nonce: bytes, code: ErrorCode, detail: str) -> None:
        asking = self._asking[nonce]
        self._close(nonce)
        retry = RETRY_SECONDS if code is ErrorCode.LOGON_BUSY else 0
        asking.answer(km.NotProved(asking.request_id, code, detail, retry))

    def _close(self, nonce: bytes) -> None:
        child = self._asking.pop(nonce).child
        self._unwatch(child.link)
        child.end()
