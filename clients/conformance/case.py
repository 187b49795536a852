"""A case: a requirement, a name that never changes, and a script over peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.target import Setup
from tsproto.messages import Role

Script: TypeAlias = Callable[[CaseContext], None]

CLIENT = Role.CLIENT
TERMINAL_SERVER = Role.TERMINAL_SERVER
LICENSE_SERVER = Role.LICENSE_SERVER
SESSION_DIRECTORY = Role.SESSION_DIRECTORY
DAEMONS = (TERMINAL_SERVER, LICENSE_SERVER, SESSION_DIRECTORY)
EVERYBODY = (*DAEMONS, CLIENT)


class Case(msgspec.Struct, frozen=True):
    """`id` is the requirement's id, a dot, and words. Cases with `leaves_no_trace` may share a
    target with others: they depend on nothing that an earlier case has left there."""

    id: str
    requirement: str
    role: Role
    script: Script
    setup: Setup = Setup.RIGHT
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
        setup: Setup = Setup.RIGHT,
        also: tuple[str, ...] = (),
    ) -> Callable[[Script], Script]:
        """Registers a case. The function's name gives the words of its id, so it never changes."""

        def add(script: Script) -> Script:
            words = script.__name__.replace("_", "-")
            for role in roles:
                self.cases.append(
                    Case(f"{requirement}.{words}", requirement, role, script, setup, also=also)
                )
            return script

        return add
