"""Requests that wait for another license server; requests for the same token wait together."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from daemons.effects import Caller, Endpoint, Failed
from daemons.license_server.issuer import Issuer
from daemons.license_server.ledger import Ledger
from daemons.license_server.peers import Peers
from daemons.procedures import Procedure, Procedures, ask
from daemons.refusal import Refusal
from tsproto.errors import ErrorCode
from tsproto.messages import LendLicense, LicenseIssued, Refused, RenewLicense

WAITING_MAX = 16_384  # requests of 3.5 kB each; one more is refused with BUSY


class Waiter(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request to be answered. Two are never equal: a peer may use a request id again."""

    caller: Caller
    trace_id: str


class AnsweredTogether(msgspec.Struct, frozen=True):
    """The request has joined another for the same token: that one's procedure answers both."""


class WaitingRoom:
    """Asks other license servers, and counts the requests that wait for an answer, by key."""

    def __init__(self) -> None:
        self._waiters: dict[Hashable, list[Waiter]] = {}
        self._count = 0

    def has_room(self, waiters: int) -> bool:
        return self._count + waiters <= WAITING_MAX

    def join(self, key: Hashable, waiter: Waiter) -> bool:
        """Wait with the requests of the same key; False when none waits.

        Raises Refusal(BUSY) when WAITING_MAX requests wait.
        """
        others = self._waiters.get(key)
        if others is None:
            return False
        if not self.has_room(1):
            raise busy()
        others.append(waiter)
        self._count += 1
        return True

    def ask(
        self,
        key: Hashable,
        waiters: list[Waiter],
        endpoint: Endpoint,
        question: LendLicense | RenewLicense,
        seconds: float,
    ) -> Procedure[LicenseIssued | Refused | Failed]:
        """Ask one license server; meanwhile further requests of this key join `waiters`."""
        self._waiters[key] = waiters
        self._count += len(waiters)
        answer = yield from ask(endpoint, question, LicenseIssued, seconds)
        del self._waiters[key]
        self._count -= len(waiters)
        return answer


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the license server `name` that Acquisitions, Renewals and Lending use."""

    name: str
    ledger: Ledger
    peers: Peers
    issuer: Issuer
    room: WaitingRoom
    procedures: Procedures


def busy() -> Refusal:
    detail = f"{WAITING_MAX} requests wait for other license servers"
    return Refusal(ErrorCode.BUSY, detail, retry_after_seconds=1)
