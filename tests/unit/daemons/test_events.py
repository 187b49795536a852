"""The table of events keeps its own rules."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from daemons import events
from daemons.events import Event, next_step
from daemons.reference import meaning_of, sections
from tsproto.errors import ErrorCode

NAME = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\Z")
WRITTEN_BY_THE_LOG = {"timestamp", "level", "event", "event_id"}

EVENTS = [kind for _, kinds in sections() for kind in kinds]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_has_a_name_a_meaning_and_fields_with_meanings(kind: type[Event]) -> None:
    assert NAME.match(str(kind.__struct_config__.tag))
    assert (kind.__doc__ or "").endswith(".")
    assert not WRITTEN_BY_THE_LOG & {*kind.__struct_fields__}
    for field in msgspec.structs.fields(kind):
        assert meaning_of(kind, field), f"{kind.__name__}.{field.name} needs a comment"


def test_every_event_stands_in_the_reference() -> None:
    def leaves(kind: type[Event]) -> list[type[Event]]:
        below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
        return below or [kind]

    assert {*leaves(Event)} == {*EVENTS}


def test_every_event_is_logged_somewhere() -> None:
    daemons = Path(events.__file__).parent
    others = [path for path in daemons.rglob("*.py") if path.name != "events.py"]
    source = "".join(path.read_text("utf-8") for path in others)
    logged = {*re.findall(r"\bevents\.(\w+)", source)}
    assert [kind.__name__ for kind in EVENTS if kind.__name__ not in logged] == []


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
