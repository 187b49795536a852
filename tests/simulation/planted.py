"""Bugs that the simulation must find: they test the tests.

Each is planted from outside, around a core or a disk, as a wrong implementation would behave. Those
of switchboards are in `planted_switchboard`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

import msgspec
from msgspec.structs import replace

from daemons import effects
from daemons.effects import Answer, Caller, Close, Core, Effect, Persist, Record, Tell
from daemons.license_server.records import LicenseRecord, LoanRequestRecord
from daemons.terminal_server.records import ServerRecord, SessionRecord
from tests.simulation.farm import Farm
from tests.simulation.node import Node
from tests.simulation.planted_answers import ANSWERS
from tests.simulation.planted_proofs import PROOFS
from tests.simulation.planted_reports import REPORTS
from tests.simulation.planted_switchboard import SWITCHBOARDS
from tests.simulation.store import Disk
from tests.simulation.world import World
from tests.simulation.wrong import Wrong, hosts, license_servers, plant
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    JoinFarm,
    LicenseInfo,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    Message,
    PlaceSession,
    RemoveSession,
    SessionPlaced,
    SessionState,
    UpdateSession,
)

Plant = Callable[[Farm], None]
Change = Callable[[list[Effect]], list[Effect]]


# --- what never reaches the disk --------------------------------------------------------------


class Unwritten(Wrong):
    """Leaves out what `is_lost` says of every commit; memory alone has it."""

    def __init__(self, core: Core, is_lost: Callable[[Record], bool]) -> None:
        super().__init__(core)
        self._is_lost = is_lost

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._without(e) if isinstance(e, Persist) else e for e in decided]

    def _without(self, change: Persist) -> Persist:
        return Persist(
            put=tuple(record for record in change.put if not self._is_lost(record)),
            delete=change.delete,
        )


class Unforgotten(Wrong):
    """Never deletes rows of these kinds."""

    def __init__(self, core: Core, *kinds: type[Record]) -> None:
        super().__init__(core)
        self._kinds = kinds

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [
            replace(e, delete=tuple(r for r in e.delete if not isinstance(r, self._kinds)))
            if isinstance(e, Persist)
            else e
            for e in decided
        ]


def _in_memory_alone(*, of: Callable[[Farm], list[Node]], row: Callable[[Record], bool]) -> Plant:
    def planted(farm: Farm) -> None:
        plant(of(farm), lambda core: Unwritten(core, row))

    return planted


def _is_lent_renewal(row: Record) -> bool:
    return isinstance(row, LicenseRecord) and bool(row.lender) and bool(row.renewed_at)


def _is_temporary(row: Record) -> TypeGuard[LicenseRecord]:
    return isinstance(row, LicenseRecord) and row.kind is LicenseKind.TEMPORARY


def _is_validated_temporary(row: Record) -> bool:
    return _is_temporary(row) and row.validated


def _is_raised(row: Record) -> bool:
    return _is_temporary(row) and row.product_version > 1


def _is_left(row: Record) -> bool:
    return isinstance(row, SessionRecord) and row.state is SessionState.DISCONNECTED


# --- license servers --------------------------------------------------------------------------


class ValidatesAtOnce(Wrong):
    """Takes every temporary token for validated as soon as it is issued."""

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        decided = self.core.on_message(caller, message, now)
        if isinstance(message, AcquireLicense) and _issues(decided, LicenseKind.TEMPORARY):
            mark = MarkValidated(
                device_id=message.device_id,
                product=message.product,
                product_version=message.product_version,
                user_name=message.user_name,
            )
            more = self.core.on_message(Caller(caller.peer), mark, now)
            decided += [effect for effect in more if not isinstance(effect, Answer)]
        return decided


def _issues(decided: list[Effect], kind: LicenseKind) -> bool:
    answers = [e.message for e in decided if isinstance(e, Answer)]
    return any(isinstance(a, LicenseIssued) and a.kind is kind for a in answers)


class SkipsEveryTenthAnswer(Wrong):
    """One way of a request has no Answer."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._answers = 0

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [e for e in decided if not isinstance(e, Answer) or self._is_kept()]

    def _is_kept(self) -> bool:
        self._answers += 1
        return self._answers % 10 != 0


class ForgetfulDisk(Disk):
    """What is loaded from it lacks some rows."""

    def __init__(self, world: World, is_kept: Callable[[Record], bool]) -> None:
        super().__init__(world)
        self._is_kept = is_kept

    def load(self, records: Sequence[type[Record]]) -> dict[type[Record], list[Record]]:
        loaded = super().load(records)
        return {kind: [r for r in rows if self._is_kept(r)] for kind, rows in loaded.items()}


def _forgotten_at_a_restart(is_kept: Callable[[Record], bool]) -> Plant:
    def plant(farm: Farm) -> None:
        for node in farm.license_servers:
            node.disk = ForgetfulDisk(farm.world, is_kept)

    return plant


# --- the directory ----------------------------------------------------------------------------


class ReservesNothing(Wrong):
    """Answers who is where, and reserves nothing."""

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        decided = self.core.on_message(caller, message, now)
        for effect in decided:
            placed = effect.message if isinstance(effect, Answer) else None
            if isinstance(message, PlaceSession) and isinstance(placed, SessionPlaced):
                gone = RemoveSession(
                    session_id=0, placement=placed.placement, user_name=message.user_name
                )
                self.core.on_message(Caller(caller.peer), gone, now)
        return decided


