"""Stands between a simulated core and its switchboard, and checks what a core may rely on:

- every question has one outcome, in time;
- nothing comes from a link that was not opened, was lost, or whose Close was decided;
- nothing is performed before the Persists decided earlier are on the disk.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NoReturn, TypeAlias, get_args

from daemons.denials import DenyListRecord
from daemons.effects import (
    Answer,
    Ask,
    Caller,
    Challenge,
    Close,
    Core,
    Dial,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    PamAnswer,
    Peer,
    Persist,
    Prove,
    StartProgram,
    Take,
    Tell,
)
from tests.simulation.world import Violation, World
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Message

SLACK_SECONDS = 1.0  # for turns and commits; after a jump of time or a stand-still, too
DIAL_SECONDS = limits.DIAL_SECONDS + limits.OPENING_SECONDS
MACHINE_SECONDS = 5.0  # a password check, or the start of a program

INFINITY = float("inf")
Ticketed: TypeAlias = Ask | Dial | Challenge | Prove | PamAnswer | StartProgram | Take
FOLLOWED = {Close, *get_args(Ticketed)}

# Names what is performed: the endpoint or link it goes to, and the identity of message or effect.
Target = tuple[Endpoint | int | None, int]


class Witness:
    """A core to the switchboard. The node's hands and lines report what was performed."""

    def __init__(self, core: Core, world: World, name: str) -> None:
        self._core = core
        self._world = world
        self._name = name
        self._links: set[int] = set()  # that the core knows
        self._due: dict[int, float] = {}  # by question id: the latest time of its outcome
        self._next_due = INFINITY  # none of these is before it
        self._dials: dict[int, Endpoint] = {}  # by question id
        self._asks: dict[int, tuple[Ask, float]] = {}  # by question id; since when
        self._sent_on: dict[int, int] = {}  # the link by the question id of an Ask
        self._decided = self._durable = 0  # numbers of Persists
        self._behind: dict[Target, list[tuple[int, Effect]]] = defaultdict(list)
        self._lenient_until = 0.0
        self.next_deadline = core.next_deadline

    # --- what the switchboard tells the core ------------------------------------------------------

    def on_start(self, now: float) -> list[Effect]:
        return self.decided(self._core.on_start(now))

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        if peer.link in self._links:
            self._broken(f"link {peer.link} is opened twice")
        self._links.add(peer.link)
        for question_id in [q for q, endpoint in self._dials.items() if endpoint == peer.dialled]:
            self._settle(question_id)
        return self.decided(self._core.on_peer_opened(peer, now))

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        if caller.peer.link not in self._links:
            self._broken(f"{type(message).__name__} comes from a link that is gone")
        return self.decided(self._core.on_message(caller, message, now))

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.link not in self._links:
            self._broken(f"link {peer.link} is lost after its end")
        self._links.discard(peer.link)
        for question_id, link in self._sent_on.items():
            if link == peer.link:
                self._broken(f"question {question_id} outlives its link")
        return self.decided(self._core.on_peer_lost(peer, now))

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        if question_id not in self._due:
            self._broken(f"question {question_id} has a second outcome: {outcome}")
        if isinstance(outcome, Failed) and outcome.code is ErrorCode.UNANSWERED:
            ask, began_at = self._asks[question_id]
            if self._world.now < began_at + ask.timeout_seconds:
                self._broken(f"question {question_id} is given up before its time")
        self._settle(question_id)
        return self.decided(self._core.on_answer(question_id, outcome, now))

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self.decided(self._core.on_datagram(host, port, datagram, now))

    def on_deadline(self, now: float) -> list[Effect]:
        return self.decided(self._core.on_deadline(now))

    # --- what the core decides --------------------------------------------------------------------

    def decided(self, effects: list[Effect]) -> list[Effect]:
        decided, durable = self._decided, self._durable
        for effect in effects:
            kind = type(effect)
            if kind is Persist:
                decided += 1
                continue
            if durable < decided:
                self._behind[_target(effect)].append((decided, effect))
            if kind in FOLLOWED:
                self._follow(effect)
        self._decided = decided
        if self._world.now - SLACK_SECONDS >= self._next_due:
            self.check_questions()
        return effects

    def _follow(self, effect: Effect) -> None:
        """A link will close, or a question will have its outcome."""
        if type(effect) is Close:
            self._links.discard(effect.peer.link)
        elif isinstance(effect, Ticketed):
            self._expect(effect)

    def _expect(self, effect: Ticketed) -> None:
        now, seconds = self._world.now, MACHINE_SECONDS
        if type(effect) is Ask:
            seconds = effect.timeout_seconds
            self._asks[effect.question_id] = (effect, now)
        elif type(effect) is Dial:
            seconds = DIAL_SECONDS
            self._dials[effect.question_id] = effect.endpoint
        due = self._due[effect.question_id] = now + seconds
        self._next_due = min(self._next_due, due)

    def check_questions(self) -> None:
        """Every question whose time is over has had its outcome."""
        latest_due = self._world.now - SLACK_SECONDS
        if latest_due < self._next_due or latest_due < self._world.woke_at:
            return
        if latest_due < self._lenient_until:
            return
        woke_at = max(self._world.woke_at, self._lenient_until)
        for question_id, due in self._due.items():
            if question_id in self._dials:  # a link that has stood since then is being opened
                due = max(due, woke_at + limits.OPENING_SECONDS)
            if due <= latest_due:
                self._broken(f"question {question_id} has no outcome")
        self._next_due = min(self._due.values(), default=INFINITY)

    def forgive_lateness(self) -> None:
        """The process did not run until now."""
        self._lenient_until = self._world.now

    def _settle(self, question_id: int) -> None:
        self._due.pop(question_id, None)
        self._dials.pop(question_id, None)
        self._asks.pop(question_id, None)
        self._sent_on.pop(question_id, None)

    # --- what is performed ------------------------------------------------------------------------

    def sent(self, link: int, message: Message) -> None:
        if self._behind:
            self._perform((link, id(message)))

    def requested(self, link: int, endpoint: Endpoint, message: Message) -> None:
        self._perform((endpoint, id(message)))
        for question_id, (ask, _) in self._asks.items():
            is_this = ask.endpoint == endpoint and ask.message is message
            if is_this and question_id not in self._sent_on:
                self._sent_on[question_id] = link
                break

    def closed(self, link: int) -> None:
        """Questions on this link fail at once."""
        self._perform((link, 0))
        for question_id, sent_on in self._sent_on.items():
            if sent_on == link:
                self._next_due = self._due[question_id] = self._world.now

    def performed(self, effect: Effect) -> None:
        if self._behind:
            self._perform((None, id(effect)))

    def committed(self, batch: list[Persist]) -> None:
        self._durable += sum(not _is_switchboards(change) for change in batch)
        if self._durable == self._decided:
            self._behind.clear()

    def _perform(self, target: Target) -> None:
        if waiting := self._behind.get(target):
            number, effect = waiting.pop(0)
            if self._durable < number:
                self._broken(f"{type(effect).__name__} is performed before its commit")

    def _broken(self, text: str) -> NoReturn:
        raise Violation(f"{self._name}: {text}")


def _is_switchboards(change: Persist) -> bool:
    """Deny lists are no matter of a core."""
    return any(isinstance(record, DenyListRecord) for record in change.put)


def _target(effect: Effect) -> Target:
    if type(effect) is Answer:
        return effect.caller.peer.link, id(effect.message)
    if type(effect) is Tell:
        return effect.peer.link, id(effect.message)
    if type(effect) is Ask:
        return effect.endpoint, id(effect.message)
    if type(effect) is Close:
        return effect.peer.link, 0
    return None, id(effect)
