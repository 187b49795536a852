"""Bugs in what seldom comes about: reports that nobody should believe, a client lost too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from daemons.effects import Caller, Core, Effect, Peer, Persist
from daemons.terminal_server.records import SessionRecord
from tests.simulation.wrong import Wrong, hosts, plant
from tsproto.messages import (
    JoinFarm,
    Message,
    RemoveSession,
    SessionState,
    UpdateSession,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm


class BelievesAnyHost(Wrong):
    """A terminal server that has joined may report sessions of every other one."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._joined: dict[str, Peer] = {}

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        name = caller.peer.name
        if isinstance(message, JoinFarm):
            self._joined[name] = caller.peer
        elif isinstance(message, UpdateSession) and self._joined.get(name) == caller.peer:
            caller = Caller(self._joined.get(message.session.host, caller.peer))
        return super().on_message(caller, message, now)


class HearsOlderNews(Wrong):
    """A report counts also when the session was placed anew since."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._latest: dict[tuple[str, int], int] = {}

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if isinstance(message, UpdateSession):
            row = message.session
            latest = self._raise(caller, row.session_id, row.placement)
            message = replace(message, session=replace(row, placement=latest))
        elif isinstance(message, RemoveSession) and message.session_id:
            latest = self._raise(caller, message.session_id, message.placement)
            message = replace(message, placement=latest)
        return super().on_message(caller, message, now)

    def _raise(self, caller: Caller, session_id: int, placement: int) -> int:
        key = caller.peer.name, session_id
        self._latest[key] = max(placement, self._latest.get(key, 0))
        return self._latest[key]


class ForgetsTheUnseen(Wrong):
    """A session whose client was lost before it had started has no row."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._written: set[int] = set()

    def on_start(self, now: float) -> list[Effect]:
        decided = self.core.on_start(now)
        for change in decided:
            if isinstance(change, Persist):
                self._written |= {r.session_id for r in change.put if isinstance(r, SessionRecord)}
        return decided

    def decided(self, decided: list[Effect]) -> list[Effect]:
        return [self._without(e) if isinstance(e, Persist) else e for e in decided]

    def _without(self, change: Persist) -> Persist:
        put = []
        for row in change.put:
            if isinstance(row, SessionRecord):
                is_left = row.state is SessionState.DISCONNECTED
                if is_left and row.session_id not in self._written:
                    continue
                self._written.add(row.session_id)
            put.append(row)
        return replace(change, put=tuple(put))


REPORTS: dict[str, Callable[[Farm], None]] = {
    "any host's sessions believed": lambda farm: plant([farm.directory], BelievesAnyHost),
    "older news of a session believed": lambda farm: plant([farm.directory], HearsOlderNews),
    "a session started unseen without a row": lambda farm: plant(hosts(farm), ForgetsTheUnseen),
}
