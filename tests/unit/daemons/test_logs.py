"""What a line of the log looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from daemons import logs
from daemons.config import ConfigError
from daemons.settings import Log
from tsproto.errors import ErrorCode


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(file: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]


def test_a_line_is_one_json_object_with_ids_and_codes_as_commands_show_them(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "a.log"
    with logs.configured(Log(file=str(file))):
        structlog.get_logger().info(
            "license.refused", device=b"\x01\xff", code=ErrorCode.NO_LICENSE
        )
    (line,) = lines(file)
    assert (line["event"], line["level"]) == ("license.refused", "info")
    assert (line["device"], line["code"]) == ("01ff", "NO_LICENSE")
    assert line["timestamp"].endswith("Z")


def test_text_is_one_readable_line(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    with logs.configured(Log(file=str(file), format="text")):
        structlog.get_logger().warning("license.refused", device="ü\udcff")
    text = file.read_text("utf-8")
    assert "license.refused" in text
    assert text.endswith("device=ü\\udcff\n")


def test_lines_below_the_level_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    with logs.configured(Log(file=str(file), level="warning")):
        structlog.get_logger().info("a.line")
        structlog.get_logger().warning("b.line")
    assert [line["event"] for line in lines(file)] == ["b.line"]


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
    (line,) = lines(file)
    assert line["error"] == "KeyError: 'x'"
    assert line["at"][0].startswith(__file__)
    assert ("exception" in line, "exc_info" in line) == (has_traceback, False)


def test_a_line_that_cannot_be_written_is_lost() -> None:
    with logs.configured(Log(file="/dev/full")):
        structlog.get_logger().info("a.line")


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    file = f"{tmp_path}/a/b.log"
    with pytest.raises(ConfigError) as caught, logs.configured(Log(file=file)):
        pass
    assert str(caught.value) == f"log.file: {file}: cannot be written: File exists"
