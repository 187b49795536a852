"""Sets up the log: one JSON object a line, or coloured text on a terminal."""

from __future__ import annotations

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
from typing import Any, BinaryIO, cast

import msgspec
import structlog

from daemons.config import ConfigError
from daemons.settings import Log

EventDict = MutableMapping[str, Any]

_PLAIN = frozenset({str, int, float, bool, list, type(None)})
_encoder = msgspec.json.Encoder(enc_hook=repr)


@contextmanager
def configured(log: Log) -> Iterator[None]:
    """Meanwhile everything that is logged goes where `log` says; raises ConfigError."""
    with _open(log.file) as output:
        _configure(log, output)
        yield


def _configure(log: Log, output: FileIO) -> None:
    is_text = log.format == "text" or (log.format == "auto" and output.isatty())
    level = getLevelNamesMapping()[log.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _Stamp(time.time),
        _tracebacks_shown if log.level == "debug" else _tracebacks_left_out,
    ]
    if is_text:
        renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(
            colors=output.isatty(), sort_keys=False
        )
        processors = [*shared, _show_values, renderer, _encode_text]
    else:
        processors = [*shared, _encode_json]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, _Lossy(output))),
        cache_logger_on_first_use=False,
    )


def report_fault(error: BaseException) -> None:
    """Log a fault of our own, and the way to it, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    structlog.get_logger().critical(
        "daemon.broken",
        error=f"{type(error).__name__}: {error}",
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        exc_info=error,
    )


class _Stamp:
    """Adds the time in UTC, to the microsecond, as ISO 8601 writes it. The date and the second are
    written once a second: a daemon under load notes thousands of lines in it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._prefix = ""

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        second, microsecond = divmod(int(self._clock() * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        event["timestamp"] = f"{self._prefix}.{microsecond:06}Z"
        return event


class _Lossy:
    """A log that cannot be written must not stop a daemon: a line is lost instead."""

    def __init__(self, output: FileIO) -> None:
        self._output = output

    def write(self, line: bytes) -> None:
        with suppress(OSError):
            self._output.write(line)

    def flush(self) -> None:
        """Nothing is kept back: `output` has no buffer, in which a failed line would stay."""


def _open(file: str) -> FileIO:
    if not file:
        return FileIO(sys.stderr.fileno(), "wb", closefd=False)
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        return FileIO(file, "ab")
    except OSError as error:
        raise ConfigError(f"log.file: {file}: cannot be written: {error.strerror}") from None


def _tracebacks_shown(logger: Any, method: str, event: EventDict) -> EventDict:
    return structlog.processors.format_exc_info(logger, method, event)


def _tracebacks_left_out(logger: Any, method: str, event: EventDict) -> EventDict:
    """A traceback is for whoever looks for a fault of ours, and has set the level to debug."""
    event.pop("exc_info", None)
    return event


def _show_values(logger: Any, method: str, event: EventDict) -> EventDict:
    return {key: _shown(value) for key, value in event.items()}


def _shown(value: object) -> object:
    """Ids as hexadecimal digits and codes by their names, as the commands show them."""
    if isinstance(value, bytes):
        return value.hex()
    return value.name if isinstance(value, Enum) else value


def _encode_json(logger: Any, method: str, event: EventDict) -> bytes:
    line = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    for key, value in event.items():
        line[key] = value if type(value) in _PLAIN else _shown(value)
    return _encoder.encode(line)


def _encode_text(logger: Any, method: str, event: Any) -> bytes:
    return str(event).encode("utf-8", "backslashreplace")
