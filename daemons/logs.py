"""Sets up the log: one JSON object a line, or coloured text on a terminal."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tracebacks_shown if log.level == "debug" else _tracebacks_left_out,
        _show_values,
    ]
    if is_text:
        renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(
            colors=output.isatty(), sort_keys=False
        )
        processors = [*shared, renderer, _encode_text]
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
    """Ids as hexadecimal digits and codes by their names, as the commands show them."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()
        elif isinstance(value, Enum):
            event[key] = value.name
    return event


def _encode_json(logger: Any, method: str, event: EventDict) -> bytes:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return msgspec.json.encode({**first, **event}, enc_hook=repr)


def _encode_text(logger: Any, method: str, event: Any) -> bytes:
    return str(event).encode("utf-8", "backslashreplace")
