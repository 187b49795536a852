"""The process of one user's PAM: a child of the keeper that holds PAM's handle from the first
prompt until the session is closed, and waits as the parent of the session's program.

Modules block and look names up, and may end the process: never in the keeper's own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
from typing import NoReturn, TypeAlias

import msgspec

from daemons.keeper.cgroup import OWN
from daemons.keeper.launch import (
    NOT_EXECUTED,
    AccountUnusable,
    Program,
    account_for,
    close_all_but,
    drop_handlers,
    join_groups,
    launch,
    limit_open_files,
    report,
)
from daemons.keeper.messages import PACKET_BYTES
from daemons.keeper.pam import Converse, Item, Pam, PamError
from tsproto import limits
from tsproto.errors import ErrorCode

DETAIL_CHARACTERS = 1024
BEFORE_A_TERMINAL = "tsfarm"  # what modules see as the terminal until there is one
EXPIRED = "the system user's password has expired, and can be changed only where PAM asks for it"


class PamUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whom PAM is to judge. `system_user` empty means this process's own. Without `asks` the user
    was proved otherwise, and PAM only opens the session."""

    service: str
    system_user: str
    address: str
    asks: bool


class Asks(msgspec.Struct, array_like=True, frozen=True, tag=1):
    prompts: list[tuple[str, bool]]
    notices: list[str]


