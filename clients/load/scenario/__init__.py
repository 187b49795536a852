"""A scenario: arrivals, journeys and thresholds of a load run.

Written as a TOML file, or as a Python class with the same parts and a coroutine as journey
(`clients.load.Script`). Times are seconds, sizes bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

RATE_MAX = 1_000_000.0
SECONDS_MAX = 7 * 86_400.0
IN_FLIGHT_MAX = 1_000_000
WEIGHT_MAX = 1_000_000

Rate: TypeAlias = Annotated[float, Meta(ge=0, le=RATE_MAX)]
Span: TypeAlias = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]

Drives: TypeAlias = Literal["users", "licenses", "directory"]

UserAct: TypeAlias = Literal[
    "first-visit", "logon", "work", "disconnect", "roam", "reconnect", "renew", "logoff", "think"
]
LicenseAct: TypeAlias = Literal["issue", "validate", "upgrade", "renew"]
DirectoryAct: TypeAlias = Literal["place", "report", "query", "end"]

ACTS: dict[Drives, tuple[str, ...]] = {
    "users": UserAct.__args__,  # type: ignore[attr-defined]
    "licenses": LicenseAct.__args__,  # type: ignore[attr-defined]
    "directory": DirectoryAct.__args__,  # type: ignore[attr-defined]
}


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Part of an open model: in `seconds` the rate of arrivals changes linearly from `start_rate`
    (by default the rate before) to `rate` a second. A stage of 0 seconds is a burst of `rate`
    arrivals."""

    seconds: Span
    rate: Rate
    start_rate: Rate | None = None


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arrivals that do not wait for the farm. Each journey is timed from when it was due; an
    arrival that finds `in_flight_max` journeys under way is dropped and counted."""

    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=1000)]
    arrivals: Literal["even", "poisson"] = "even"
    in_flight_max: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)] = 10_000


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`users` begin evenly over `ramp_seconds`, and again `think_seconds` after each journey."""

    users: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)]
    seconds: Annotated[float, Meta(gt=0, le=SECONDS_MAX)]
    think_seconds: Span = 0.0
    ramp_seconds: Span = 0.0


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a journey. `work` types `keystrokes` evenly over `seconds`, then prints `output`
    bytes in the session; `think` waits `seconds`. Other acts take no number."""

    do: str
    seconds: Span = 0.0
    keystrokes: Annotated[int, Meta(ge=0, le=100_000)] = 0
    output: Annotated[int, Meta(ge=0, le=1 << 30)] = 0


class Journey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The acts of one arrival, in order. Journeys are chosen at random by weight."""

    acts: Annotated[tuple[Act, ...], Meta(min_length=1, max_length=1000)]
    weight: Annotated[int, Meta(ge=1, le=WEIGHT_MAX)] = 1


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Has either `open` or `closed`. `thresholds` have the syntax of
    `clients.load.measuring.thresholds`. The first `warm_up_seconds` are not measured."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    about: Annotated[str, Meta(max_length=400)] = ""
    drives: Drives = "users"
    open: Open | None = None
    closed: Closed | None = None
    journeys: Annotated[tuple[Journey, ...], Meta(max_length=100)] = ()
    thresholds: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    warm_up_seconds: Span = 0.0

    @property
    def at_once(self) -> int:
        """The largest number of journeys under way."""
        if self.closed is not None:
            return self.closed.users
        assert self.open is not None
        return self.open.in_flight_max
