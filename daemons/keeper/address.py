"""Addresses of Unix sockets whose path is longer than the 107 bytes that the kernel allows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """A short name for `path`, valid for bind or connect inside the `with` block."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
