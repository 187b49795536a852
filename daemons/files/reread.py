"""Files that are read again when they have changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from tsproto.errors import TsfarmError

T = TypeVar("T")


class Reread(Generic[T]):
    """The content of one file. `read` raises TsfarmError when it cannot be used: at the start to
    the caller; later `on_fault` is told why, and what was read before stays valid."""

    def __init__(
        self, path: Path, read: Callable[[Path], T], on_fault: Callable[[str], None]
    ) -> None:
        self._path = path
        self._read = read
        self._on_fault = on_fault
        self._version = _version(path)
        self._content = read(path)

    def content(self) -> T:
        version = _version(self._path)
        if version != self._version:
            self._version = version
            try:
                self._content = self._read(self._path)
            except TsfarmError as error:
                self._on_fault(str(error))
        return self._content


def _version(path: Path) -> tuple[int, int, int] | None:
    """A value that changes with the file; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
