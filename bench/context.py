"""The context of a bench, and the turns of its contestants."""

from __future__ import annotations

import tempfile
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
