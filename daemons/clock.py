"""The clock that a daemon's core is told: Unix seconds that never go backwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tsproto.errors import TsfarmError

OFFSET_SECONDS_MAX = 100 * 366 * 86_400.0  # a lab warps by days or years, not by ages


class ClockFileError(TsfarmError):
    """The lab's clock file cannot be used as it is."""


class Clock:
    """The system's clock plus, in a lab, the offset in seconds that its clock file holds.

    When the system's clock is set back, this one goes on at half speed until both agree: no
    deadline comes twice, and none stays away for the time that was taken back.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.file = file
        self._wall = wall
        self._monotonic = monotonic
        self._offset = 0.0
        self._last = float("-inf")
        self._last_monotonic = monotonic()

    def now(self) -> float:
        wall, monotonic = self._wall() + self._offset, self._monotonic()
        if wall < self._last:
            wall = self._last + (monotonic - self._last_monotonic) / 2
        self._last, self._last_monotonic = wall, monotonic
        return wall

    def reload(self) -> None:
        """Take the offset that the clock file holds now; a missing file is an offset of 0.

        Raises ClockFileError when it holds no number, or one that leads back in time.
        """
        assert self.file is not None
        offset = _read_offset(self.file)
        if offset < self._offset:
            raise ClockFileError(
                f"{self.file}: expected an offset of at least {self._offset:g} seconds, found"
                f" {offset:g}: a clock only goes forward"
            )
        self._offset = offset


def _read_offset(file: Path) -> float:
    try:
        text = file.read_text("utf-8").strip()
        offset = float(text)
    except FileNotFoundError:
        return 0.0
    except OSError as error:
        raise ClockFileError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ClockFileError(f"{file}: expected a number of seconds") from None
    if not 0 <= offset <= OFFSET_SECONDS_MAX:
        raise ClockFileError(
            f"{file}: expected 0 to {OFFSET_SECONDS_MAX:.0f} seconds, found {text}"
        )
    return offset
