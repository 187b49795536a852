"""The keeper of a simulated terminal server: the real monitor, which outlives the daemon.

Who has the terminal server's uid may ask it. `intruder` is told of each question of the terminal
server, and may ask more; `watcher` is told of every answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from daemons.keeper import messages as km
from daemons.keeper.proving import Host, Monitor, NotStarted
from tsproto.account import Account

INTRUDES_CHANCE = 0.5
MISUSES_A_PROOF_CHANCE = 0.1  # its user's session does not start, then

Judged: TypeAlias = km.Proved | km.NotProved


class Watcher(Protocol):
    """What is told of each keeper. `now` is the time of its host."""

    def challenged(self, host: str, request: km.Challenge, said: km.Challenged) -> None: ...
    def judged(self, host: str, request: km.Prove, reply: Judged, now: float) -> None: ...
    def started(self, host: str, request: km.StartProved, now: float) -> None: ...


class SimulatedKeeper:
    def __init__(
        self, host: Host, account_of: Callable[[str], Account | None], rng: random.Random
    ) -> None:
        self.monitor = Monitor(host, account_of, rng)
        self.watcher: Watcher | None = None
        self.intruder: Intruder | None = None

    def challenge(self, request: km.Challenge, now: float) -> km.Challenged | km.NotProved:
        reply = self.monitor.challenge(request, now)
        if self.watcher and isinstance(reply, km.Challenged):
            self.watcher.challenged(self._name, request, reply)
        return reply

    def prove(self, request: km.Prove, now: float) -> Judged:
        reply = self.judge(request, now)
        if self.intruder:
            self.intruder.after_a_proof(self, request, reply, now)
        return reply

    def judge(self, request: km.Prove, now: float) -> Judged:
        reply = self.monitor.prove(request, now)
        if self.watcher:
            self.watcher.judged(self._name, request, reply, now)
        return reply

    def start(self, request: km.StartProved, now: float) -> Account:
        """Raises NotStarted."""
        try:
            return self.spend(request, now)
        finally:
            if self.intruder:
                self.intruder.after_a_start(self, request, now)

    def spend(self, request: km.StartProved, now: float) -> Account:
        """Raises NotStarted."""
        spent = self.monitor.spend(request, now)
        if self.watcher:
            self.watcher.started(self._name, request, now)
        return spent.account

    def shown(self, request: km.Shown, now: float) -> None:
        self.monitor.shown(request, now)

    @property
    def _name(self) -> str:
        return self.monitor.host.server


class Intruder(msgspec.Struct):
    """Has the terminal server's uid on a host and reads what it reads. Asks the keeper for what
    nobody proved: the same proof again, another program for it, a second session."""

    rng: random.Random
    is_over: Callable[[], bool]

    def after_a_proof(
        self, keeper: SimulatedKeeper, proof: km.Prove, reply: Judged, now: float
    ) -> None:
        if self._rests():
            return
        keeper.judge(proof, now)
        if isinstance(reply, km.Proved) and self.rng.random() < MISUSES_A_PROOF_CHANCE:
            asked = replace(proof.asked, command="id")
            start = km.StartProved(0, 1, reply.proof_id, asked, 80, 24, "xterm", "", "", "")
            with suppress(NotStarted):
                keeper.spend(start, now)

    def after_a_start(self, keeper: SimulatedKeeper, start: km.StartProved, now: float) -> None:
        if not self._rests():
            with suppress(NotStarted):
                keeper.spend(start, now)

    def _rests(self) -> bool:
        return self.is_over() or self.rng.random() > INTRUDES_CHANCE
