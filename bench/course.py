"""What one bench is given, and how contestants take turns."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

Figures = dict[str, float]


class Course(msgspec.Struct, frozen=True):
    """`smoke` asks for as little work as shows that the bench works: seconds, and small counts.
    `folder` is the bench's own, and empty. `say` tells a person what is going on."""

    folder: Path
    smoke: bool
    repetitions: int
    say: Callable[[str], None]

    def size(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full

    def seconds(self, full: float) -> float:
        """How long one repetition measures."""
        return 0.05 if self.smoke else full


def take_turns(
    course: Course, contestants: Mapping[str, Callable[[], Figures]]
) -> dict[str, dict[str, list[float]]]:
    """Each contestant once, then again from the first: what slows the machine down for a while
    slows all of them. Gives figures by contestant and name, in the order of the repetitions."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in contestants}
    for turn in range(course.repetitions):
        for name, run in contestants.items():
            course.say(f"{name}, {turn + 1} of {course.repetitions}")
            for figure, value in run().items():
                found[name].setdefault(figure, []).append(value)
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, to the nanosecond: the clock that
    clock_getcpuclockid(3) names. Children that it waited for are not in it."""
    return time.clock_gettime((~pid << 3) | 2)


def children_cpu_seconds(pid: int) -> float:
    """Time of the children that this process has waited for, in ticks of the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return ticks / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """What the process holds in memory alone (Pss), so that shared pages are not counted twice."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss in /proc/{pid}/smaps_rollup")


def raise_descriptor_limit() -> int:
    """As many descriptors as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


_TICKS_PER_SECOND = 100  # USER_HZ, the same on every Linux that Debian builds
