"""Small files that survive a crash: replaced whole, one writer at a time.

A reader sees the old content or the new one, never a part; what was replaced is on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tsproto.errors import TsfarmError

FILE_BYTES_MAX = 64 * 1024  # of one key, license, name or certificate; a larger file is not ours


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
        raise DeviceStoreError(f"{file} is larger than {bytes_max} bytes, so not ours: move it")
    return content


def replace(file: Path, content: bytes) -> None:
    """Durable when it returns. Under the folder's lock, so the new file's name is free; what a
    crash left under that name is overwritten."""
    fresh = file.with_name(f".{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as opened:
        os.fchmod(descriptor, 0o600)
        opened.write(content)
        opened.flush()
        os.fsync(descriptor)
    os.replace(fresh, file)
    sync_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Durable, for its owner alone; the parent exists."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; waits while one of them writes."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of an operating system's error which file it was, and what helps."""
    try:
        yield
    except OSError as error:
        raise DeviceStoreError(
            f"the device store cannot use {error.filename or path}: {error.strerror}; see to its"
            " permissions and to the disk, or name another folder with --store"
        ) from None
