"""The clock that cores are told goes forward, whatever is done to the system's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemons.clock import Clock
from daemons.files.clock_file import ClockFileError


class Hands:
    """A system clock and the monotonic one beside it."""

    def __init__(self) -> None:
        self.wall = 1000.0
        self.monotonic = 5.0

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def clock_of(
    hands: Hands, file: Path | None = None, report_jump: Callable[[float], None] | None = None
) -> Clock:
    return Clock(
        file,
        wall=lambda: hands.wall,
        monotonic=lambda: hands.monotonic,
        report_jump=report_jump,
    )


def test_it_shows_the_systems_time() -> None:
    hands = Hands()
    clock = clock_of(hands)
    assert clock.now() == 1000.0
    hands.pass_seconds(7)
    assert clock.now() == 1007.0


def test_a_jump_forward_is_followed() -> None:
    hands = Hands()
    clock = clock_of(hands)
    clock.now()
    hands.wall += 3600
    assert clock.now() == 4600.0


def test_after_a_jump_back_it_goes_on_at_half_speed_until_both_agree() -> None:
    hands = Hands()
    clock = clock_of(hands)
    clock.now()
    hands.wall -= 100
    assert clock.now() == 1000.0
    hands.pass_seconds(60)
    assert clock.now() == 1030.0
    hands.pass_seconds(60)
    assert clock.now() == 1060.0
    hands.pass_seconds(100)
    assert clock.now() == 1120.0


@pytest.mark.parametrize(
    ("step", "reported"), [(3600.0, []), (3601.0, [3601.0]), (-3601.0, [-3601.0])]
)
def test_a_jump_of_more_than_an_hour_is_reported_once(step: float, reported: list[float]) -> None:
    hands, jumps = Hands(), list[float]()
    clock = clock_of(hands, report_jump=jumps.append)
    clock.now()
    hands.wall += step
    clock.now()
    hands.pass_seconds(10)
    clock.now()
    assert jumps == reported


def test_time_that_passed_between_two_readings_and_a_labs_warp_are_no_jumps(
    tmp_path: Path,
) -> None:
    hands, jumps = Hands(), list[float]()
    file = tmp_path / "clock"
    clock = clock_of(hands, file, jumps.append)
    hands.pass_seconds(90 * 86_400)
    clock.now()
    file.write_text("5184000\n")
    clock.reload()
    clock.now()
    assert jumps == []


def test_a_jump_goes_to_the_log_as_an_error() -> None:
    hands = Hands()
    clock = clock_of(hands)
    hands.wall += 86_400
    with capture_logs() as lines:
        clock.now()
    [line] = lines
    assert (line["event"].event, line["log_level"]) == ("clock.jumped", "error")
    assert line["event"].seconds == 86_400


def test_the_clock_file_adds_its_offset_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock = clock_of(Hands(), file)
    clock.reload()
    assert clock.now() == 1000.0
    file.write_text("5184000\n")
    assert clock.now() == 1000.0
    clock.reload()
    assert clock.now() == 5185000.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tomorrow", "expected a number of seconds"),
        ("-1", "expected 0 to 3162240000 seconds, found -1"),
        ("nan", "expected 0 to 3162240000 seconds, found nan"),
        ("99", "expected an offset of at least 100 seconds, found 99: a clock only goes forward"),
    ],
)
def test_a_clock_file_that_cannot_be_followed_changes_nothing(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "clock"
    file.write_text("100")
    clock = clock_of(Hands(), file)
    clock.reload()
    file.write_text(text)
    with pytest.raises(ClockFileError) as caught:
        clock.reload()
    assert str(caught.value) == f"{file}: {complaint}"
    assert clock.now() == 1100.0
