"""One session in the keeper: its PTY, its ring, and the program that it was started with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import termios
from collections.abc import Collection

from daemons.keeper.cgroup import SessionGroup
from daemons.keeper.launch import Program, launch
from daemons.keeper.messages import STATUS_UNKNOWN, KeptSession
from daemons.keeper.record import Started, identity_of
from daemons.screen.ring import create_ring
from tsproto.errors import TsfarmError

_IFLAG, _OFLAG, _LFLAG = 0, 1, 3  # indices in the list that tcgetattr returns
_IUTF8 = 0o40000  # Linux: in line mode, backspace erases a whole UTF-8 character
_TIOCGPTPEER = 0x5441  # Linux: opens the slave of this master
NOBODY = -1  # no process has this id


class KeptProgram:
    """The constructor starts the program; it raises OSError when the machine has no PTY, process
    or descriptor left.

    `child` is the keeper's child: the program itself, or its parent, which ends with its status.
    `failures` is readable when the program runs (end of file) or could not be started. `pidfd` is
    readable when the program has ended. The keeper holds the slave open while the program runs, so
    that the program may close its terminal and open it again; afterwards end of file on the master
    means that no output is left.
    """

    group: SessionGroup | None = None  # an earlier keeper's sessions have none here

    def __init__(
        self,
        program: Program,
        columns: int,
        rows: int,
        ring_bytes: int,
        group: SessionGroup | None = None,
    ) -> None:
        self.group = group
        self.session_id = program.session_id
        self.exit_status: int | None = None
        self.kill_at: float | None = None
        self.is_forgotten = False
        self.pid = self.child = 0
        self._descriptors: dict[str, int] = {}
        try:
            self._open(columns, rows, ring_bytes, raw=bool(program.command))
            self._fork(program)
            self._descriptors["pidfd"] = os.pidfd_open(self.child)
        except OSError:
            if self.child:
                os.kill(self.child, signal.SIGKILL)
                self.note_end()
            self.close()
            raise
        self._close("report")

    def _open(self, columns: int, rows: int, ring_bytes: int, *, raw: bool) -> None:
        opened = self._descriptors
        opened["master"], opened["slave"] = os.openpty()
        opened["failures"], opened["report"] = os.pipe()
        opened["ring"] = create_ring(ring_bytes)
        os.set_blocking(opened["master"], False)
        termios.tcsetwinsize(opened["master"], (rows, columns))
        mode = termios.tcgetattr(opened["slave"])
        mode[_IFLAG] |= _IUTF8
        if raw:
            # All bytes of input must pass: with IXON a terminal acts even on a quoted ^S.
            mode[_IFLAG] &= ~(termios.IXON | termios.IXOFF)
            mode[_OFLAG] &= ~termios.OPOST
            mode[_LFLAG] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)

    def _fork(self, program: Program) -> None:
        """The child begins with the keeper's signal handlers: signals stay blocked until it has
        dropped them."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = self.child = os.fork()
            if self.child == 0:
                launch(program, self.slave, self._descriptors["report"])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def master(self) -> int:
        return self._descriptors["master"]

    @property
    def slave(self) -> int:
        return self._descriptors["slave"]

    @property
    def ring(self) -> int:
        return self._descriptors["ring"]

    @property
    def failures(self) -> int:
        return self._descriptors["failures"]

    @property
    def pidfd(self) -> int:
        return self._descriptors["pidfd"]

    @property
    def is_starting(self) -> bool:
        """Whether the launch has neither succeeded nor failed yet: `failures` was not read."""
        return "failures" in self._descriptors

    @property
    def is_running(self) -> bool:
        return self.exit_status is None

    def as_kept(self) -> KeptSession:
        return KeptSession(self.session_id, self.pid, self.exit_status)

    def read_failure(self) -> bytes:
        """The child's report of a failed launch; empty when the program runs."""
        report = os.read(self.failures, 4096)
        self._close("failures")
        return report

    def note_end(self) -> int:
        """The exit status of the ended program.

        It stays a zombie until `close`, so that its id is not reused by a process that would then
        get the session's SIGHUP.
        """
        ended = os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        self.exit_status = ended.si_status
        if ended.si_code != os.CLD_EXITED:
            self.exit_status += 128
        self._tell_limit()
        self._close("slave")
        self._close("pidfd")
        return self.exit_status

    def _tell_limit(self) -> None:
        """Let the user read on their terminal which limit the session has met. A terminal that
        nobody reads is not waited for."""
        met = self.group.met() if self.group is not None else ""
        if not met or "slave" not in self._descriptors:
            return
        with contextlib.suppress(OSError):
            terminal = os.open(os.ttyname(self.slave), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(terminal, f"\r\n{met}\r\n".encode())
            os.close(terminal)

    def close_terminal(self) -> None:
        """Take the terminal away from background processes."""
        for name in ("master", "slave", "ring"):
            self._close(name)

    def close(self) -> None:
        for name in list(self._descriptors):
            self._close(name)
        if self.exit_status is not None:
            self._reap()
        if self.group is not None:
            self.group.remove()

    def _reap(self) -> None:
        os.waitpid(self.child, 0)

    def _close(self, name: str) -> None:
        descriptor = self._descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


class NotAdopted(TsfarmError):
    """The record and the kernel do not confirm a session; the text says why."""


class AdoptedProgram(KeptProgram):
    """A session of an earlier keeper, taken over from the terminal server, which held `master` and
    `ring`. The constructor owns both; it raises NotAdopted and OSError.

    The program is no child of this process: its end is seen, its exit status is not.
    """

    def __init__(self, started: Started, master: int, ring: int) -> None:
        self.session_id = started.session_id
        self.exit_status = None
        self.kill_at = None
        self.is_forgotten = False
        self.pid = started.pid
        self._descriptors = {"master": master, "ring": ring}
        try:
            slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            self._descriptors["slave"] = slave
            if identity_of(slave) != started.terminal:
                raise NotAdopted("the terminal is not the session's")
            self._descriptors["pidfd"] = os.pidfd_open(self.pid)
            if not started.is_running():  # the id was given to another process since
                raise NotAdopted("the session's program has ended")
        except (OSError, NotAdopted):
            self.close()
            raise

    def note_end(self) -> int:
        """The id of the ended program stays taken while processes of the session are left, and may
        be another's afterwards: then nothing is signalled any more."""
        self.exit_status = STATUS_UNKNOWN
        self._close("slave")
        self._close("pidfd")
        if not with_processes([self]):
            self.pid = NOBODY
        return self.exit_status

    def _reap(self) -> None:
        """Another process does: the program is its child."""


def signal_all(sessions: Collection[KeptProgram], number: signal.Signals) -> None:
    """Signal every process group of these sessions, stopped ones included.

    A child that is being launched has no kernel session of its own yet. It acts on any signal but
    SIGKILL right before it executes the program.
    """
    for session in sessions:
        if session.is_starting:
            os.kill(session.pid, number)
    for groups in _groups_of(sessions).values():
        for group in groups:
            for each in (number, signal.SIGCONT):
                try:
                    os.killpg(group, each)
                except (ProcessLookupError, PermissionError):
                    break


def with_processes(sessions: Collection[KeptProgram]) -> list[KeptProgram]:
    """The sessions with a process that runs, foreground or background."""
    groups = _groups_of(sessions)
    return [session for session in sessions if groups[session.pid]]


def _groups_of(sessions: Collection[KeptProgram]) -> dict[int, dict[int, None]]:
    """For the pid of each session's program: its process groups that are not only zombies.

    Asks for the kernel session of every process on the host, a microsecond each, once for all
    sessions. Reading every process's file instead would take most of a busy keeper's time.
    """
    groups: dict[int, dict[int, None]] = {session.pid: {} for session in sessions}
    for name in os.listdir("/proc") if sessions else ():
        if not name.isdigit():
            continue
        try:
            found = groups.get(os.getsid(int(name)))
            if found is None:
                continue
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name may hold any character, but ends at the last parenthesis.
                state, _, group = file.read().rpartition(b")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if state not in (b"Z", b"X"):
            found[int(group)] = None
    return groups
