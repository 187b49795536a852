"""A case: a requirement, a name that never changes, and a script over peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from clients.conformance.acting import Stage
from clients.conformance.stage import Cast
from tsproto.messages import Role

Script: TypeAlias = Callable[[Stage], None]

CLIENT = Role.CLIENT
TERMINAL_SERVER = Role.TERMINAL_SERVER
LICENSE_SERVER = Role.LICENSE_SERVER
SESSION_DIRECTORY = Role.SESSION_DIRECTORY
DAEMONS = (TERMINAL_SERVER, LICENSE_SERVER, SESSION_DIRECTORY)
EVERYBODY = (*DAEMONS, CLIENT)


class Case(msgspec.Struct, frozen=True):
    """`id` is the requirement's, a dot, and words. `leaves_no_trace` cases may share a target that
    others have used: they look at nothing that an earlier one has left."""

    id: str
    requirement: str
    role: Role
    script: Script
    cast: Cast = Cast.RIGHT
    leaves_no_trace: bool = False
    also: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        return (self.requirement, *self.also)


class Chapter:
    """Collects the cases of one file."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def case(
        self,
        requirement: str,
        *roles: Role,
        cast: Cast = Cast.RIGHT,
        also: tuple[str, ...] = (),
    ) -> Callable[[Script], Script]:
        """The function's name is the case's, its words for ever."""

        def add(script: Script) -> Script:
            words = script.__name__.replace("_", "-")
            for role in roles:
                self.cases.append(
                    Case(f"{requirement}.{words}", requirement, role, script, cast, also=also)
                )
            return script

        return add
