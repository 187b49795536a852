"""Bugs that the simulation must find: they test the tests.

Each is planted from outside, around a core or a disk, as a wrong implementation would behave.
"""

from __future__ import annotations

from collections.abc import Callable

from daemons.effects import Answer, Caller, Core, Effect
from daemons.license_server.records import LicenseRecord
from tests.simulation.farm import Farm
from tests.simulation.node import Kind, Node
from tests.simulation.planted_switchboard import SWITCHBOARDS, AnswersBeforeTheCommit
from tsproto.messages import (
    AcquireLicense,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    Message,
    PlaceSession,
    RemoveSession,
    SessionPlaced,
)


def answers_before_the_commit(farm: Farm) -> None:
    for node in farm.license_servers:
        node.make_switchboard = AnswersBeforeTheCommit


def looks_up_then_registers(farm: Farm) -> None:
    """The directory answers who is where, and reserves nothing."""

    def forget(core: Core, caller: Caller, message: Message, decided: list[Effect], now: float):  # type: ignore[no-untyped-def]
        if isinstance(message, PlaceSession):
            for effect in decided:
                if isinstance(effect, Answer) and isinstance(effect.message, SessionPlaced):
                    placed = effect.message
                    if not placed.session_id:
                        gone = RemoveSession(
                            session_id=0,
                            placement=placed.placement,
                            user_name=message.user_name,
                        )
                        core.on_message(Caller(caller.peer), gone, now)
        return decided

    _around(farm.directory, forget)


def never_removes_a_row(farm: Farm) -> None:
    """The directory does not listen when a session ends."""

    class Deaf:
        def __init__(self, core: Core) -> None:
            self._core = core

        def __getattr__(self, name: str) -> object:
            return getattr(self._core, name)

        def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
            if isinstance(message, RemoveSession):
                return []
            return self._core.on_message(caller, message, now)

    _wrap(farm.directory, Deaf)


def validates_without_a_logon(farm: Farm) -> None:
    """License servers take every temporary token for validated at once."""

    def validate(core: Core, caller: Caller, message: Message, decided: list[Effect], now: float):  # type: ignore[no-untyped-def]
        if isinstance(message, AcquireLicense) and any(
            isinstance(e, Answer)
            and isinstance(e.message, LicenseIssued)
            and e.message.kind is LicenseKind.TEMPORARY
            for e in decided
        ):
            mark = MarkValidated(
                device_id=message.device_id,
                product=message.product,
                product_version=message.product_version,
                user_name=message.user_name,
            )
            more = core.on_message(Caller(caller.peer), mark, now)
            return decided + [e for e in more if not isinstance(e, Answer)]
        return decided

    for node in farm.license_servers:
        _around(node, validate)


def forgets_what_it_lent(farm: Farm) -> None:
    """A license server that starts again has lost the licenses that it lent to peers."""
    for node in farm.license_servers:
        load = node.disk.load

        def forgetful(records, load=load):  # type: ignore[no-untyped-def]
            rows = load(records)
            if LicenseRecord in rows and len(records) > 2:
                rows[LicenseRecord] = [
                    r for r in rows[LicenseRecord] if not getattr(r, "through", "")
                ]
            return rows

        node.disk.load = forgetful  # type: ignore[method-assign]


PLANTED: dict[str, Callable[[Farm], None]] = {
    **SWITCHBOARDS,
    "looks up, then registers": looks_up_then_registers,
    "never removes a row": never_removes_a_row,
    "validates without a logon": validates_without_a_logon,
    "forgets what it lent": forgets_what_it_lent,
}

After = Callable[[Core, Caller, Message, list[Effect], float], list[Effect]]


def _around(node: Node, after: After) -> None:
    """Let `after` change what the node's core decides on a message."""

    class Changed:
        def __init__(self, core: Core) -> None:
            self._core = core

        def __getattr__(self, name: str) -> object:
            return getattr(self._core, name)

        def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
            decided = self._core.on_message(caller, message, now)
            return after(self._core, caller, message, decided, now)

    _wrap(node, Changed)


def _wrap(node: Node, wrapper: Callable[[Core], object]) -> None:
    inner: Kind = node.kind

    class Wrapping:
        role = inner.role

        def make_core(self, node: Node) -> Core:
            return wrapper(inner.make_core(node))  # type: ignore[return-value]

        def perform(self, node: Node, effect: Effect) -> None:
            inner.perform(node, effect)

        def on_crash(self, node: Node) -> None:
            inner.on_crash(node)

    node.kind = Wrapping()
