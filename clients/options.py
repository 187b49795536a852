"""How the command line is read: hosts, durations, and help that shows an example."""

from __future__ import annotations

import re

import click

from clients.logon.steps import Host
from tsproto.limits import DAY_SECONDS

_HOST = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
DURATION_SECONDS_MAX = 100 * 366 * DAY_SECONDS


class Hosts(click.ParamType[tuple[Host, ...]]):
    """`HOST[:PORT][,HOST…]`; an IPv6 address stands in brackets. `port` is for hosts without."""

    name = "hosts"

    def __init__(self, port: int) -> None:
        self._port = port

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Host, ...]:
        return tuple(self._host(part, param, ctx) for part in str(value).split(","))

    def _host(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> Host:
        found = _HOST.fullmatch(text.strip())
        if found is None or (found["port"] and not 1 <= int(found["port"]) <= 65_535):
            self.fail(f"{text!r} is not HOST or HOST:PORT", param, ctx)
        return Host(found["bracketed"] or found["host"], int(found["port"] or self._port))


class Text(click.ParamType[str]):
    """Words for the farm: of so many characters at most, no control characters, and text at all
    (bytes of a command line need not be)."""

    name = "text"

    def __init__(self, characters_max: int) -> None:
        self._characters_max = characters_max

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if len(text) > self._characters_max:
            self.fail(f"longer than {self._characters_max} characters", param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("not text in UTF-8", param, ctx)
        if any(character < " " or character == "\x7f" for character in text):
            self.fail("control characters are not allowed", param, ctx)
        return text


class Duration(click.ParamType[float]):
    """Seconds, or a number with its unit: `30s`, `15m`, `12h`, `60d`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = _DURATION.fullmatch(str(value))
        seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
        if not 0 <= seconds <= DURATION_SECONDS_MAX:
            self.fail(
                f"{value!r} is no duration: 30s, 15m, 12h or 60d, at most 100 years", param, ctx
            )
        return seconds


def printed_json(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs instead of a table."
    )(command)
