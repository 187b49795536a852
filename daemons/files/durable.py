"""Files that survive a crash: replaced as a whole, and on the disk when the call returns.

A reader sees the old content or the new one, never a part of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def replace(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Durable when it returns. As root it keeps the owner that the file had. Raises OSError."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            if os.geteuid() == 0 and file.exists():
                old = file.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fsync(descriptor)
        os.replace(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable: new names, and those that were replaced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Durable, for its owner alone; the parent exists."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a folder, or a file that is made for it, against other processes; waits while one of
    them holds it. Home folders on NFS need a file: it locks no folders."""
    flags = os.O_RDONLY if lock.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(lock, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
