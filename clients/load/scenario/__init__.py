"""What a load run does: who arrives when, what each of them does, and what is good enough.

A scenario is written as a TOML file, or as a Python class that names the same parts and writes its
journey as a coroutine (`clients.load.Script`). All times are seconds, all sizes bytes.
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
    """Part of an open model: in `seconds` the arrival rate goes in a straight line from
    `start_rate` (where it is not given, the rate before it) to `rate` journeys a second. A stage of
    no length is a burst of `rate` arrivals at once."""

    seconds: Span
    rate: Rate
    start_rate: Rate | None = None


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arrivals come whether or not the farm keeps up; each is timed from when it was due, and one
    that finds `in_flight_max` journeys under way is dropped and counted."""

    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=1000)]
    arrivals: Literal["even", "poisson"] = "even"
    in_flight_max: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)] = 10_000


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many users begin, spread evenly over `ramp_seconds`; each begins its next journey
    `think_seconds` after its last one."""

    users: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)]
    seconds: Annotated[float, Meta(gt=0, le=SECONDS_MAX)]
    think_seconds: Span = 0.0
    ramp_seconds: Span = 0.0


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a journey. `work` types `keystrokes` spread over `seconds`, and has the session
    print `output` bytes; `think` waits `seconds`. Other acts take no number."""

    do: str
    seconds: Span = 0.0
    keystrokes: Annotated[int, Meta(ge=0, le=100_000)] = 0
    output: Annotated[int, Meta(ge=0, le=1 << 30)] = 0


class Journey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one arrival does, in order; chosen among the others by weight."""

    acts: Annotated[tuple[Act, ...], Meta(min_length=1, max_length=1000)]
    weight: Annotated[int, Meta(ge=1, le=WEIGHT_MAX)] = 1


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of `open` and `closed` is given. `thresholds` are written as
    `clients.load.measuring.thresholds` reads them. What happens in the first `warm_up_seconds` is
    done but not measured."""

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
        """How many journeys may be under way."""
        if self.closed is not None:
            return self.closed.users
        assert self.open is not None
        return self.open.in_flight_max
