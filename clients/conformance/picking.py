"""Chooses the cases of a run by the ids of its options, and explains an id that names no case."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from clients.conformance.case import EVERYBODY, Case
from clients.conformance.catalogue import cases_for, pick
from clients.conformance.coverage import BY_ID
from clients.conformance.target import word_of
from tsproto.messages import Role
from tsproto.requirements import Level

NEAR_MATCHES = 3


def picked(role: Role, strict: bool, only: Sequence[str], exclude: Sequence[str]) -> list[Case]:
    """The cases to play, in the order of the document. Raises ValueError, which names the option,
    for an id that names no case: otherwise a typing error would look like a pass."""
    every = cases_for(role)
    played = [case for case in every if strict or BY_ID[case.requirement].level is Level.MUST]
    for name in exclude:
        if not pick(every, [name], ()):
            raise ValueError(f"--exclude {name}: {_no_such_case(name, role, every)}")
    for name in only:
        if not pick(played, [name], ()):
            raise ValueError(f"--only {name}: {_no_such_case(name, role, every)}")
    cases = pick(played, only, exclude)
    if not cases:
        raise ValueError("--exclude leaves no case")
    return cases


def _no_such_case(name: str, role: Role, every: Sequence[Case]) -> str:
    if pick(every, [name], ()):
        return "stands for SHOULD or MAY alone, which --strict plays"
    others = [other for other in EVERYBODY if pick(cases_for(other), [name], ())]
    if others:
        roles = " or ".join(word_of(other) for other in others)
        return f"is for --role {roles}"
    near = _near(name, every)
    return "no case has such an id" + (f"; near it: {', '.join(near)}" if near else "")


def _near(name: str, cases: Iterable[Case]) -> list[str]:
    """The most similar ids: of cases when the id has a dot, else of requirements."""
    known = {id.lower(): id for id in _ids(cases) if ("." in id) == ("." in name)}
    found = difflib.get_close_matches(name.lower(), known, NEAR_MATCHES)
    return [known[id] for id in found]


def _ids(cases: Iterable[Case]) -> Iterator[str]:
    for case in cases:
        yield from (case.id, case.requirement, case.requirement.partition("-")[0])
