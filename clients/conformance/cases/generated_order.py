"""For every message: sent by a role that never sends it, and in a state where it is not lawful.
Generated from the table."""

from __future__ import annotations

from collections.abc import Iterator

from clients.conformance.acting import CaseContext
from clients.conformance.case import Case, Script
from clients.conformance.reach import Spot, diallers, reach, said, states
from clients.conformance.samples import sample_values
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, Kind, LinkState, Message, Role


def cases(target: Role) -> Iterator[Case]:
    talkers = (Role.TERMINAL_SERVER,) if target is Role.CLIENT else diallers(target)
    for role in talkers:
        for kind in TABLE.values():
            yield from _opening_cases(target, role, kind)
            for state in states(target, role):
                yield from _open_cases(target, Spot(role, state), kind)


def _opening_cases(target: Role, role: Role, kind: type[Message]) -> Iterator[Case]:
    """Before Hello or Welcome no peer has a role: every message but those and Goodbye is out of
    order."""
    first = "Welcome" if target is Role.CLIENT else "Hello"
    if kind.__name__ not in (first, "Goodbye"):
        requirement = "HELLO-05" if target is Role.CLIENT else "HELLO-04"
        spot = Spot(role, LinkState.OPENING)
        yield _case(target, requirement, kind, spot, ErrorCode.OUT_OF_ORDER)


def _open_cases(target: Role, spot: Spot, kind: type[Message]) -> Iterator[Case]:
    entry = kind.entry
    if spot.role not in entry.senders or target not in entry.receivers:
        yield _case(target, "ROLE-04", kind, spot, ErrorCode.WRONG_ROLE)
    elif spot.state not in entry.states:
        is_opening = entry.states == {LinkState.OPENING}
        requirement = "HELLO-06" if is_opening else "ROLE-05"
        yield _case(target, requirement, kind, spot, ErrorCode.OUT_OF_ORDER)


def _case(target: Role, requirement: str, kind: type[Message], spot: Spot, code: ErrorCode) -> Case:
    words = f"{kind.__name__}.{spot.words}"
    script = _refused(kind, spot, code)
    return Case(f"{requirement}.{words}", requirement, target, script, leaves_no_trace=True)


def _refused(kind: type[Message], spot: Spot, code: ErrorCode) -> Script:
    def script(context: CaseContext) -> None:
        peer, _ = reach(context, spot)
        peer.say_bytes(said(sample_values(kind), 0 if kind.entry.kind is Kind.NOTIFICATION else 1))
        peer.expect_goodbye(code)

    return script
