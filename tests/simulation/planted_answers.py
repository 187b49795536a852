"""Bugs in which each answer is right by itself and durable, and wrong beside another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from daemons.effects import Answer, Caller, Core, Effect, Tell
from tests.simulation.kinds import TerminalServerKind
from tests.simulation.wrong import Wrong, hosts, license_servers, plant
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    LicenseIssued,
    LicenseKind,
    LogonAccepted,
    Message,
    PlaceSession,
    Refused,
    SessionPlaced,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm


class RepeatsTheFirstAnswer(Wrong):
    """Gives a device that asks again its temporary token, also when it got a full one since."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._first: dict[bytes, LicenseIssued] = {}
        self._full: dict[bytes, bytes] = {}

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        decided = super().on_message(caller, message, now)
        if not isinstance(message, AcquireLicense):
            return decided
        return [self._wrong(e, message, now) if isinstance(e, Answer) else e for e in decided]

    def _wrong(self, answer: Answer, request: AcquireLicense, now: float) -> Answer:
        issued, device_id = answer.message, request.device_id
        if not isinstance(issued, LicenseIssued):
            return answer
        if issued.kind is LicenseKind.TEMPORARY:
            self._first[device_id] = issued
            return answer
        first, known = self._first.get(device_id), self._full.get(device_id)
        self._full[device_id] = issued.license_id
        if first is None or known != issued.license_id or first.expires_at <= now:
            return answer
        return replace(answer, message=replace(first, request_id=0))


class RefusesWhatGoesOn(Wrong):
    """Refuses a validated device while there is no token, though its temporary one goes on."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._wrong(e) if isinstance(e, Answer) else e for e in decided]

    def _wrong(self, answer: Answer) -> Answer:
        issued = answer.message
        if not isinstance(issued, LicenseIssued) or issued.kind is LicenseKind.FULL:
            return answer
        return (
            replace(answer, message=Refused(code=ErrorCode.NO_LICENSE))
            if issued.validated
            else answer
        )


class SaysThatItGoesOn(Wrong):
    """Says of a new session that it goes on."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._wrong(e) if isinstance(e, Tell) else e for e in decided]

    def _wrong(self, tell: Tell) -> Tell:
        accepted = tell.message
        if not isinstance(accepted, LogonAccepted):
            return tell
        return replace(tell, message=replace(accepted, reattached=True))


class RefusesForAFullHost(Wrong):
    """Refuses a user who asks at a full host, also one who has a session on another."""

    def __init__(self, core: Core, is_full: Callable[[str], bool]) -> None:
        super().__init__(core)
        self._is_full = is_full

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        decided = super().on_message(caller, message, now)
        if not isinstance(message, PlaceSession) or not self._is_full(caller.peer.name):
            return decided
        return [self._wrong(e, caller) if isinstance(e, Answer) else e for e in decided]

    def _wrong(self, answer: Answer, caller: Caller) -> Answer:
        placed = answer.message
        if not isinstance(placed, SessionPlaced) or placed.host == caller.peer.name:
            return answer
        return replace(answer, message=Refused(code=ErrorCode.TOO_MANY_SESSIONS))


def _refuses_for_a_full_host(farm: Farm) -> None:
    def is_full(host: str) -> bool:
        kind: TerminalServerKind = farm.kind_of(farm.node(host))
        return len(kind.programs) >= kind.sessions_max

    plant([farm.directory], lambda core: RefusesForAFullHost(core, is_full))


ANSWERS: dict[str, Callable[[Farm], None]] = {
    "a full token forgotten in an answer": lambda farm: plant(
        license_servers(farm), RepeatsTheFirstAnswer
    ),
    "a token that goes on refused": lambda farm: plant(license_servers(farm), RefusesWhatGoesOn),
    "a new session said to go on": lambda farm: plant(hosts(farm), SaysThatItGoesOn),
    "a session behind a full host": _refuses_for_a_full_host,
}
