"""Numbers for people: three digits, a fitting unit, thousands separated."""

from __future__ import annotations

from math import floor, isfinite, log10

NOTHING = "-"


def digits(value: float, significant: int = 3) -> str:
    """Rounded to that many digits, never in powers of ten: 0.0123, 1.20, 12.3, 1,234."""
    if not value or not isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.{significant - 1}e}")
    decimals = max(0, significant - 1 - floor(log10(abs(rounded))))
    shown = rounded if decimals else value
    return f"{shown:,.{decimals}f}"


def latency(milliseconds: float) -> str:
    """Microseconds, milliseconds or seconds; nothing is shorter than a microsecond."""
    if not milliseconds:
        return NOTHING
    microseconds = round(milliseconds * 1e3)
    if microseconds < 1000:
        return f"{max(microseconds, 1)} µs"
    if milliseconds < 999.5:
        return f"{digits(milliseconds)} ms"
    return f"{digits(milliseconds / 1e3)} s"


def count(number: int) -> str:
    return f"{number:,}"


def per_second(rate: float) -> str:
    """To a tenth, or finer for less than one a second."""
    return digits(rate) if rate < 0.95 else f"{rate:,.1f}"


def share(part: float, whole: float) -> str:
    """In percent. Only nothing is shown as 0, and only everything as 100."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.2f} %" if percent < 10 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """How long something took: 4.2 s, 75.0 s, 12 min 30 s, 2 h 05 min."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{int(seconds // 60)} min {int(seconds % 60):02} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"


def clock(seconds: float) -> str:
    """As a stopwatch shows it: 00:07, 12:30, 1:02:30."""
    whole = int(round(seconds, 3))  # a sum of stages may be a hair short of a whole second
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 arrival`, `2 arrivals`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
