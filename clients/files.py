"""Reads the small files of a device's folder, with errors that name the file and the next step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tsproto.errors import TsfarmError

FILE_BYTES_MAX = 64 * 1024  # of a key, license, name or certificate; we write none as large


class DeviceStoreError(TsfarmError):
    """The device's folder cannot be used; the text names the file and the next step."""


def read(file: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """The file's content, or None where there is no file; raises DeviceStoreError."""
    with explained(file):
        try:
            with open(file, "rb") as opened:
                content = opened.read(bytes_max + 1)
        except FileNotFoundError:
            return None
    if len(content) > bytes_max:
        raise DeviceStoreError(f"{file} is larger than {bytes_max} bytes, not ours: move it away")
    return content


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an OSError within into a DeviceStoreError that names the file and the next step."""
    try:
        yield
    except OSError as error:
        raise DeviceStoreError(
            f"the device store cannot use {error.filename or path}: {error.strerror}; see to its"
            " permissions and to the disk, or name another folder with --store"
        ) from None
