"""Writes results to files: JSON for programs, a log for HdrHistogram's tools."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from clients.load.measuring.results import Result
from clients.load.measuring.totals import Totals
from daemons.files import durable
from tsproto.errors import TsfarmError
from tsproto.printable import printable_lines

LOG_FORMAT = "1.3"  # the first with tags
LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
NOT_IN_A_TAG = str.maketrans(dict.fromkeys(', "\r\n', "_"))


class NotWritten(TsfarmError):
    """A file of results cannot be written; the text says which, why, and the next step."""


def json_of(result: Result) -> bytes:
    """`passed`, and the result's fields; ends with a line break."""
    fields: dict[str, Any] = {"passed": result.passed, **msgspec.structs.asdict(result)}
    document = msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()
    return printable_lines(document).encode() + b"\n"


def hdr_of(totals: Totals, started_at: float = 0.0) -> str:
    """A histogram log: one line for each step that succeeded, its name as tag, its histogram in
    encoding V2.

    Values are microseconds, `Interval_Max` is milliseconds: for HdrHistogram's own tools, which
    expect nanoseconds, give `-outputValueUnitRatio 1000`.
    """
    when = datetime.fromtimestamp(started_at, UTC)
    began_at = max(0.0, totals.ended_at - totals.seconds)
    lines = [
        "#[Logged by tsfarm load; values are microseconds]",
        f"#[Histogram log format version {LOG_FORMAT}]",
        f"#[StartTime: {started_at:.3f} (seconds since epoch), {when:%Y-%m-%dT%H:%M:%SZ}]",
        f"#[BaseTime: {started_at:.3f} (seconds since epoch)]",
        LEGEND,
    ]
    for name, step in totals.steps.items():
        if step.count:
            longest = step.latencies.get_max_value() / 1e3
            encoded = step.latencies.encode().decode("ascii")
            tag = name.translate(NOT_IN_A_TAG)
            lines.append(f"Tag={tag},{began_at:.3f},{totals.seconds:.3f},{longest:.3f},{encoded}")
    return "\n".join(lines) + "\n"


def check_writable(paths: Iterable[Path]) -> None:
    """Call it before a run. Raises NotWritten."""
    taken: set[Path] = set()
    for path in paths:
        if path.is_dir():
            raise NotWritten(f"{path} is a folder: name a file in it")
        if not path.parent.is_dir():
            raise NotWritten(f"{path} cannot be written: there is no folder {path.parent}: make it")
        with _explained(path):
            _probe(path)
        if path.resolve() in taken:
            raise NotWritten(f"{path} is named twice: give each kind of results its own file")
        taken.add(path.resolve())


def make_folder(path: Path) -> None:
    """Raises NotWritten."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        _probe(path / "probe")
    except OSError as error:
        raise NotWritten(f"{path} cannot be used: {error.strerror}; name another folder") from None


def _probe(path: Path) -> None:
    """Makes a file beside it: permission bits do not show root a read-only disk. Raises OSError."""
    if not _is_written_into(path):
        tempfile.TemporaryFile(dir=path.parent).close()
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write(path: Path, content: bytes) -> None:
    """Durable when it returns. Pipes and terminals are written to. Raises NotWritten."""
    with _explained(path):
        if _is_written_into(path):
            path.write_bytes(content)
            return
        # Replaces the target of a symbolic link, not the link.
        durable.replace(path.resolve(), content, mode=0o666)


def _is_written_into(path: Path) -> bool:
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWritten(
            f"{path} cannot be written: {error.strerror}; see to the folder and the disk"
        ) from None
