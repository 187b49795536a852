"""The processes that a program under test has started, and the CPU and memory of each."""

from __future__ import annotations

import contextlib
import time

import psutil

CHILDLESS_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.002


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on; processes that end meanwhile may be missing."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def wait_until_childless(pid: int) -> None:
    """Wait until the process has waited for all its descendants, whose CPU time then counts."""
    deadline = time.monotonic() + CHILDLESS_SECONDS
    while descendants(pid):
        if time.monotonic() >= deadline:
            raise OSError(f"{name_of(pid)} still has children")
        time.sleep(LOOK_AGAIN_SECONDS)


def name_of(pid: int) -> str:
    """Empty for a process that has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return str(psutil.Process(pid).name())
    return ""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all threads, to the nanosecond, by the clock of
    clock_getcpuclockid(3). Children are not included."""
    return time.clock_gettime((~pid << 3) | 2)


def children_cpu_seconds(pid: int) -> float:
    """CPU time of the children that the process has waited for, in ticks of the kernel."""
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)


def resident_bytes(pid: int) -> int:
    """Proportional set size (Pss): shared pages are not counted twice. The kernel shows it of a
    daemon with secrets to root alone; to others the resident set size is shown, which is larger."""
    process = psutil.Process(pid)
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
