"""Random histories of two license servers: what must hold after every step, and after a restart."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from daemons.effects import Answer, Ask, Effect, Failed
from daemons.license_server.records import JournalRecord, LicenseRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    Server,
    acquire,
    found,
    lender_answers,
    pack,
    renew,
    validated,
)
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseIssued, Message

DEVICES = [f"device-{number}".encode().ljust(32, b".") for number in range(8)]
STEPS = 120


class History:
    """A asks B when its pool is empty; answers get lost, days pass, both are restarted."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.a = Server("a", pack(2), lists=("b",), seed=seed)
        self.b = Server("b", pack(2), seed=seed + 1)
        self.held: dict[bytes, LicenseIssued] = {}

    def step(self) -> None:
        device = self.rng.choice(DEVICES)
        choices = (self.visit, self.visit, self.log_on, self.renew, self.restart, self.wait)
        self.rng.choice(choices)(device)
        self.check()

    def visit(self, device: bytes) -> None:
        self.keep(device, self.settle(self.a.hears(acquire(device))))

    def log_on(self, device: bytes) -> None:
        self.a.hears(validated(device))

    def renew(self, device: bytes) -> None:
        if device in self.held:
            effects = self.a.hears(renew(self.held[device].license_id, device))
            self.keep(device, self.settle(effects))

    def restart(self, device: bytes) -> None:
        """Every device that has a live full token is given the same one afterwards."""
        server = self.rng.choice((self.a, self.b))
        server.restart()
        if server is self.a:
            self.announce()
        for held_by, issued in list(self.held.items()):
            if issued.kind is FULL and issued.expires_at > self.a.now:
                again = self.a.issued(acquire(held_by))
                assert again.license_id == issued.license_id
                assert again.expires_at >= issued.expires_at
                assert self.a.issued(acquire(held_by)) == again

    def wait(self, device: bytes) -> None:
        seconds = self.rng.choice((1.0, 0.5 * DAY, 10.0 * DAY, 40.0 * DAY))
        self.a.now = self.b.now = self.a.now + seconds
        self.a.deadline(self.a.now)
        self.b.deadline(self.b.now)
        self.announce()

    def announce(self) -> None:
        link = self.a.links.get("b") or self.a.linked("b")
        self.a.told(link, self.b.pool().available)

    def settle(self, effects: list[Effect]) -> Message:
        """Let B answer what A asks of it, unless the answer, or the request, gets lost."""
        while asks := found(effects, Ask):
            fate = self.rng.random()
            outcome: Message | Failed = Failed(ErrorCode.UNANSWERED)
            if fate < 0.8:
                answer = lender_answers(self.b, asks[0])
                outcome = answer if fate < 0.6 else outcome
            effects = self.a.answers(asks[0].question_id, outcome)
        (answer_effect,) = found(effects, Answer)
        return answer_effect.message

    def keep(self, device: bytes, answer: Message) -> None:
        if isinstance(answer, LicenseIssued):
            assert answer.expires_at > self.a.now
            self.held[device] = answer

    def check(self) -> None:
        held: Counter[bytes] = Counter()
        for server in (self.a, self.b):
            out = [r for r in server.table(LicenseRecord) if r.kind is FULL and not r.ended]
            own = [r for r in out if not r.lender]
            row = server.pool()
            assert (len(own), row.total) == (row.issued + row.lent, 2)
            assert max(Counter(r.device_id for r in out).values(), default=0) <= 1
            sequences = [entry.sequence for entry in server.table(JournalRecord)]
            assert sequences == list(range(1, len(sequences) + 1))
            held.update(r.device_id for r in own if r.expires_at > server.now)
        validated_devices = {r.device_id for r in self.a.table(LicenseRecord) if r.validated}
        assert held.keys() <= validated_devices


@pytest.mark.parametrize("seed", range(10))
def test_tokens_are_conserved_and_answers_are_repeated(seed: int) -> None:
    history = History(seed)
    history.announce()
    for _ in range(STEPS):
        history.step()
