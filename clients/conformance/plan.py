"""A dry run: its cases, and how long they would wait."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from clients.conformance.acting import CaseContext
from clients.conformance.case import Case
from clients.conformance.coverage import BY_ID
from clients.conformance.scenarios import not_built
from clients.conformance.target import Unavailable
from tsproto.messages import Role


class _Nowhere:
    """A target with a role, on which nothing can be played."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __getattr__(self, name: str) -> Any:
        raise Unavailable("nothing is played")


class _Waits(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class _Asked(CaseContext):
    """The context of a dry run. A case calls `needs_seconds` before anything else."""

    def needs_seconds(self, seconds: float) -> None:
        raise _Waits(seconds)


def seconds_of(case: Case) -> float:
    """How long the case waits for deadlines of the document; 0 when it waits for none."""
    try:
        case.script(_Asked(_Nowhere(case.role), case.setup, random.Random(0)))
    except _Waits as waits:
        return waits.seconds
    except Unavailable:
        return 0.0
    return 0.0


def listed(role: Role, cases: Sequence[Case], longest_seconds: float | None) -> Iterator[str]:
    """The cases, the stories that cannot be played yet, and an estimate of the run's time, as
    lines. With virtual time no wait is too long: then `longest_seconds` is None."""
    for case in cases:
        yield f"{BY_ID[case.requirement].level:7}{case.id}"
    yield from (f"not built yet: {line}" for line in not_built(role))
    count = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    if longest_seconds is None:
        yield f"{count}, without waiting: time in process is made up"
    else:
        yield f"{count}; {_estimate([seconds_of(case) for case in cases], longest_seconds)}"


def _estimate(waits: Sequence[float], longest_seconds: float) -> str:
    slow = [seconds for seconds in waits if seconds > longest_seconds]
    waited = f"waiting for deadlines takes {sum(waits) - sum(slow):g} s"
    if not slow:
        return f"{waited}, and none waits longer than --timeout {longest_seconds:g}"
    return (
        f"{waited}; longer than --timeout {longest_seconds:g}, and skipped: {len(slow)}"
        f" (up to {max(slow):g} s each, {sum(slow):g} s in all)"
    )
