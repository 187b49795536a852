"""Chooses the terminal server that starts a user's next session. A policy is a pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec


class Load(msgspec.Struct, frozen=True, gc=False):
    """The load of one terminal server. `sessions` includes those that are reserved."""

    name: str
    weight: int
    sessions: int
    sessions_max: int


Policy: TypeAlias = Callable[[Load, str, Callable[[], Iterable[Load]]], str]
"""Takes the load of the terminal server that the user landed on, the name of one that the client
cannot reach (or ""), and a reader of the loads of all READY terminal servers, which costs a step
each. Returns the name of the chosen one, empty when none has room."""


def stay_where_landed(landed: Load, avoid: str, loads: Callable[[], Iterable[Load]]) -> str:
    """The terminal server that the user landed on. Another policy may need `avoid` and `loads`."""
    return landed.name if landed.sessions < landed.sessions_max else ""
