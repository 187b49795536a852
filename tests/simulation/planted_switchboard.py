"""Switchboards that break the contract with their cores: the simulation must find each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from daemons.denials import Denials
from daemons.effect_queue import EffectQueue
from daemons.effects import Ask, Close, Core, Effect, Endpoint, Failed, Persist
from daemons.routes import Routes
from daemons.switchboard import Hands, OpenLink
from tests.simulation.line import SimulatedLine
from tests.simulation.node import Board
from tests.simulation.pipeliner import Pipeliner
from tsproto.deny_list import DenyLists
from tsproto.messages import Message

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

SLOW_COMMIT_SECONDS = (0.05, 0.8)

Lines = Routes[SimulatedLine]


class HastyQueue(EffectQueue):
    def add(self, effects: list[Effect]) -> list[Effect]:
        super().add([effect for effect in effects if isinstance(effect, Persist)])
        return [effect for effect in effects if not isinstance(effect, Persist)]


class AnswersBeforeTheCommit(Board):
    def __init__(self, core: Core, hands: Hands, deny_lists: DenyLists) -> None:
        super().__init__(core, hands, deny_lists)
        self.queue = HastyQueue()


class OvertakingQueue(EffectQueue):
    """What needs no commit itself does not wait for the one under way."""

    def add(self, effects: list[Effect]) -> list[Effect]:
        if any(isinstance(effect, Persist) for effect in effects):
            return super().add(effects)
        return effects


class OvertakesTheCommit(Board):
    def __init__(self, core: Core, hands: Hands, deny_lists: DenyLists) -> None:
        super().__init__(core, hands, deny_lists)
        self.queue = OvertakingQueue()


class _OtherRoutes(Board):
    """A switchboard with these routes."""

    routes: type[Lines]

    def __init__(self, core: Core, hands: Hands, deny_lists: DenyLists) -> None:
        super().__init__(core, hands, deny_lists)
        self._routes = self.routes(hands.dial, self.answer)


class ForgetfulRoutes(Lines):
    def ended(self, line_id: int, failure: Failed) -> None:
        if line_id in self._dialled:
            self._dialled[line_id][1].asked.clear()
        super().ended(line_id, failure)


class ForgetsTheQuestionsOfAClosedLink(_OtherRoutes):
    routes = ForgetfulRoutes


class ConfusedRoutes(Lines):
    def give_up(self, ticks: float) -> None:
        """The newest question fails for the one whose time is over."""
        if self._timeouts and self._timeouts[0][0] <= ticks and self._open:
            due = self._timeouts[0][1]
            newest = max(self._open)
            if due in self._open and due != newest:
                self._timeouts[0] = (self._timeouts[0][0], newest)
        super().give_up(ticks)


class GivesATimeoutToAnotherQuestion(_OtherRoutes):
    routes = ConfusedRoutes


class HopefulRoutes(Lines):
    def dial_failed(self, endpoint: Endpoint, failure: Failed) -> None:
        """As if it might still succeed."""


class ForgetsAFailedDial(_OtherRoutes):
    routes = HopefulRoutes


class PatientRoutes(Lines):
    def ask(self, ask: Ask, ticks: float) -> SimulatedLine | None:
        return super().ask(msgspec.structs.replace(ask, timeout_seconds=float("inf")), ticks)


class NeverTimesOut(_OtherRoutes):
    routes = PatientRoutes


class TellsALossAfterAClose(Board):
    def _close(self, effect: Close) -> None:
        if link := self._links.get(effect.peer.link):
            self.add(partial(self._core.on_peer_lost, link.peer))
        super()._close(effect)


class TellsALossBeforeItsClose(Board):
    """Only while the Close waits for a commit."""

    def _on_lost(self, link: OpenLink[SimulatedLine], now: float) -> list[Effect]:
        link.is_closing = False
        return super()._on_lost(link, now)


class HearsAPeerThatItHungUpOn(Board):
    def _on_message(
        self, link: OpenLink[SimulatedLine], message: Message, now: float
    ) -> list[Effect]:
        link.is_closing = False
        if link.line is None:
            return []
        return super()._on_message(link, message, now)


class _SilentDenials(Denials):
    def on_opened(self, link: OpenLink[Any]) -> list[Effect]:
        return []


class TellsPeersThatLagNothing(Board):
    """What it takes while a link stands is handed on all the same."""

    def __init__(self, core: Core, hands: Hands, deny_lists: DenyLists) -> None:
        super().__init__(core, hands, deny_lists)
        self._denials = _SilentDenials(deny_lists, self._links)


def _planted(switchboard: type[Board]) -> Callable[[Farm], None]:
    """On every node, with the work that brings such bugs out: slow disks, and a client that says
    more behind what gets it hung up on."""

    def plant(farm: Farm) -> None:
        for node in farm.nodes:
            node.make_switchboard = switchboard
            node.disk.commit_seconds = SLOW_COMMIT_SECONDS
        addresses = [node.host for node, _ in farm.terminal_servers]
        Pipeliner(farm.world, farm.network, addresses).visit()

    return plant


SWITCHBOARDS: dict[str, Callable[[Farm], None]] = {
    name: _planted(switchboard)
    for name, switchboard in {
        "answers before the commit": AnswersBeforeTheCommit,
        "overtakes the commit": OvertakesTheCommit,
        "forgets the questions of a closed link": ForgetsTheQuestionsOfAClosedLink,
        "gives a time-out to another question": GivesATimeoutToAnotherQuestion,
        "forgets a failed dial": ForgetsAFailedDial,
        "never times out": NeverTimesOut,
        "tells a loss after a Close": TellsALossAfterAClose,
        "tells a loss before its Close": TellsALossBeforeItsClose,
        "hears a peer that it hung up on": HearsAPeerThatItHungUpOn,
        "tells peers that lag nothing": TellsPeersThatLagNothing,
    }.items()
}
