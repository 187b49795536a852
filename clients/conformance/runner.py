"""Plays cases one after the other, and gives their results."""

from __future__ import annotations

import random
import secrets
import time
import traceback
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Protocol

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import Case
from clients.conformance.target import Said, Setup, Target, Unavailable, Unmet


class Verdict(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(msgspec.Struct, frozen=True):
    """The result of a case; `why` is empty when it passed."""

    case: Case
    verdict: Verdict
    why: str = ""
    said: tuple[Said, ...] = ()
    seconds: float = 0.0


class Source(Protocol):
    """Gives targets to cases; `fresh` asks for one that no case has used."""

    def target(self, setup: Setup, fresh: bool) -> Target: ...

    def done(self, target: Target, has_failed: bool) -> None:
        """The case has finished with this target, which a failure may have spoilt."""

    def stop(self) -> None:
        """The run is over."""


def play(case: Case, source: Source) -> Result:
    """Plays one case on a target of the source."""
    began = time.perf_counter()
    context: CaseContext | None = None
    verdict, why = Verdict.PASSED, ""
    try:
        target = source.target(case.setup, fresh=not case.leaves_no_trace)
        target.begin()
        context = CaseContext(target, case.setup, random.Random(secrets.token_bytes(16)))
        case.script(context)
    except Unavailable as reason:
        verdict, why = Verdict.SKIPPED, str(reason)
    except Unmet as reason:
        verdict, why = Verdict.FAILED, str(reason)
    except Exception:  # an exception of a target in process is a failure of it
        verdict, why = Verdict.FAILED, traceback.format_exc()
    finally:
        if context is not None:
            context.leave()
            source.done(context.target, verdict is Verdict.FAILED)
    said = tuple(context.transcript.said) if context is not None else ()
    return Result(case, verdict, why, said, time.perf_counter() - began)


def play_all(cases: Iterable[Case], source: Source) -> Iterator[Result]:
    return (play(case, source) for case in cases)
