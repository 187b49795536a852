"""How the C library gives this process memory."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
# What glibc begins with. Unless told, it raises it to the size of whatever larger block is freed.
LARGE_BYTES = 128 * 1024


def map_large_blocks() -> None:
    """Have each large block in fresh pages of its own, of which those never written cost nothing.

    A TLS connection has a buffer of 256 KiB of which it uses the beginning. Out of the heap it
    would be made of pages that others have written. Does nothing where the C library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
