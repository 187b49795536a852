"""Who may look into the memory of a process with secrets."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65_534
IS_ROOT = os.geteuid() == 0
# The user whose process it is: root's own files are closed to all others anyway.
USER = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if IS_ROOT else {}

# A process of a plain user that begins as any other, and forbids core dumps when told so.
BEGINS = f"""
import ctypes, os, resource, socket, sys
from pathlib import Path
from daemons.files import core_dumps
from daemons.keeper.address import unix_address
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
prctl = ctypes.CDLL(None).prctl
prctl(4, 1)  # changing the user has cleared it
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
print(os.getpid(), flush=True)
sys.stdin.readline()
core_dumps.forbid()
print(prctl(3), *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(program: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def read_as_its_user(pid: int, file: str) -> bool:
    done = subprocess.run(["cat", f"/proc/{pid}/{file}"], capture_output=True, **USER)  # type: ignore[call-overload]
    return bool(done.returncode == 0)


def test_the_own_user_reads_no_memory_of_it_any_more_and_still_its_figures() -> None:
    with process(BEGINS) as started:
        pid = int(line_of(started))
        assert read_as_its_user(pid, "environ") and read_as_its_user(pid, "maps")
        go_on(started)
        dumpable, soft, hard = map(int, line_of(started).split())
        assert (dumpable, soft) == (0, 0)
        assert hard == resource.getrlimit(resource.RLIMIT_CORE)[1]
        assert not read_as_its_user(pid, "environ")
        assert not read_as_its_user(pid, "maps")
        for file in ("stat", "statm", "status", "cmdline"):  # ps, pid files and the bench's clock
            assert read_as_its_user(pid, file)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of the user: the folders of `tmp_path` are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


def test_it_still_reaches_its_own_descriptors(folder: Path) -> None:
    """Long Unix addresses, and terminals that are opened once more, go by /proc/self/fd."""
    uses = f"""
listener = socket.socket(socket.AF_UNIX)
with unix_address(Path({str(folder)!r}) / "keeper.sock") as address:
    listener.bind(address)
reading, writing = os.pipe()
os.close(os.open(f"/proc/self/fd/{{writing}}", os.O_WRONLY))
print(sorted(os.listdir("/proc/self/fd"))[:3], flush=True)
"""
    with process(BEGINS + uses) as started:
        line_of(started)
        go_on(started)
        line_of(started)
        go_on(started)
        assert line_of(started) == "['0', '1', '2']"


def test_a_program_that_it_executes_is_like_any_other() -> None:
    command = "cat /proc/$$/environ > /dev/null && ulimit -S -c && echo open"
    with process(f"{BEGINS}\nos.execv('/bin/sh', ['sh', '-c', {command!r}])") as started:
        line_of(started)
        go_on(started)
        line_of(started)
        go_on(started)
        assert (line_of(started), line_of(started)) == ("0", "open")
