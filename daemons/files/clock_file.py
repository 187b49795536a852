"""A lab's clock file: the seconds that its daemons add to the system's clock."""

from __future__ import annotations

from pathlib import Path

from tsproto.errors import TsfarmError

OFFSET_SECONDS_MAX = 100 * 366 * 86_400.0  # a lab warps by days or years, not by ages


class ClockFileError(TsfarmError):
    """The lab's clock file cannot be used as it is."""


def read_offset(file: Path) -> float:
    """Of a clock file, in seconds; 0 for a missing one. Raises ClockFileError."""
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
