"""What a session's program finds: a real terminal, a clean environment, and nothing else.

With dash, which does not open a terminal by itself as bash does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemons.keeper import launch
from daemons.keeper.cgroup import SessionGroup, SessionLimits
from daemons.keeper.client import HeldProgram
from daemons.keeper.kept_program import KeptProgram, signal_all, with_processes
from tests.integration.keepers import RING_BYTES, Terminal, is_readable, program
from tests.integration.system_user import needs_accounts, system_user

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Started:
    def __init__(self, **given: Any) -> None:
        self.session = KeptProgram(program(**given), 100, 30, RING_BYTES)
        self.failure = self.session.read_failure()
        held = HeldProgram(self.session.pid, os.dup(self.session.master), os.dup(self.session.ring))
        self.terminal = Terminal(held)

    def wait_for_end(self) -> int:
        assert select.select([self.session.pidfd], [], [], 20)[0]
        return self.session.note_end()

    def close(self) -> None:
        self.terminal.close()
        if self.session.is_running:
            signal_all([self.session], signal.SIGKILL)
            self.session.note_end()
        self.session.close()


@contextlib.contextmanager
def session(**given: Any) -> Iterator[Started]:
    started = Started(**given)
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def shell() -> Iterator[Started]:
    with session() as started:
        yield started


def test_the_terminal_is_the_controlling_one(shell: Started) -> None:
    shell.terminal.type(b"tty; echo via /dev/tty >/dev/tty\n")
    shell.terminal.until(b"\r\n")
    name = shell.terminal.until(b"\r\n").removeprefix(b"# ").removeprefix(b"$ ")
    assert os.stat(name).st_rdev == os.fstat(shell.session.slave).st_rdev
    assert shell.terminal.until(b"\r\n") == b"via /dev/tty"


def wait_for_job(started: Started, name: str) -> int:
    """The process group of this program, once the shell has put it into the foreground."""
    deadline = time.monotonic() + 20
    while True:
        group = os.tcgetpgrp(started.session.master)
        with contextlib.suppress(
            FileNotFoundError, ProcessLookupError
        ):  # a job of the login scripts, just ended
            if Path(f"/proc/{group}/comm").read_text() == f"{name}\n":
                return group
        assert time.monotonic() < deadline, f"{name} is not in the foreground"


def test_ctrl_c_ends_the_job_and_not_the_shell(shell: Started) -> None:
    shell.terminal.type(b"sleep 1000\n")
    wait_for_job(shell, "sleep")
    shell.terminal.type(b"\x03")
    shell.terminal.type(b"echo status $?.\n")
    shell.terminal.until(b"status 130.")


def test_ctrl_z_stops_the_job(shell: Started) -> None:
    shell.terminal.type(b"cat\n")
    wait_for_job(shell, "cat")
    shell.terminal.type(b"\x1a")
    shell.terminal.until(b"Stopped")


def test_no_descriptor_but_three_is_open() -> None:
    leaky = [fcntl.fcntl(0, fcntl.F_DUPFD, at_least) for at_least in (3, 90)]
    listing = "n=0; while [ $n -lt 100 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done"
    try:
        with session(command=f"{listing}; echo end.") as started:
            assert started.terminal.until(b"end.").split() == [b"0", b"1", b"2"]
    finally:
        for descriptor in leaky:
            os.close(descriptor)


def test_what_looks_up_users_is_loaded_once_and_not_by_each_child() -> None:
    load = "from daemons.keeper.launch import load_name_services as load; load()"
    look_up = "pwd.getpwnam('root'); os.getgrouplist('root', 0)"
    mapped = "{line.split()[-1] for line in open('/proc/self/maps')}"
    lines = ["import os, pwd", load, f"before = {mapped}", look_up, f"print({mapped} - before)"]
    found = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert found.stdout == "set()\n"


def test_the_environment_holds_nothing_of_the_keepers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the keeper")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with session(command="env; echo end.", terminal="vt100", session_id=7) as started:
        lines = started.terminal.until(b"end.").decode().split()
    found = dict(line.split("=", 1) for line in lines)
    assert set(found) - {"PWD", "OLDPWD", "_"} == {
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "TERM",
        "LANG",
        "TSFARM_SESSION",
    }
    assert (found["TERM"], found["TSFARM_SESSION"]) == ("vt100", "7")


def test_signals_are_as_a_program_expects_them() -> None:
    with session(command="grep -E 'Sig(Blk|Ign)' /proc/self/status; echo end.") as started:
        lines = started.terminal.until(b"end.").decode().split()
    c_library = 0b11 << 31  # signals 32 and 33 are its own: who started us may have left them so
    assert [int(mask, 16) & ~c_library for mask in lines[1::2]] == [0, 0]


def test_programs_get_the_usual_limit_of_open_files() -> None:
    with session(command="ulimit -Sn; echo end.") as started:
        assert started.terminal.until(b"\nend.") == b"1024"


@contextlib.contextmanager
def handled_as_the_keeper_does() -> Iterator[socket.socket]:
    """SIGTERM wakes the keeper through this socket, which a child inherits."""
    wake, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, handler)
        wake.close()
        wakeup.close()


@pytest.mark.parametrize("moment", ["account_for", "_enter_folder"])
def test_a_signal_to_the_child_that_is_no_program_yet_never_reaches_the_keeper(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    usual = getattr(launch, moment)

    def signalled(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return usual(*given, **named)

    monkeypatch.setattr(launch, moment, signalled)
    with handled_as_the_keeper_does() as wake, session(command="sleep 1000") as started:
        assert started.wait_for_end() == 128 + signal.SIGTERM
        assert not is_readable(wake.fileno(), 0)


def test_the_size_is_there_from_the_start() -> None:
    with session(command="stty size; echo end.") as started:
        assert started.terminal.until(b"\nend.") == b"30 100"


def test_a_command_puts_out_exactly_its_bytes() -> None:
    with session(command="read line; printf 'a\\nb\\r\\n%s' $line; echo .") as started:
        started.terminal.type(b"typed\n")
        assert started.terminal.until(b".") == b"a\nb\r\ntyped"


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_status_is_as_a_shell_reports_it(command: str, status: int) -> None:
    with session(command=command) as started:
        assert started.wait_for_end() == status


def test_after_the_end_all_output_and_then_an_end_of_file_are_read() -> None:
    with session(command="seq 2000") as started:
        output = started.terminal.until(b"\n2000\n")
        started.wait_for_end()
        with pytest.raises(AssertionError, match="Input/output error"):
            started.terminal.until(b"more")
    assert output.split() == [b"%d" % number for number in range(1, 2000)]


def test_a_program_may_close_its_terminal_and_open_it_again() -> None:
    command = "exec 3<&- 2>&- 1>&- 0<&-; echo back. >/dev/tty"
    with session(command=command) as started:
        started.terminal.until(b"back.")


def test_hanging_up_ends_foreground_and_background(shell: Started) -> None:
    shell.terminal.type(b"sleep 1000 & echo job $!.; sleep 2000\n")
    shell.terminal.until(b"; sleep 2000\r\n")
    shell.terminal.until(b"job ")
    job = int(shell.terminal.until(b"."))
    gone = os.pidfd_open(job)
    signal_all([shell.session], signal.SIGHUP)
    assert select.select([gone], [], [], 20)[0]
    os.close(gone)
    assert shell.wait_for_end() == 128 + signal.SIGHUP


def test_a_stopped_job_is_ended_too(shell: Started) -> None:
    shell.terminal.type(b"cat\n")
    job = wait_for_job(shell, "cat")
    gone = os.pidfd_open(job)
    shell.terminal.type(b"\x1a")
    shell.terminal.until(b"Stopped")
    signal_all([shell.session], signal.SIGHUP)
    assert select.select([gone], [], [], 20)[0]
    os.close(gone)


def test_of_several_sessions_each_is_ended_after_one_look_at_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []
    usual = os.listdir

    def listdir(path: str) -> list[str]:
        looks.append(path)
        return usual(path)

    monkeypatch.setattr(os, "listdir", listdir)
    with session(command="exec sleep 1000") as one, session(command="exec sleep 1000") as two:
        with session(command="read key") as other:
            signal_all([one.session, two.session], signal.SIGHUP)
            assert looks == ["/proc"]
            assert {one.wait_for_end(), two.wait_for_end()} == {128 + signal.SIGHUP}
            of_all = [one.session, two.session, other.session]
            assert with_processes(of_all) == [other.session]


def test_a_program_that_cannot_be_executed_says_why() -> None:
    with session(arguments=("/no/such/program",)) as started:
        assert b"No such file" in started.failure


def test_a_folder_that_is_not_there_says_why() -> None:
    with session(command="pwd", folder="/no/such/folder") as started:
        assert b"No such file" in started.failure


def test_an_application_starts_in_its_folder() -> None:
    with session(command="pwd; echo end.", folder="/usr/bin") as started:
        assert started.terminal.until(b"\nend.") == b"/usr/bin"


def test_typed_text_is_utf8_to_the_terminal(shell: Started) -> None:
    mode = termios.tcgetattr(shell.session.master)
    assert mode[0] & 0o40000


@needs_accounts
def test_root_becomes_the_user_with_the_users_groups_and_terminal() -> None:
    command = "id -un; id -gn; id -Gn; stat -c %U $(tty); stat -c %a $(tty); echo end."
    with (
        system_user() as name,
        session(command=command, system_user=name, allow_root=False) as started,
    ):
        lines = started.terminal.until(b"end.").decode().split()
        assert lines == [name, name, name, name, "620"]


@needs_accounts
def test_the_user_cannot_become_root_again() -> None:
    command = 'python3 -c "import os; os.setuid(0)" 2>&1 | tail -n 1; echo end.'
    with (
        system_user() as name,
        session(command=command, system_user=name, allow_root=False) as started,
    ):
        assert b"PermissionError" in started.terminal.until(b"end.")


@needs_accounts
@pytest.mark.parametrize("given", [{"shell": ("/bin/sh",)}, {"arguments": ("/bin/true",)}])
def test_a_system_user_who_may_not_log_in_gets_no_configured_program_either(
    given: dict[str, tuple[str, ...]],
) -> None:
    with (
        system_user(shell="/usr/sbin/nologin") as name,
        session(system_user=name, allow_root=False, **given) as started,
    ):
        assert f"system user {name}: its shell is /usr/sbin/nologin".encode() in started.failure


TERMINAL = 'echo "TERM is $TERM"; echo end.'


def test_a_terminal_that_the_host_does_not_know_is_replaced_and_the_user_told() -> None:
    shell = ("/bin/sh", "-c", TERMINAL)
    with session(arguments=shell, terminal="kitty-of-tomorrow") as started:
        shown = started.terminal.until(b"end.").decode()
    assert shown.splitlines()[0] == (
        "[tsfarm] this host does not know the terminal 'kitty-of-tomorrow': TERM is xterm-256color"
    )
    assert "\nTERM is xterm-256color" in shown


def test_the_output_of_a_command_has_no_line_about_its_terminal() -> None:
    with session(command=TERMINAL, terminal="kitty-of-tomorrow") as started:
        assert started.terminal.until(b"end.") == b"TERM is xterm-256color\n"


def test_a_terminal_that_the_host_knows_is_the_programs() -> None:
    with session(arguments=("/bin/sh", "-c", TERMINAL), terminal="vt100") as started:
        assert started.terminal.until(b"end.") == b"TERM is vt100\r\n"


@needs_root
def test_root_itself_is_refused() -> None:
    with session(command="id", system_user="root", allow_root=False) as started:
        assert b"allow_root" in started.failure


def test_the_user_reads_on_the_terminal_which_limit_the_session_met(tmp_path: Path) -> None:
    limits = SessionLimits(memory_mib=64, processes=0, cpu_weight=0)
    group = SessionGroup(tmp_path / "session-1", limits)
    session = KeptProgram(program(command="exit 0", group=str(group.folder)), 80, 24, 4096, group)
    try:
        assert is_readable(session.pidfd, 20)
        assert (group.folder / "cgroup.procs").read_text() == str(session.pid)
        (group.folder / "memory.events").write_text("oom_kill 1\n")
        session.note_end()
        assert b"\r\nthe session used more than its 64 MiB of memory\r\n" in os.read(
            session.master, 4096
        )
    finally:
        session.close()
