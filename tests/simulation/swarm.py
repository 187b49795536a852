"""What one run is made of: which faults and which kinds of work, how much of each, how long.

A seed draws all of it from a stream of its own. Each kind is switched wholly off by chance: a run
with everything in it finds less than many runs that leave something out, for faults hide each
other (Groce and others, "Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

import random

import msgspec

FAULTS: dict[str, float] = {  # strikes a minute at full weight
    "broken links": 1.0,
    "clock apart": 1.0,
    "clock drifts": 1.0,
    "clock steps": 1.0,
    "commit error": 1.5,
    "crash": 4.0,
    "crash after an answer": 1.0,
    "crash in a commit": 1.0,
    "cut": 2.5,
    "full disk": 1.0,
    "lender unheard": 4.0,
    "license server crash": 4.0,
    "one-way cut": 2.0,
    "restored ledger": 0.7,
    "slow disk": 1.5,
    "stalled link": 2.0,
    "stand-still": 2.0,
    "weeks asleep": 1.0,
}
# A farm that knows no other faults keeps one session a user.
SPARES_SESSIONS = (
    "crash after an answer",
    "crash in a commit",
    "lender unheard",
    "license server crash",
)
# The chance that a seed has the fault; those that switch laws off are rarer.
CHANCE = {
    "clock apart": 0.3,
    "clock steps": 0.25,
    "full disk": 0.3,
    "restored ledger": 0.2,
    "weeks asleep": 0.75,
}

WORK = (
    "applications",
    "SSH keys",
    "both have tokens",
    "changed accounts",
    "commands",
    "few tokens",
    "ghost host",
    "grace",
    "impatience",
    "in one instant",
    "intruders",
    "log off by message",
    "misuse",
    "old and new protocol",
    "pipelining",
    "refusing license server",
    "resize",
    "slow starts",
    "slow typing",
    "small hosts",
    "two license servers nearby",
    "two versions",
    "wrong passwords",
)
# Not in the quiet phase, in which everybody must get in.
CARELESS = frozenset(
    {"changed accounts", "impatience", "misuse", "pipelining", "slow typing", "wrong passwords"}
)
ROUNDS_MAX = 4
CALM_CHANCE = 0.25


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """`faults` are the kinds that strike, with their weights (0 to 1); `work` the kinds of work;
    `seconds` the length of each round."""

    faults: dict[str, float] = {}
    work: frozenset[str] = frozenset()
    devices: int = 6
    users: int = 3
    tokens: int = 3
    rounds: int = 3
    seconds: float = 45.0

    @property
    def bought(self) -> dict[int, int]:
        """Tokens by product version."""
        newer = max(1, self.tokens // 2)
        return {1: self.tokens, 2: newer} if "two versions" in self.work else {1: self.tokens}

    @property
    def bought_nearby(self) -> dict[int, int]:
        """Tokens of the license server that is asked first."""
        return {1: 2} if "both have tokens" in self.work else {}

    @property
    def spares_sessions(self) -> bool:
        return all(fault in SPARES_SESSIONS for fault in self.faults)


def draw(seed: int) -> Swarm:
    """What the seed is made of."""
    rng = random.Random(f"{seed}/swarm")
    is_calm = rng.random() < CALM_CHANCE
    faults = {}
    for name in FAULTS:
        chance, weight = rng.random(), 0.2 + 0.8 * rng.random()
        may_be = not is_calm or name in SPARES_SESSIONS
        if may_be and chance < CHANCE.get(name, 0.5):
            faults[name] = weight
    work = frozenset([name for name in WORK if rng.random() < 0.5])
    return Swarm(
        faults=faults,
        work=work,
        devices=rng.randint(3, 7),
        users=rng.randint(2, 4),
        tokens=1 if "few tokens" in work else rng.randint(2, 6),
        rounds=rng.randint(2, ROUNDS_MAX),
        seconds=rng.choice((25.0, 45.0, 60.0)),
    )
