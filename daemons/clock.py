"""The clock that a daemon's core is told: Unix seconds that never go backwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from daemons import events
from daemons.files.clock_file import ClockFileError, read_offset
from daemons.logs import log

JUMP_SECONDS = 3_600.0  # far more than a time service ever corrects at once


class Clock:
    """The system's clock plus, in a lab, the offset in seconds that its clock file holds.

    When the system's clock is set back, this one goes on at half speed until both agree: no
    deadline comes twice, and none stays away for the time that was taken back.

    A step of more than JUMP_SECONDS that the monotonic clock did not make is followed, and reported
    (`clock.jumped`): a license server takes back every token that ends before the new time. After
    a jump ahead that was a mistake, half speed takes twice as long as the jump was; whoever has
    corrected the system's clock restarts the daemon. A machine that was suspended jumps too, and
    rightly.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        report_jump: Callable[[float], None] | None = None,
    ) -> None:
        self.file = file
        self._wall = wall
        self._monotonic = monotonic
        self._report_jump = report_jump or _report_jump
        self._offset = 0.0
        self._last = float("-inf")
        self._last_wall = wall()
        self._last_monotonic = monotonic()

    def now(self) -> float:
        wall, monotonic = self._wall(), self._monotonic()
        passed = monotonic - self._last_monotonic
        jumped = wall - self._last_wall - passed
        if abs(jumped) > JUMP_SECONDS:
            self._report_jump(jumped)
        now = wall + self._offset
        if now < self._last:
            now = self._last + passed / 2
        self._last, self._last_wall, self._last_monotonic = now, wall, monotonic
        return now

    def reload(self) -> None:
        """Take the offset that the clock file holds now; a missing file is an offset of 0.

        Raises ClockFileError when it holds no number, or one that leads back in time, and where
        there is no such file: only a lab's clock can be warped.
        """
        if self.file is None:
            detail = "only a lab's clock can be warped: the configuration names no clock_file"
            raise ClockFileError(detail)
        offset = read_offset(self.file)
        if offset < self._offset:
            raise ClockFileError(
                f"{self.file}: expected an offset of at least {self._offset:g} seconds, found"
                f" {offset:g}: a clock only goes forward"
            )
        self._offset = offset


def _report_jump(seconds: float) -> None:
    next_step = "check the system's clock; if it was wrong, correct it and restart the daemon"
    log(events.ClockJumped(seconds=round(seconds), next_step=next_step))