class DoesNotHear(Wrong):
    """Ignores messages of one kind."""

    def __init__(self, core: Core, kind: type[Message]) -> None:
        super().__init__(core)
        self._kind = kind

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return [] if isinstance(message, self._kind) else super().on_message(caller, message, now)


class HearsOlderLinks(Wrong):
    """An update over a terminal server's older link counts as one over its newest."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._newest: dict[str, effects.Peer] = {}

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if isinstance(message, JoinFarm):
            self._newest[caller.peer.name] = caller.peer
        elif isinstance(message, UpdateSession | RemoveSession):
            newest = self._newest.get(caller.peer.name, caller.peer)
            caller = Caller(newest, caller.request_id)
        return super().on_message(caller, message, now)

    def decided(self, decided: list[Effect]) -> list[Effect]:
        """It does not close the older link, either."""
        return [e for e in decided if not isinstance(e, Close)]


class LeadsElsewhere(Wrong):
    """Leads every fifth user to another host than the one that it decided on."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._placed = 0

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._wrong(e) if isinstance(e, Answer) else e for e in decided]

    def _wrong(self, answer: Answer) -> Answer:
        placed = answer.message
        if not isinstance(placed, SessionPlaced) or placed.receipt:
            return answer
        self._placed += 1
        others = {"ts1": "ts2", "ts2": "ts3", "ts3": "ts1"}
        if self._placed % 5:
            return answer
        return Answer(answer.caller, replace(placed, host=others[placed.host]))


# --- terminal servers -------------------------------------------------------------------------


class TellsNoRemoval(Wrong):
    """The directory is not told of a session's end."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [
            e for e in decided if not (isinstance(e, Tell) and isinstance(e.message, RemoveSession))
        ]


class TellsNoDisconnect(Wrong):
    """The directory goes on thinking that a session is shown."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [e for e in decided if not self._is_news(e)]

    def _is_news(self, effect: Effect) -> bool:
        if not isinstance(effect, Tell) or not isinstance(effect.message, UpdateSession):
            return False
        return effect.message.session.state is SessionState.DISCONNECTED


class LeavesOlderClients(Wrong):
    """A second client of a session does not send the first one away."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        by_other = ErrorCode.DISCONNECTED_BY_OTHER
        if not any(isinstance(e, Close) and e.code is by_other for e in decided):
            return decided
        return [e for e in decided if not isinstance(e, effects.Detach)]


class BelievesTheDevice(Wrong):
    """The last digit of a user's name makes no difference to a session's row."""

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._wrong(e) if isinstance(e, Persist) else e for e in decided]

    def _wrong(self, change: Persist) -> Persist:
        put = tuple(
            replace(r, user_name=r.user_name[:4]) if isinstance(r, SessionRecord) else r
            for r in change.put
        )
        return replace(change, put=put)


class ForgetsTheToken(Wrong):
    """The token that a device shows is not looked at: it asks for one as if it had none."""

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if isinstance(message, LicenseInfo):
            message = msgspec.structs.replace(message, token=b"", issuer_certificate=b"")
        return super().on_message(caller, message, now)


PLANTED: dict[str, Plant] = {
    **ANSWERS,
    **PROOFS,
    **REPORTS,
    **SWITCHBOARDS,
    "a disconnect in memory alone": _in_memory_alone(of=hosts, row=_is_left),
    "a loan in memory alone": _in_memory_alone(
        of=license_servers, row=lambda row: isinstance(row, LoanRequestRecord)
    ),
    "a loan in doubt forgotten at a restart": _forgotten_at_a_restart(
        lambda row: not isinstance(row, LoanRequestRecord)
    ),
    "a raised temporary token in memory alone": _in_memory_alone(
        of=license_servers, row=_is_raised
    ),
    "a session's end not told": lambda farm: plant(hosts(farm), TellsNoRemoval),
    "a validation in memory alone": _in_memory_alone(
        of=license_servers, row=_is_validated_temporary
    ),
    "an answer missing": lambda farm: plant(farm.license_servers, SkipsEveryTenthAnswer),
    "an ended license kept": lambda farm: plant(
        farm.license_servers, lambda core: Unforgotten(core, LicenseRecord)
    ),
    "lent licenses forgotten at a restart": _forgotten_at_a_restart(
        lambda row: not (isinstance(row, LicenseRecord) and row.through)
    ),
    "never a row removed": lambda farm: plant(
        [farm.directory], lambda core: DoesNotHear(core, RemoveSession)
    ),
    "rows kept after their sessions": lambda farm: plant(
        hosts(farm), lambda core: Unforgotten(core, SessionRecord)
    ),
    "the renewal of a lent token in memory alone": _in_memory_alone(
        of=license_servers, row=_is_lent_renewal
    ),
    "reserved ids in memory alone": _in_memory_alone(
        of=hosts, row=lambda row: isinstance(row, ServerRecord)
    ),
    "placed without a reservation": lambda farm: plant([farm.directory], ReservesNothing),
    "a wrong host": lambda farm: plant([farm.directory], LeadsElsewhere),
    "an older link counts": lambda farm: plant([farm.directory], HearsOlderLinks),
    "a disconnect not told": lambda farm: plant(hosts(farm), TellsNoDisconnect),
    "two clients of one session": lambda farm: plant(hosts(farm), LeavesOlderClients),
    "a session of another user": lambda farm: plant(hosts(farm), BelievesTheDevice),
    "a token not looked at": lambda farm: plant(hosts(farm), ForgetsTheToken),
    "validated without a logon": lambda farm: plant(farm.license_servers, ValidatesAtOnce),
}
