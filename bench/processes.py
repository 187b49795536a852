"""The processes that a program under test has started, from /proc."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

CHILDLESS_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.002


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on; processes that end meanwhile may be missing."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def wait_until_childless(pid: int) -> None:
    """Wait until the process has waited for all its descendants, whose CPU time then counts."""
    deadline = time.monotonic() + CHILDLESS_SECONDS
    while descendants(pid):
        if time.monotonic() >= deadline:
            raise OSError(f"{name_of(pid)} still has children")
        time.sleep(LOOK_AGAIN_SECONDS)


def name_of(pid: int) -> str:
    """The kernel's name of a process; empty for one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _parents() -> dict[int, int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # The name before them may hold anything; it ends with the last parenthesis.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents[int(folder.name)] = int(fields[1])
    return parents
