"""Types of command-line options: hosts, durations, texts; and help with an example."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from clients.logon.steps import Host
from tsproto.limits import DAY_SECONDS
from tsproto.printable import printable

_HOST = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
DURATION_SECONDS_MAX = 100 * 366 * DAY_SECONDS


def hosts_at(port: int) -> Callable[[str], tuple[Host, ...]]:
    """Reads `HOST[:PORT][,HOST…]`; an IPv6 address stands in brackets. `port` is the default."""

    def host(text: str) -> Host:
        found = _HOST.fullmatch(text.strip())
        if found is None or (found["port"] and not 1 <= int(found["port"]) <= 65_535):
            raise click.BadParameter(f"{text!r} is not HOST or HOST:PORT")
        return Host(found["bracketed"] or found["host"], int(found["port"] or port))

    def hosts(text: str) -> tuple[Host, ...]:
        return tuple(host(part) for part in text.split(","))

    return hosts


def text_of(characters_max: int) -> Callable[[str], str]:
    """Reads a text for the farm: printable, and valid UTF-8."""

    def text(given: str) -> str:
        if len(given) > characters_max:
            raise click.BadParameter(f"longer than {characters_max} characters")
        try:
            given.encode()
        except UnicodeEncodeError:
            raise click.BadParameter("not text in UTF-8") from None
        if printable(given) != given:
            raise click.BadParameter("control and invisible characters are not allowed")
        return given

    return text


def duration(text: str) -> float:
    """Seconds, or a number with its unit: `30s`, `15m`, `12h`, `60d`."""
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
    if not 0 <= seconds <= DURATION_SECONDS_MAX:
        raise click.BadParameter(
            f"{text!r} is no duration: 30s, 15m, 12h or 60d, at most 100 years"
        )
    return seconds


printed_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of a table."
)
