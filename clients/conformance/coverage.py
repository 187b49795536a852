"""The requirements that have cases, for which targets, and the reason where there is none."""

from __future__ import annotations

import msgspec

from clients.conformance.case import EVERYBODY, Case
from clients.conformance.catalogue import cases_for
from clients.say import show
from tsproto.messages import Role
from tsproto.requirements import REQUIREMENTS, Level, Requirement

BY_ID: dict[str, Requirement] = {requirement.id: requirement for requirement in REQUIREMENTS}

# SHOULDs and MAYs that cannot be tested on one target, with the reason.
NOT_TESTABLE: dict[str, str] = {
    "BEAT-06": "whether an end reads cannot be seen from outside",
    "CLOSE-08": "the suite does not stop its target",
    "CLOSE-10": "a client that does try again may have another reason",
    "DIR-24": "it takes tens of thousands of reservations",
    "DISC-11": "an answer that is lost and one that was not sent look alike",
    "DISC-13": "one draw at random shows nothing",
    "DISC-16": "a query from another network needs another machine",
    "LIMIT-01": "it takes thousands of connections from one machine",
    "LIMIT-04": "memory of the target is out of sight",
    "LSRV-19": "it takes a million devices",
    "SEC-01": "other work on the machine changes the times as much",
    "SEC-02": "logs are out of sight",
    "SEC-03": "files of the device are out of sight",
    "SEC-04": "what a person is shown is out of sight",
    "SEC-05": "what a person is shown is out of sight",
    "SYNC-10": "one pause at random shows nothing",
    "TIME-07": "it is the TLS library's, before the protocol begins",
}


class Line(msgspec.Struct, frozen=True):
    """One requirement, and the number of its cases for targets of each role that it binds."""

    requirement: Requirement
    cases: dict[Role, int]

    @property
    def is_covered(self) -> bool:
        return any(self.cases.values())

    @property
    def why_not(self) -> str:
        """The reason why no case is needed, empty when one is. A SHOULD or MAY may be listed in
        NOT_TESTABLE; a requirement for administrators alone binds no target of the suite."""
        if not self.cases:
            return "binds no role that the suite tests"
        is_must = self.requirement.level is Level.MUST
        return "" if is_must else NOT_TESTABLE.get(self.requirement.id, "")


def table() -> list[Line]:
    cases = {role: cases_for(role) for role in EVERYBODY}
    return [
        Line(
            requirement,
            {
                role: _count(cases[role], requirement)
                for role in EVERYBODY
                if role in requirement.subject
            },
        )
        for requirement in REQUIREMENTS
    ]


def _count(cases: list[Case], requirement: Requirement) -> int:
    return sum(requirement.id in case.requirements for case in cases)


def printed() -> str:
    """The table as text for a person."""
    lines = []
    for line in table():
        counts = ", ".join(f"{role.name.lower()} {n}" for role, n in line.cases.items() if n)
        id, level = line.requirement.id, line.requirement.level
        lines.append(f"{id:10}{level:8}{counts or line.why_not or 'NO CASE'}")
    return "\n".join(lines)


if __name__ == "__main__":
    show(printed())
