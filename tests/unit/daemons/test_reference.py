"""The reference of events."""

from __future__ import annotations

from daemons import events
from daemons.reference import EVENTS_MD, render, sections


def test_events_md_is_fresh() -> None:
    assert EVENTS_MD.read_text("utf-8") == render(), f"{EVENTS_MD} is stale: run `make generate`"


def test_the_headings_of_the_table_are_those_of_the_reference() -> None:
    titles = [title for title, _ in sections()]
    assert titles[0] == "every daemon"
    assert titles[-1] == "session directory"
    assert dict(sections())["license server"][:2] == [events.ClockSetBack, events.PackAdded]


def test_an_event_is_shown_with_level_number_and_fields() -> None:
    assert """### `peer.unreachable` (warning, event id 8)

No link to another license server could be made.

| field | type | meaning |
| --- | --- | --- |
| `address` | text | IP address or host name |
| `port` | number | TCP or UDP port |
| `code` | name | an error code of PROTOCOL.md |
| `detail` | text | the cause, with expected and found values |
| `next_step` | text | what the operator can do about it |
| `peer` | text, optional | its name, where known |
""" in render()


def test_types_are_shown_as_the_log_writes_them() -> None:
    rendered = render()
    assert "| `device_id` | hex |" in rendered
    assert "| `restarted` | true or false |" in rendered
    assert "| `pools` | list of text |" in rendered
    assert "| `pause_seconds` | number |" in rendered
