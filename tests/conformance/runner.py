"""Plays cases, one after the other, and says what came of each."""

from __future__ import annotations

import random
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Protocol

import msgspec

from tests.conformance.acting import Stage
from tests.conformance.case import Case
from tests.conformance.in_process import InProcess
from tests.conformance.in_process_kinds import Wrap, unwrapped
from tests.conformance.stage import Cast, Said, Target, Unavailable, Unmet
from tsproto.messages import Role


class Verdict(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(msgspec.Struct, frozen=True):
    """What came of a case; `why` is empty where it passed."""

    case: Case
    verdict: Verdict
    why: str = ""
    said: tuple[Said, ...] = ()
    seconds: float = 0.0


class Source(Protocol):
    """Where targets come from: `fresh` asks for one that no case has used."""

    def target(self, cast: Cast, fresh: bool) -> Target: ...

    def done(self, target: Target, has_failed: bool) -> None:
        """A case is done with this target, which a failure may have spoilt."""

    def stop(self) -> None:
        """No case is left."""


class InProcessSource:
    """Fresh targets are cheap here; what generated cases share is made anew after a failure."""

    def __init__(self, role: Role, *, all_points: bool = False, wrap: Wrap = unwrapped) -> None:
        self._make: Callable[[Cast], InProcess] = lambda cast: InProcess(
            role, cast, all_points=all_points, wrap=wrap
        )
        self._shared: dict[Cast, InProcess] = {}

    def target(self, cast: Cast, fresh: bool) -> Target:
        if fresh or cast is not Cast.RIGHT:
            return self._make(cast)
        if cast not in self._shared:
            self._shared[cast] = self._make(cast)
        return self._shared[cast]

    def done(self, target: Target, has_failed: bool) -> None:
        is_shared = any(target is shared for shared in self._shared.values())
        if has_failed:
            self._shared.clear()
        if has_failed or not is_shared:
            target.stop()

    def stop(self) -> None:
        for target in self._shared.values():
            target.stop()
        self._shared.clear()


def play(case: Case, source: Source) -> Result:
    """One case on a target of the source."""
    began = time.perf_counter()
    stage: Stage | None = None
    verdict, why = Verdict.PASSED, ""
    try:
        target = source.target(case.cast, fresh=not case.leaves_no_trace)
        target.begin()
        stage = Stage(target, case.cast, random.Random(secrets.token_bytes(16)))
        case.script(stage)
    except Unavailable as reason:
        verdict, why = Verdict.SKIPPED, str(reason)
    except Unmet as reason:
        verdict, why = Verdict.FAILED, str(reason)
    except Exception:  # a target in process that raises has failed, whatever it raised
        verdict, why = Verdict.FAILED, traceback.format_exc()
    finally:
        if stage is not None:
            stage.leave()
            source.done(stage.target, verdict is Verdict.FAILED)
    said = tuple(stage.transcript.said) if stage is not None else ()
    return Result(case, verdict, why, said, time.perf_counter() - began)


def play_all(cases: Iterable[Case], source: Source) -> Iterator[Result]:
    return (play(case, source) for case in cases)
