"""Which terminal server starts a user's next session: the placement policy, as a pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec


class Load(msgspec.Struct, frozen=True, gc=False):
    """The load of one terminal server. `sessions` includes those that are reserved."""

    name: str
    weight: int
    sessions: int
    sessions_max: int

    @property
    def is_full(self) -> bool:
        return self.sessions >= self.sessions_max


def stay_where_landed(landed: Load, avoid: str, loads: Callable[[], Iterable[Load]]) -> str | None:
    """The terminal server that the user landed on, or None when that is full.

    The client cannot reach `avoid`. `loads` reads every READY terminal server, a step each.
    """
    return None if landed.is_full else landed.name
