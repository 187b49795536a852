"""Every event that an operator may read, declared once: its name, level, the number of the
original's event where there is one, and its fields with their meaning.

A core returns one like any other effect. Lines of the log, counters and EVENTS.md come from here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, ClassVar, TypeAlias, get_type_hints

import msgspec

from daemons.effects import Effect
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind


class Level(IntEnum):
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


TraceId: TypeAlias = Annotated[str, msgspec.Meta(description="ten characters that a user sees")]
DeviceId: TypeAlias = Annotated[bytes, msgspec.Meta(description="the hash of the device's key")]
Detail: TypeAlias = Annotated[str, msgspec.Meta(description="what the user is told")]


class Event(Effect, frozen=True, gc=False, kw_only=True, tag_field="event"):
    level: ClassVar[Level] = Level.INFO
    number: ClassVar[int] = 0
    """Of the event that the original logs for this, 0 where it logs none."""


class LicenseAsked(Event, frozen=True, gc=False, kw_only=True, tag="license.asked"):
    """A license server is asked for a device."""

    trace_id: TraceId
    device_id: DeviceId
    need: Annotated[str, msgspec.Meta(description="ACQUIRE or RENEW")]
    lapse: Annotated[str, msgspec.Meta(description="why the token shown does not count")] = ""


class LicenseRefusedEvent(Event, frozen=True, gc=False, kw_only=True, tag="license.refused"):
    """A device was sent away in the licensing phase."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 1004
    trace_id: TraceId
    device_id: DeviceId
    code: ErrorCode
    detail: Detail


class LicensePushed(Event, frozen=True, gc=False, kw_only=True, tag="license.pushed"):
    """A device was given a token that is new to it."""

    trace_id: TraceId
    device_id: DeviceId
    license_id: bytes
    kind: LicenseKind
    issuer: str
    lender: str = ""


class DirectoryNotJoined(Event, frozen=True, gc=False, kw_only=True, tag="directory.not_joined"):
    """This host could not join its session directory, and will try again."""

    level: ClassVar[Level] = Level.WARNING
    number: ClassVar[int] = 1280
    code: ErrorCode
    pause_seconds: float


class ClockSetBack(Event, frozen=True, gc=False, kw_only=True, tag="clock.set_back"):
    """The newest entry of the journal is younger than the clock."""

    level: ClassVar[Level] = Level.WARNING
    seconds: int


class Writer:
    """Makes a line of an event. A bytes field is shown as hexadecimal digits, an enumeration by its
    name: which fields these are is looked up once a class."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._plans: dict[type[Event], _Plan] = {}

    def line(self, event: Event, timestamp: str) -> bytes:
        kind = type(event)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = _Plan(kind)
        fields: dict[str, Any] = {
            "timestamp": timestamp,
            "level": plan.level,
            "event": plan.name,
        }
        if plan.number:
            fields["event_id"] = plan.number
        for name in plan.plain:
            fields[name] = getattr(event, name)
        for name in plan.hexadecimal:
            fields[name] = getattr(event, name).hex()
        for name in plan.named:
            fields[name] = getattr(event, name).name
        return self._encoder.encode(fields)


class _Plan:
    def __init__(self, kind: type[Event]) -> None:
        hints = get_type_hints(kind)
        names = kind.__struct_fields__
        self.name = str(kind.__struct_config__.tag)
        self.level = kind.level.name.lower()
        self.number = kind.number
        self.hexadecimal = [n for n in names if hints[n] is bytes]
        self.named = [
            n for n in names if isinstance(hints[n], type) and issubclass(hints[n], IntEnum)
        ]
        self.plain = [n for n in names if n not in (*self.hexadecimal, *self.named)]