class Judged(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """`code` is NORMAL when the user is the one that they say."""

    code: ErrorCode
    detail: str = ""


class Runs(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """The program's process id; sent before the program runs."""

    pid: int


class Answers(msgspec.Struct, array_like=True, frozen=True, tag=4):
    answers: tuple[bytes, ...]


class Begin(msgspec.Struct, array_like=True, frozen=True, tag=5):
    """Open a session and start its program; comes with the PTY's slave and the pipe of failures."""

    program: Program


Said: TypeAlias = Asks | Judged | Runs
Told: TypeAlias = Answers | Begin
decode_said = msgspec.msgpack.Decoder(Said).decode
_decode_told = msgspec.msgpack.Decoder(Told).decode
encode = msgspec.msgpack.Encoder().encode


def serve(link: socket.socket, user: PamUser) -> NoReturn:
    """Runs in the child, which inherited blocked signals and all that the keeper holds. Ends with
    the session's exit status."""
    status = NOT_EXECUTED
    try:
        drop_handlers()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the keeper ends the program, not this process
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        close_all_but(link.fileno())
        status = _Logon(link, user).run()
    finally:
        os._exit(status)


class _Logon:
    def __init__(self, link: socket.socket, user: PamUser) -> None:
        self._link = link
        self._user = user
        self._notices: list[str] = []

    def run(self) -> int:
        pam, judged = self._judged()
        if self._user.asks:
            if self._notices:
                self._ask([])  # what PAM said last: that an account expires soon, say
            self._link.send(encode(judged))
            if judged.code is not ErrorCode.NORMAL:
                return NOT_EXECUTED
        signal.alarm(limits.PROOF_SECONDS)
        return self._run_session(pam, judged)

    def _judged(self) -> tuple[Pam | None, Judged]:
        try:
            name = self._user.system_user or pwd.getpwuid(os.geteuid()).pw_name
            pam = Pam(self._user.service, name, self._converse)
            pam.set_item(Item.TERMINAL, BEFORE_A_TERMINAL)
            pam.set_item(Item.REMOTE_HOST, self._user.address)
        except (PamError, KeyError) as error:
            return None, Judged(ErrorCode.ACCOUNT_UNUSABLE, str(error))
        return pam, _judge(pam, name) if self._user.asks else Judged(ErrorCode.NORMAL)

    def _converse(self, notices: list[str], prompts: list[tuple[str, bool]]) -> list[bytes] | None:
        """Notices without a prompt wait for the next one."""
        self._notices += [notice[:DETAIL_CHARACTERS] for notice in notices]
        if not prompts:
            return []
        return self._ask(prompts) if len(prompts) <= limits.PAM_PROMPTS_MAX else None

    def _ask(self, prompts: list[tuple[str, bool]]) -> list[bytes] | None:
        """Has the user asked, who takes at most CHALLENGE_SECONDS: then this process ends."""
        notices, self._notices = self._notices[: limits.PAM_PROMPTS_MAX], []
        asked = [(words[:DETAIL_CHARACTERS], is_shown) for words, is_shown in prompts]
        self._link.send(encode(Asks(asked, notices)))
        signal.alarm(limits.CHALLENGE_SECONDS)
        packet = self._link.recv(PACKET_BYTES)
        signal.alarm(0)
        told = _decode_told(packet) if packet else None
        return [*told.answers] if isinstance(told, Answers) else None

    def _run_session(self, pam: Pam | None, judged: Judged) -> int:
        packet, descriptors, _, _ = socket.recv_fds(self._link, PACKET_BYTES, 2)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # Python 3.11 ignores MSG_CMSG_CLOEXEC here
        signal.alarm(0)
        if not packet:
            return NOT_EXECUTED  # nobody started the session
        begin = _decode_told(packet)
        assert isinstance(begin, Begin) and len(descriptors) == 2
        terminal, failures = descriptors
        try:
            if pam is None:
                raise AccountUnusable(judged.detail)
            before = OWN.read_text()
            environment = self._open(pam, begin.program, terminal)
            program = begin.program
            if OWN.read_text() != before:  # PAM put the session into systemd's own group
                program = msgspec.structs.replace(program, group="")
        except (PamError, AccountUnusable) as error:
            detail = f"the host's PAM opens no session: {error}"
            report(failures, ErrorCode.ACCOUNT_UNUSABLE, detail)
            return NOT_EXECUTED
        pid = os.fork()
        if pid == 0:
            # The keeper learns the id from the process that has it: before the program runs.
            self._link.send(encode(Runs(os.getpid())))
            launch(program, terminal, failures, environment)
        for descriptor in (terminal, failures, self._link.fileno()):
            os.close(descriptor)
        status = _wait(pid)
        with contextlib.suppress(PamError):
            pam.close_session()
        pam.end()
        return status

    def _open(self, pam: Pam, program: Program, terminal: int) -> dict[str, str]:
        """Limits, groups and umask that modules set here are those of the program, which inherits
        them."""
        account = account_for(
            program.system_user, allow_root=program.allow_root, own_uid=os.geteuid()
        )
        if not self._user.asks and not pam.check_account():
            raise AccountUnusable(EXPIRED)
        pam.converse = _shown_on(terminal, is_raw=bool(program.command))
        pam.set_item(Item.TERMINAL, os.ttyname(terminal))
        os.umask(0o022)
        limit_open_files()
        join_groups(account)
        return pam.open_session()


def _judge(pam: Pam, name: str) -> Judged:
    try:
        pam.authenticate()
        if pam.user() != name:
            return Judged(ErrorCode.LOGON_FAILED)
    except PamError:
        return Judged(ErrorCode.LOGON_FAILED)
    try:
        if not pam.check_account():
            pam.change_expired_password()
    except PamError as error:
        return Judged(ErrorCode.ACCOUNT_UNUSABLE, f"the host's PAM refuses the account: {error}")
    return Judged(ErrorCode.NORMAL)


def _shown_on(terminal: int, *, is_raw: bool) -> Converse:
    """A conversation that shows what modules say, the message of the day for example, and asks
    nothing. A command's output is its own."""

    def converse(notices: list[str], prompts: list[tuple[str, bool]]) -> list[bytes] | None:
        if not is_raw:
            for notice in notices:
                os.write(terminal, notice.encode() + b"\n")
        return None if prompts else []

    return converse


def _wait(pid: int) -> int:
    """The exit status as a shell reports it. The program stays a zombie until this process ends:
    its id names the session's processes."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128)
