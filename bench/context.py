"""The context of a bench, the turns of its contestants, and their processes' CPU and memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

Figures = dict[str, float]
Found = dict[str, dict[str, list[float]]]
"""Values by contestant and figure, in the order of the repetitions."""


class BenchContext(msgspec.Struct, frozen=True):
    """`smoke`: do only enough to show that the bench works. `folder` is empty and belongs to the
    bench. `say` prints progress for a person."""

    folder: Path
    smoke: bool
    repetitions: int
    say: Callable[[str], None]

    def size(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full

    def fresh(self) -> Path:
        """A new folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def seconds(self, full: float) -> float:
        """The seconds of a repetition."""
        return 0.05 if self.smoke else full


def take_turns(context: BenchContext, contestants: Mapping[str, Callable[[], Figures]]) -> Found:
    """Run each contestant once, then all of them again: a busy moment slows each of them."""
    found: Found = {name: {} for name in contestants}
    for turn in range(context.repetitions):
        for name, run in contestants.items():
            context.say(f"{name}, {turn + 1} of {context.repetitions}")
            for figure, value in run().items():
                found[name].setdefault(figure, []).append(value)
    return found


def of(found: Found, contestant: str, figure: str) -> list[float] | None:
    """A contestant's values; None for one that did not take part."""
    return found.get(contestant, {}).get(figure)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all threads, to the nanosecond, by the clock of
    clock_getcpuclockid(3). Children are not included."""
    return time.clock_gettime((~pid << 3) | 2)


def children_cpu_seconds(pid: int) -> float:
    """CPU time of the children that the process has waited for, in ticks of the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return ticks / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Proportional set size (Pss): shared pages are not counted twice."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss in /proc/{pid}/smaps_rollup")


_TICKS_PER_SECOND = 100  # USER_HZ, the same on every Linux that Debian builds
