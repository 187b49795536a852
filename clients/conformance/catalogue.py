"""All cases for a target of one role, in the order of the document, and how some are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from clients.conformance.case import Case
from clients.conformance.cases import (
    accounts,
    administration,
    client,
    closing,
    deny_lists,
    directory,
    discovery,
    frames,
    generated_bytes,
    generated_fields,
    generated_order,
    generated_silence,
    lending,
    license_server,
    licensing,
    logon,
    opening,
    proofs,
    requests,
    session,
    synchronisation,
    token,
    user_proofs,
)
from tsproto.messages import Role

GENERATED = (generated_fields, generated_order, generated_bytes, generated_silence)
WRITTEN = (
    frames,
    opening,
    requests,
    closing,
    discovery,
    token,
    licensing,
    user_proofs,
    logon,
    session,
    client,
    license_server,
    lending,
    directory,
    proofs,
    synchronisation,
    accounts,
    administration,
    deny_lists,
)


def cases_for(role: Role) -> list[Case]:
    written = [case for chapter in WRITTEN for case in chapter.cases() if case.role is role]
    return [*written, *generated_for(role)]


def generated_for(role: Role) -> Iterator[Case]:
    for chapter in GENERATED:
        yield from chapter.cases(role)


def pick(cases: Iterable[Case], only: Sequence[str], exclude: Sequence[str]) -> list[Case]:
    """The cases that match `only` (all when it is empty) and do not match `exclude`.

    A name is an id, the beginning of an id up to a dot or a dash, or a pattern with `*`.
    """
    return [
        case
        for case in cases
        if (not only or is_named(case.id, only)) and not is_named(case.id, exclude)
    ]


def is_named(id: str, names: Sequence[str]) -> bool:
    return any(
        id == name or id.startswith((f"{name}.", f"{name}-")) or fnmatchcase(id, name)
        for name in names
    )
