"""The table of events keeps its own rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec
import pytest

from daemons.events import Event, next_step
from tsproto.errors import ErrorCode

NAME = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\Z")
WRITTEN_BY_THE_LOG = {"timestamp", "level", "event", "event_id"}


def kinds(kind: type[Event] = Event) -> Iterator[type[Event]]:
    """The events, in the order of the table; what others inherit from is no event."""
    for below in kind.__subclasses__():
        if below.__subclasses__():
            yield from kinds(below)
        else:
            yield below


EVENTS = list(kinds())


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_has_a_name_a_meaning_and_fields_with_meanings(kind: type[Event]) -> None:
    assert NAME.match(str(kind.__struct_config__.tag))
    assert (kind.__doc__ or "").endswith(".")
    assert not WRITTEN_BY_THE_LOG & {*kind.__struct_fields__}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in kind.__struct_fields__:
            metas = [found for found in get_args(hint) if isinstance(found, msgspec.Meta)]
            assert metas and metas[-1].description, f"{kind.__name__}.{name} needs a Meta"


def test_no_two_events_have_one_name() -> None:
    names = Counter(kind.__struct_config__.tag for kind in EVENTS)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_class_is_named_as_its_event() -> None:
    """`license_server.in_use` is LicenseServerInUse, so that one finds the other."""
    for kind in EVENTS:
        words = re.split(r"[._]", str(kind.__struct_config__.tag))
        assert kind.__name__ == "".join(word.capitalize() for word in words)


@pytest.mark.parametrize(
    ("code", "step"),
    [
        (ErrorCode.WRONG_ROLE, "compare the authority"),
        (ErrorCode.UNREACHABLE, "start the daemon there"),
        (ErrorCode.BUSY, "none: it is tried again"),
        (ErrorCode.MALFORMED_FRAME, "look at the log"),
    ],
)
def test_a_code_has_a_next_step(code: ErrorCode, step: str) -> None:
    assert next_step(code).startswith(step)
