"""Connects a core with its peers, its disk and its effects: one object under the asyncio shell and
under the simulator.

What happens becomes a step, a call of the core that lacks only `now`. Steps wait in one list and
run one after the other in a turn, so a core is never called while it is being called, and each
peer gets in one write what one turn tells it. Nothing here waits or reads a clock. A turn is told
two times: `now` is the core's, which a lab may warp; `ticks` counts seconds for time-outs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Protocol

from daemons import events
from daemons.denials import Denials
from daemons.effect_queue import EffectQueue
from daemons.effects import (
    NO_CERTIFICATE,
    Answer,
    Ask,
    Caller,
    Close,
    Core,
    Dial,
    Effect,
    Endpoint,
    Failed,
    HangUp,
    Outcome,
    Peer,
    Persist,
    Tell,
    Warp,
)
from daemons.routes import L, Routes
from tsproto.connection import Answered, Closed, Event, Opened, Received
from tsproto.deny_list import DenyKind, DenyLists
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, Refused, Role, WarpClock

Step = Callable[[float], list[Effect]]

# A commit takes milliseconds. When this many effects wait for one, the disk stalls: new requests
# are refused rather than kept.
EFFECTS_WAITING_MAX = 8_192
BUSY_RETRY_SECONDS = 1

DEADLINES_PER_WARP = 10_000  # run before WarpClock is answered; the timer runs the rest


class Hands(Protocol):
    """What a switchboard has done for it. `dialled` or `dial_failed` follows `dial`; `committed`
    follows `commit`, not from within it. `perform` takes all effects that are not about links."""

    def dial(self, endpoint: Endpoint) -> None: ...
    def commit(self, batch: list[Persist]) -> None: ...
    def perform(self, effect: Effect) -> None: ...


class OpenLink(Generic[L]):
    """An open link, until its core has been told of its loss or has had it closed."""

    __slots__ = ("denied", "device", "is_closing", "line", "peer")

    def __init__(self, line: L, peer: Peer, denied: tuple[int, int]) -> None:
        self.line: L | None = line  # None once it is lost
        self.peer = peer
        # numbers of the deny lists that the peer has, or has been sent
        self.denied = dict(zip(DenyKind, denied, strict=True))
        self.device = b""  # id of the device that a client has shown
        self.is_closing = False  # its Close was decided: the core hears nothing more of it


class Switchboard(Generic[L]):
    """The links, the questions and the undurable effects of one process."""

    def __init__(self, core: Core, hands: Hands, deny_lists: DenyLists) -> None:
        self.queue = EffectQueue()
        self.is_turning = False
        self.is_halted = False
        self._core = core
        self._hands = hands
        self._links: dict[int, OpenLink[L]] = {}
        self._routes: Routes[L] = Routes(hands.dial, self.answer)
        self._denials = Denials(deny_lists, self._links)
        self.steps: deque[Step] = deque()  # for the next turn
        self._unflushed: dict[int, L] = {}
        self._decides = True
        self._now = self._ticks = 0.0
        self._performers: dict[type[Effect], Callable[[Any], None]] = {
            Answer: self._answer,
            Ask: self._ask,
            Close: self._close,
            Dial: self._dial,
            HangUp: self._hang_up,
            Tell: self._tell,
        }

    # --- what happens: the next turn tells the core -----------------------------------------------

    def add(self, step: Step) -> None:
        self.steps.append(step)

    def answer(self, question_id: int, outcome: Outcome) -> None:
        self.steps.append(partial(self._core.on_answer, question_id, outcome))

    def run_deadline(self) -> None:
        """The core's next deadline may be over."""
        self.steps.append(self._run_deadline)

    def warped(self, caller: Caller) -> None:
        """The clock was moved on: what is due by now happens, and this caller is answered."""
        self.steps.append(partial(self._catch_up, caller))

    def dialled(self, endpoint: Endpoint, line: L) -> None:
        """A line to this endpoint stands; its Opened or Closed follows."""
        self._routes.dialled(endpoint, line)

    def dial_failed(self, endpoint: Endpoint, failure: Failed) -> None:
        self._routes.dial_failed(endpoint, failure)

    def happened(self, line: L, event: Event) -> None:
        """An event of a line. None counts after its Closed, or after a Close was performed."""
        # In the order of how often they come; class patterns would cost a third more.
        if type(event) is Received:
            if link := self._links.get(line.id):
                self.steps.append(partial(self._on_message, link, event.message))
        elif type(event) is Answered:
            self._routes.answered(line, event.message)
        elif type(event) is Opened:
            self._on_opened(line, event)
        elif type(event) is Closed:
            self._on_closed(line, event)

    def line_of(self, peer: Peer) -> L | None:
        """None once the peer is gone."""
        link = self._links.get(peer.link)
        return None if link is None else link.line

    def peer_of(self, line: L) -> Peer | None:
        """None before the link is open, and once it is lost."""
        link = self._links.get(line.id)
        return None if link is None or link.line is None else link.peer

    def dialled_lines(self) -> Iterator[L]:
        return self._routes.lines()

    # --- a turn -----------------------------------------------------------------------------------

    def turn(self, now: float, ticks: float, ready: Sequence[Effect] = ()) -> None:
        """Perform what is ready, run the steps that wait and those that they lead to; nothing while
        a turn runs."""
        if self.is_turning or self.is_halted:
            return
        self.is_turning = True
        self._now, self._ticks = now, ticks
        try:
            timeout = self._routes.next_timeout
            if timeout is not None and timeout <= ticks:
                self._routes.give_up(ticks)
            if ready:
                self._perform(ready)
            if self._decides:
                self._run_steps()
            else:
                self.steps.clear()
            for line in self._unflushed.values():
                line.flush()
            self._unflushed.clear()
            if not (self.queue.is_idle or self.is_halted) and (batch := self.queue.commit()):
                self._hands.commit(batch)
        finally:
            self.is_turning = False

    def committed(self, now: float, ticks: float) -> None:
        """The batch is durable: perform what waited for it, then run a turn."""
        self.turn(now, ticks, self.queue.committed())

    @property
    def next_timeout(self) -> float | None:
        """When the next turn is due at the latest, in ticks; None for never."""
        return self._routes.next_timeout

    def stop_deciding(self) -> None:
        """No step runs any more; what was decided is still committed, and then performed."""
        self._decides = False

    def halt(self) -> None:
        """Nothing is decided, committed or performed any more, also in the turn that runs."""
        self.is_halted = True
        self.steps.clear()
        self._unflushed.clear()

    def _run_steps(self) -> None:
        steps, queue, now = self.steps, self.queue, self._now
        while steps:
            effects = steps.popleft()(now)
            if not effects:
                continue
            # The most common decision, without its way through the queue.
            if len(effects) == 1 and queue.is_idle and type(effects[0]) is Answer:
                self._answer(effects[0])
                continue
            for effect in effects:
                if type(effect) is Close and (link := self._links.get(effect.peer.link)):
                    link.is_closing = True
            self._perform(queue.add(effects))

    def _perform(self, effects: Sequence[Effect]) -> None:
        performers, otherwise = self._performers, self._hands.perform
        for effect in effects:
            if self.is_halted:
                return
            performers.get(type(effect), otherwise)(effect)

    # --- steps ------------------------------------------------------------------------------------

    def _run_deadline(self, now: float) -> list[Effect]:
        deadline = self._core.next_deadline()
        is_due = deadline is not None and deadline <= now
        return self._core.on_deadline(now) if is_due else []

    def _catch_up(self, caller: Caller, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for _ in range(DEADLINES_PER_WARP):
            deadline = self._core.next_deadline()
            if deadline is None or deadline > now:
                break
            effects += self._core.on_deadline(now)
        return [*effects, events.ClockWarped(now=now), Answer(caller, Done())]

    def _on_message(self, link: OpenLink[L], message: Message, now: float) -> list[Effect]:
        if link.is_closing or link.line is None:
            return []
        caller = Caller(link.peer, message.request_id)
        if not self.queue.is_idle and len(self.queue) > EFFECTS_WAITING_MAX:
            if caller.request_id:
                self._answer(Answer(caller, _busy()))
                return []
            if link.peer.role is Role.CLIENT:
                busy = HangUp(link.peer, ErrorCode.BUSY, retry_after_seconds=BUSY_RETRY_SECONDS)
                self._hang_up(busy)
                return []
        if type(message) is WarpClock:
            return [Warp(caller)]
        handle = self._denials.handlers.get(type(message))
        if handle is not None and (decided := handle(link, message, now)) is not None:
            return decided
        return self._core.on_message(caller, message, now)

    def _tell_opened(self, link: OpenLink[L], now: float) -> list[Effect]:
        return [*self._denials.on_opened(link), *self._core.on_peer_opened(link.peer, now)]

    def _on_lost(self, link: OpenLink[L], now: float) -> list[Effect]:
        self._links.pop(link.peer.link, None)
        return [] if link.is_closing else self._core.on_peer_lost(link.peer, now)

    # --- effects on links -------------------------------------------------------------------------

    def _answer(self, effect: Answer) -> None:
        caller = effect.caller
        self._send(caller.peer, effect.message, caller.request_id)

    def _tell(self, effect: Tell) -> None:
        self._send(effect.peer, effect.message, 0)

    def _send(self, peer: Peer, message: Message, request_id: int) -> None:
        link = self._links.get(peer.link)
        if link is not None and (line := link.line) is not None:
            line.send(message, request_id)
            self._unflushed[peer.link] = line

    def _ask(self, effect: Ask) -> None:
        if line := self._routes.ask(effect, self._ticks):
            self._unflushed[line.id] = line

    def _dial(self, effect: Dial) -> None:
        self._routes.dial(effect)

    def _close(self, effect: Close) -> None:
        link = self._links.pop(effect.peer.link, None)
        if link is None or link.line is None:
            return
        link.is_closing = True
        self._routes.ended(effect.peer.link, Failed(ErrorCode.CONNECTION_LOST, "we hung up"))
        self._unflushed.pop(effect.peer.link, None)
        link.line.close(effect.code, effect.detail, effect.trace_id, effect.retry_after_seconds)

    def _hang_up(self, effect: HangUp) -> None:
        link = self._links.get(effect.peer.link)
        if link is not None and (line := link.line) is not None and not link.is_closing:
            self._unflushed.pop(effect.peer.link, None)
            line.close(effect.code, effect.detail, "", effect.retry_after_seconds)
            self._on_closed(line, Closed(effect.code, effect.detail, by_peer=False))

    # --- events of lines --------------------------------------------------------------------------

    def _on_opened(self, line: L, opened: Opened) -> None:
        peer = Peer(
            link=line.id,
            role=opened.role,
            name=opened.name,
            host=line.host,
            port=line.port,
            dialled=self._routes.opened(line),
            certificate=line.own_certificate,
            peer_certificate=line.peer_certificate or NO_CERTIFICATE,
        )
        link = self._links[line.id] = OpenLink(line, peer, opened.denied)
        self._unflushed[line.id] = line
        self.steps.append(partial(self._tell_opened, link))

    def _on_closed(self, line: L, closed: Closed) -> None:
        self._routes.ended(line.id, Failed(closed.code, closed.detail))
        link = self._links.get(line.id)
        if link is not None and link.line is not None:
            link.line = None
            self.steps.append(partial(self._on_lost, link))


def _busy() -> Refused:
    return Refused(
        code=ErrorCode.BUSY,
        detail="the daemon waits for its disk; try again",
        retry_after_seconds=BUSY_RETRY_SECONDS,
    )
