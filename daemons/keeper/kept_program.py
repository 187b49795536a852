"""One session in the keeper: its PTY, its ring, and the process that began it."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Collection

from daemons.keeper.launch import launch
from daemons.keeper.messages import KeptSession, Program
from daemons.screen.ring import create_ring

_IFLAG, _OFLAG, _LFLAG = 0, 1, 3  # places in what tcgetattr gives
_IUTF8 = 0o40000  # Linux: erasing in line mode takes a whole character


class Session:
    """Started by its constructor; raises OSError when the machine has no PTY, process or
    descriptor left.

    `failures` is readable once the program runs (end of file) or could not be started.
    `pidfd` is readable once the program has ended. The keeper holds the slave open as long as the
    program lives, so that a program may close its terminal and open it again; after that the
    master's end of file says that no output is left.
    """

    def __init__(self, program: Program, columns: int, rows: int, ring_bytes: int) -> None:
        self.session_id = program.session_id
        self.exit_status: int | None = None
        self.kill_at: float | None = None
        self.is_forgotten = False
        self.pid = 0
        self._descriptors: dict[str, int] = {}
        try:
            self._open(columns, rows, ring_bytes, raw=bool(program.command))
            self._fork(program)
            self._descriptors["pidfd"] = os.pidfd_open(self.pid)
        except OSError:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
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
            # Quoted bytes of input must pass: a full terminal acts on a quoted ^S all the same.
            mode[_IFLAG] &= ~(termios.IXON | termios.IXOFF)
            mode[_OFLAG] &= ~termios.OPOST
            mode[_LFLAG] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)

    def _fork(self, program: Program) -> None:
        """The child has the keeper's handlers when it begins: until it has dropped them, no signal
        may reach it."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
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
        """Whether it will run is not known yet: `failures` was not read."""
        return "failures" in self._descriptors

    @property
    def is_running(self) -> bool:
        return self.exit_status is None

    def as_kept(self) -> KeptSession:
        return KeptSession(self.session_id, self.pid, self.exit_status)

    def read_failure(self) -> bytes:
        """What the child had to report, empty when the program runs."""
        report = os.read(self.failures, 4096)
        self._close("failures")
        return report

    def note_end(self) -> int:
        """The exit status of the program that has ended.

        It stays a zombie until `close`: its id cannot become a stranger's, who would be hung up on.
        """
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        self.exit_status = ended.si_status
        if ended.si_code != os.CLD_EXITED:
            self.exit_status += 128
        self._close("slave")
        self._close("pidfd")
        return self.exit_status

    def close_terminal(self) -> None:
        """What still runs loses its terminal."""
        for name in ("master", "slave", "ring"):
            self._close(name)

    def close(self) -> None:
        for name in list(self._descriptors):
            self._close(name)
        if self.exit_status is not None:
            os.waitpid(self.pid, 0)

    def _close(self, name: str) -> None:
        descriptor = self._descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


def signal_all(sessions: Collection[Session], number: signal.Signals) -> None:
    """To every process group of these sessions, stopped ones included.

    A child that is being launched has no session of its own yet; it acts on anything but SIGKILL
    once it is about to run the program.
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


def with_processes(sessions: Collection[Session]) -> list[Session]:
    """Those of which anything runs, be it in the background."""
    groups = _groups_of(sessions)
    return [session for session in sessions if groups[session.pid]]


def _groups_of(sessions: Collection[Session]) -> dict[int, dict[int, None]]:
    """By the process that began a session, the process groups of it that are not only zombies.

    Every process is looked at, in a microsecond each and once for all sessions: to read the files
    of all of them would take a busy host's keeper most of its time.
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
                # After the name, which may hold anything but ends with the last parenthesis.
                state, _, group = file.read().rpartition(b")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if state not in (b"Z", b"X"):
            found[int(group)] = None
    return groups
