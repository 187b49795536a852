"""What a core may rely on, checked around each core: the switchboard's half of the contract."""

from __future__ import annotations

from daemons.effects import Ask, Caller, Close, Core, Dial, Effect, Endpoint, Outcome, Peer
from tests.simulation.world import World
from tsproto import limits
from tsproto.messages import Message

SLACK_SECONDS = 1.0
DIAL_SECONDS = limits.DIAL_SECONDS + limits.OPENING_SECONDS


class ContractBroken(AssertionError):
    """The switchboard did what no core need be prepared for."""


class Witness:
    def __init__(self, core: Core, world: World, name: str) -> None:
        self._core = core
        self._world = world
        self._name = name
        self._peers: set[int] = set()
        self._open: dict[int, float] = {}
        self._dials: dict[int, Endpoint] = {}
        self.next_deadline = core.next_deadline

    def on_start(self, now: float) -> list[Effect]:
        return self.seen(self._core.on_start(now))

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        self._check(peer.link not in self._peers, f"link {peer.link} opened twice")
        self._peers.add(peer.link)
        for ticket in [t for t, endpoint in self._dials.items() if endpoint == peer.dialled]:
            del self._dials[ticket], self._open[ticket]
        return self.seen(self._core.on_peer_opened(peer, now))

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        self._check(caller.peer.link in self._peers, f"{message} from a link that is gone")
        return self.seen(self._core.on_message(caller, message, now))

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        self._check(peer.link in self._peers, f"link {peer.link} lost that was gone")
        self._peers.discard(peer.link)
        return self.seen(self._core.on_peer_lost(peer, now))

    def on_answer(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        if ticket in self._open:
            del self._open[ticket]
            self._dials.pop(ticket, None)
        return self.seen(self._core.on_answer(ticket, outcome, now))

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self.seen(self._core.on_datagram(host, port, datagram, now))

    def on_deadline(self, now: float) -> list[Effect]:
        return self.seen(self._core.on_deadline(now))

    def seen(self, effects: list[Effect]) -> list[Effect]:
        now = self._world.now
        for effect in effects:
            if isinstance(effect, Ask):
                self._open[effect.ticket] = now + effect.timeout_seconds
            elif isinstance(effect, Dial):
                self._open[effect.ticket] = now + DIAL_SECONDS
                self._dials[effect.ticket] = effect.endpoint
            elif isinstance(effect, Close):
                self._peers.discard(effect.peer.link)
        if self._world.woke_at + SLACK_SECONDS < now:
            for ticket, due in self._open.items():
                self._check(now < due + SLACK_SECONDS, f"ticket {ticket} has no outcome")
        return effects

    def _check(self, holds: bool, text: str) -> None:
        if not holds:
            raise ContractBroken(f"{self._name}: {text}")
