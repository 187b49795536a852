"""Writes events to the log: one JSON object a line, or coloured text on a terminal.

A line holds text of peers: what is not printable in it is escaped, in both forms.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from io import FileIO
from logging import getLevelNamesMapping
from pathlib import Path
from typing import Any, BinaryIO, cast, get_type_hints

import msgspec
import structlog

from daemons import events
from daemons.config import ConfigError
from daemons.events import Event
from daemons.settings import Log
from tsproto.printable import printable, printable_lines

EventDict = MutableMapping[str, Any]
Shown = Callable[[Any], object]

_encoder = msgspec.json.Encoder()
_logger = structlog.get_logger()  # `configured` binds it: binding costs as much as a line


def log(event: Event) -> None:
    """Write an event, unless its level is below the configured one."""
    _logger.log(event.level, event)


def report_fault(error: BaseException) -> None:
    """Log a fault of tsfarm itself in one line, and its traceback at level debug."""
    frames = traceback.extract_tb(error.__traceback__)
    log(
        events.DaemonBroken(
            error=f"{type(error).__name__}: {error}",
            at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        )
    )
    log(events.FaultTraced(exception="".join(traceback.format_exception(error))))


@contextmanager
def configured(settings: Log) -> Iterator[None]:
    """Send the log to the file and in the format of `settings` while the block runs.

    Raises ConfigError when the file cannot be written.
    """
    global _logger
    with _open(settings.file) as output:
        _configure(settings, output)
        before, _logger = _logger, structlog.get_logger().bind()
        try:
            yield
        finally:
            _logger = before


def _configure(settings: Log, output: FileIO) -> None:
    is_text = settings.format == "text" or (settings.format == "auto" and output.isatty())
    renderer = structlog.dev.ConsoleRenderer(colors=output.isatty(), sort_keys=False)
    structlog.configure(
        processors=[
            _Line(time.time),
            *((_make_printable, renderer, _encode_text) if is_text else (_encode_json,)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, _Lossy(output))),
        cache_logger_on_first_use=False,
    )


class _Plan:
    """How the fields of one class of events are shown, found out once.

    Bytes are shown as hexadecimal digits and codes by their names, as the commands show them.
    """

    def __init__(self, kind: type[Event]) -> None:
        hints = get_type_hints(kind)
        self.name = str(kind.__struct_config__.tag)
        self.fields = [
            (field.encode_name, field.default, _shown_as(hints[field.name]))
            for field in msgspec.structs.fields(kind)
        ]


def _shown_as(kind: object) -> Shown | None:
    if kind is bytes:
        return bytes.hex
    return _name_of if isinstance(kind, type) and issubclass(kind, Enum) else None


def _name_of(member: Enum) -> str:
    return member.name


class _Line:
    """Makes the dictionary of one line: timestamp, level, event, then the event's fields.

    The timestamp is UTC to the microsecond as ISO 8601 writes it. Its date and second are formatted
    once a second: a daemon under load logs thousands of lines in it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._prefix = ""
        self._plans: dict[type[Event], _Plan] = {}

    def __call__(self, logger: Any, level: str, given: EventDict) -> EventDict:
        event = given["event"]
        kind = type(event)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = _Plan(kind)
        line: EventDict = {"timestamp": self._timestamp(), "level": level, "event": plan.name}
        if kind.number:
            line["event_id"] = kind.number
        for name, default, shown in plan.fields:
            value = getattr(event, name)
            if value != default:
                line[name] = value if shown is None else shown(value)
        return line

    def _timestamp(self) -> str:
        second, microsecond = divmod(int(self._clock() * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._prefix}.{microsecond:06}Z"


def _encode_json(logger: Any, level: str, line: EventDict) -> bytes:
    try:
        encoded = _encoder.encode(line)
    except UnicodeEncodeError:  # the name of a file, say, that is not UTF-8
        encoded = json.dumps(line).encode()
    if encoded.isascii() and b"\x7f" not in encoded:  # JSON has escaped the other controls
        return encoded
    return printable(encoded.decode()).encode()


def _make_printable(logger: Any, level: str, line: EventDict) -> EventDict:
    """Text that the renderer writes as it is; it writes lists as Python does, with escapes."""
    for name, value in line.items():
        if isinstance(value, str):
            # The renderer begins a traceback on a line of its own.
            line[name] = printable_lines(value) if name == "exception" else printable(value)
    return line


def _encode_text(logger: Any, level: str, line: Any) -> bytes:
    return str(line).encode()


class _Lossy:
    """Loses lines that cannot be written: a full disk under the log must not stop a daemon."""

    def __init__(self, output: FileIO) -> None:
        self._output = output

    def write(self, line: bytes) -> None:
        with suppress(OSError):
            self._output.write(line)

    def flush(self) -> None:
        """`output` has no buffer, in which a failed line would stay."""


def _open(file: str) -> FileIO:
    if not file:
        return FileIO(sys.stderr.fileno(), "wb", closefd=False)
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        return FileIO(file, "ab")
    except OSError as error:
        raise ConfigError(f"log.file: {file}: cannot be written: {error.strerror}") from None
