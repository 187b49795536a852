"""What must sometimes happen, or the simulation tests less than it says: a thousand seeds that
never reach one of these are told so.

One guard of the directory is not on the list, for the other daemons never need it: a PlaceSession
of one that has not joined (none asks before it is ready, and the directory hangs up when it forgets
one). Unit tests reach it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from daemons.effects import Ask, Effect, Failed, Outcome
from daemons.events import Event
from tests.simulation.node import Node
from tsproto.messages import LendLicense, Refused, Role

LS, TS, SD = (
    role.name.lower().replace("_", " ")
    for role in (Role.LICENSE_SERVER, Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY)
)

SOMETIMES = (
    "a doubt of another version",
    "a grace period ended",
    "a loan in doubt resumed",
    "a reservation renewed",
    "committed, never acknowledged",
    "crash right after an answer",
    "deny lists handed on",
    "device sent away: LICENSE_EXPIRED",
    "device sent away: NO_LICENSE",
    "device sent away: NO_LICENSE_SERVER",
    "led to a session in quiet",
    "let in under grace",
    "logon by password",
    "logon by reconnect",
    "logon by ticket",
    "logons in one instant",
    "pipelined: LicenseInfo",
    "pipelined: LogonRequest",
    "pipelined: ResizeSession",
    f"{LS} asks LendLicense: LicenseIssued",
    f"{LS} asks LendLicense: NO_LICENSE",
    f"{LS} asks LendLicense: UNANSWERED",
    f"{LS} asks RenewLicense: LicenseIssued",
    f"{LS} asks RenewLicense: UNANSWERED",
    f"{LS}: clock.set_back",
    f"{LS}: license.borrowed",
    f"{LS}: license.expired",
    f"{LS}: license.issued",
    f"{LS}: license.lent",
    f"{LS}: license.not_renewed",
    f"{LS}: license.not_upgraded",
    f"{LS}: license.reclaimed",
    f"{LS}: license.refused",
    f"{LS}: license.renewed",
    f"{LS}: loan.failed",
    f"{LS}: peer.unreachable",
    f"{LS}: request.refused",
    f"{SD}: placement.refused",
    f"{SD}: reservation.expired",
    f"{SD}: server.lost",
    f"{SD}: server.removed",
    f"{SD}: session.ignored: not joined",
    f"{SD}: session.ignored: not permitted",
    f"{SD}: session.ignored: placed anew since",
    f"{SD}: session.placed_unsure",
    f"{SD}: session.several",
    f"{SD}: ticket.refused",
    f"{TS} asks AcquireLicense: SERVER_NOT_SERVED",
    f"{TS} asks AcquireLicense: UNANSWERED",
    f"{TS} asks MarkValidated: UNANSWERED",
    f"{TS} asks PlaceSession: TOO_MANY_SESSIONS",
    f"{TS} asks PlaceSession: UNANSWERED",
    f"{TS} asks RedeemTicket: TicketRedeemed",
    f"{TS} asks RedeemTicket: TICKET_INVALID",
    f"{TS} asks RenewLicense: LENDER_UNREACHABLE",
    f"{TS} asks RenewLicense: UNKNOWN_LICENSE",
    f"{TS}: device.not_validated",
    f"{TS}: directory.did_not_place",
    f"{TS}: license.rejected",
    f"{TS}: license_server.none_found",
    f"{TS}: logon.redirected",
    f"{TS}: renewal.failed",
    f"{TS}: session.kept",
    f"{TS}: session.logged_off",
    f"{TS}: session.lost",
    f"{TS}: session.unrecorded",
)


class Marks:
    """Marks what happens, in one run."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._loans: set[bytes] = set()

    def noted(self, node: Node, effect: Effect) -> None:
        if isinstance(effect, Event):
            reason = getattr(effect, "reason", "")
            detail = f": {reason}" if effect.event == "session.ignored" else ""
            self._seen[f"{_role(node)}: {effect.event}{detail}"] += 1

    def heard(self, node: Node, ask: Ask, outcome: Outcome) -> None:
        """What came of a question."""
        question = ask.message
        no = outcome if isinstance(outcome, Failed | Refused) else None
        came = no.code.name if no else type(outcome).__name__
        self._seen[f"{_role(node)} asks {type(question).__name__}: {came}"] += 1
        if isinstance(question, LendLicense):
            if question.loan_id in self._loans:
                self._seen["a loan in doubt resumed"] += 1
            self._loans.add(question.loan_id)


def _role(node: Node) -> str:
    return node.kind.role.name.lower().replace("_", " ")


def missed(seen: Mapping[str, int]) -> list[str]:
    """Which of these were never reached."""
    return [name for name in SOMETIMES if name not in seen]
