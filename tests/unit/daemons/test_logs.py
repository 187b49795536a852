"""Lines of the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from daemons import events, logs
from daemons.config import ConfigError
from daemons.settings import Log
from tsproto.errors import ErrorCode
from tsproto.printable import printable_lines


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(file: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]


def written(settings: Log, *logged: events.Event) -> list[dict[str, Any]]:
    with logs.configured(settings):
        for event in logged:
            logs.log(event)
    return lines(Path(settings.file))


REFUSED = events.DeviceRefused(
    trace_id="t1", device_id=b"\x01\xff", code=ErrorCode.NO_LICENSE, detail="ü\n"
)


def test_a_line_is_one_json_object_with_ids_and_codes_as_commands_show_them(tmp_path: Path) -> None:
    (line,) = written(Log(file=f"{tmp_path}/logs/a.log"), REFUSED)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "device.refused",
        "event_id": 1004,
        "trace_id": "t1",
        "device_id": "01ff",
        "code": "NO_LICENSE",
        "detail": "ü\n",
    }


def test_fields_stand_in_the_order_of_their_declaration(tmp_path: Path) -> None:
    (line,) = written(Log(file=f"{tmp_path}/a.log"), REFUSED)
    declared = ["trace_id", "device_id", "code", "detail"]
    assert [*line] == ["timestamp", "level", "event", "event_id", *declared]


def test_a_field_that_holds_its_default_is_left_out(tmp_path: Path) -> None:
    accepted, late = (
        events.DatagramUnsent(address="10.0.0.1", port=4711, error="no route"),
        events.DatagramUnsent(error="refused"),
    )
    first, second = written(Log(file=f"{tmp_path}/a.log", level="debug"), accepted, late)
    assert (first["address"], first["port"], first["error"]) == ("10.0.0.1", 4711, "no route")
    assert [*second] == ["timestamp", "level", "event", "error"]


def test_text_that_is_not_utf_8_does_not_cost_the_line(tmp_path: Path) -> None:
    with logs.configured(Log(file=f"{tmp_path}/a.log")):
        logs.log(events.KeeperUnreachable(detail="ü\udcff"))
    line = json.loads((tmp_path / "a.log").read_text("utf-8"))
    assert (line["event"], line["detail"]) == ("keeper.unreachable", "ü\udcff")


COMMANDS_TERMINALS = "a\x1b[2J\x7f\x9b1m\u202eb\u2028c\u200d"


@pytest.mark.parametrize("detail", [COMMANDS_TERMINALS, f"{COMMANDS_TERMINALS} and more"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_text_of_a_peer_commands_no_terminal_in_either_form(
    tmp_path: Path, form: Any, detail: str
) -> None:
    file = tmp_path / "a.log"
    several = events.SessionSeveral(user_name=detail, sessions=[detail])
    with logs.configured(Log(file=str(file), format=form)):
        logs.log(events.KeeperUnreachable(detail=detail))
        logs.log(several)
    text = file.read_text("utf-8")
    assert printable_lines(text) == text
    assert len(text.splitlines()) == 2
    if form == "json":
        first, second = lines(file)
        assert (first["detail"], second["sessions"]) == (detail, [detail])


def test_a_traceback_keeps_its_lines_in_the_form_for_people(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    with logs.configured(Log(file=str(file), format="text", level="debug")):
        logs.log(events.FaultTraced(exception="Traceback:\n  line 1\nValueError: \x1b[2J\n"))
    assert file.read_text().splitlines()[1:3] == ["Traceback:", "  line 1"]
    assert "\x1b" not in file.read_text()


def test_the_timestamp_is_utc_to_the_microsecond(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    first, second = written(Log(file=f"{tmp_path}/a.log"), REFUSED, REFUSED)
    times = [datetime.fromisoformat(line["timestamp"]) for line in (first, second)]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)
    assert len(first["timestamp"]) == len("2026-01-01T00:00:00.000000Z")


def test_text_is_one_readable_line(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    with logs.configured(Log(file=str(file), format="text")):
        logs.log(events.KeeperUnreachable(detail="ü\udcff"))
        logs.log(REFUSED)
    first, second = file.read_text("utf-8").splitlines()
    assert first.split()[1:3] == ["[error", "]"]
    assert "keeper.unreachable" in first
    assert first.endswith("detail=ü\\udcff")
    assert "code=NO_LICENSE" in second
    assert "device_id=01ff" in second


def test_events_below_the_level_are_left_out(tmp_path: Path) -> None:
    below, above = events.DirectoryReady(), events.KeeperLost(sessions=1)
    settings = Log(file=f"{tmp_path}/a.log", level="warning")
    assert [line["event"] for line in written(settings, below, above)] == ["keeper.lost"]


@pytest.mark.parametrize(("level", "has_traceback"), [("info", False), ("debug", True)])
def test_a_fault_names_its_place_and_a_traceback_is_for_debugging(
    tmp_path: Path, level: Any, has_traceback: bool
) -> None:
    file = tmp_path / "a.log"
    with logs.configured(Log(file=str(file), level=level)):
        try:
            raise KeyError("x")
        except KeyError as error:
            logs.report_fault(error)
    broken, *traced = lines(file)
    assert (broken["event"], broken["level"]) == ("daemon.broken", "critical")
    assert broken["error"] == "KeyError: 'x'"
    assert broken["at"][0].startswith(__file__)
    assert [line["event"] for line in traced] == ["fault.traced"] * has_traceback
    assert all("raise KeyError" in line["exception"] for line in traced)


def test_a_line_that_cannot_be_written_is_lost() -> None:
    with logs.configured(Log(file="/dev/full")):
        logs.log(REFUSED)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    file = f"{tmp_path}/a/b.log"
    with pytest.raises(ConfigError) as caught, logs.configured(Log(file=file)):
        pass
    assert str(caught.value) == f"log.file: {file}: cannot be written: File exists"
