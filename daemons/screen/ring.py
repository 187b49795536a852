"""The most recent output of a session, in memory that outlives the terminal server.

The keeper creates a ring as an anonymous file and passes its descriptor with the PTY's. The
terminal server maps it and writes the PTY's output to it. After a `kill -9` the next terminal
server maps the same pages. There is one writer at a time.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

_WRITTEN = struct.Struct("=Q")  # bytes written since the session began
_FEEDING = _WRITTEN.size  # one byte: not 0 while a screen emulator works on the output
HEADER_BYTES = 64  # a cache line; the output follows


def create_ring(capacity: int) -> int:
    """Descriptor of a new ring of `capacity` bytes, which take memory only when written."""
    descriptor = os.memfd_create("tsfarm-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, HEADER_BYTES + capacity)
    # If the file shrank, access to its mapping would kill the process (SIGBUS).
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


class Ring:
    def __init__(self, descriptor: int) -> None:
        """Maps the ring; the caller must close `descriptor`."""
        self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._capacity = len(self._map) - HEADER_BYTES
        # Reading through the mapping would take a page, and many sessions print nothing yet.
        header = os.pread(descriptor, HEADER_BYTES, 0)
        self._written: int = _WRITTEN.unpack_from(header, 0)[0]
        self._is_feeding = header[_FEEDING] != 0

    @property
    def capacity(self) -> int:
        """In bytes."""
        return self._capacity

    @property
    def end(self) -> int:
        """Bytes written since the session began: the offset of the next one."""
        return self._written

    @property
    def begin(self) -> int:
        """The offset of the oldest byte in the ring."""
        return max(0, self._written - self._capacity)

    @property
    def is_empty(self) -> bool:
        return self._written == 0

    @property
    def feeding(self) -> bool:
        """Set during each call into an emulator of native code. If a new terminal server finds it
        set, the old one ended during such a call, perhaps because of it."""
        return self._is_feeding

    @feeding.setter
    def feeding(self, value: bool) -> None:
        self._is_feeding = value
        self._map[_FEEDING] = value

    def write(self, data: bytes) -> None:
        kept = data[-self._capacity :]
        start = (self._written + len(data) - len(kept)) % self._capacity
        head = min(len(kept), self._capacity - start)
        self._map[HEADER_BYTES + start : HEADER_BYTES + start + head] = kept[:head]
        self._map[HEADER_BYTES : HEADER_BYTES + len(kept) - head] = kept[head:]
        self._written += len(data)
        # Count last: a crash before this loses the newest output, and damages at most the oldest.
        _WRITTEN.pack_into(self._map, 0, self._written)

    def read(self, start: int, end: int) -> bytes:
        """The output from offset `start` to `end`, all of which must be in the ring."""
        first = start % self._capacity
        head = min(end - start, self._capacity - first)
        tail = end - start - head
        return (
            self._map[HEADER_BYTES + first : HEADER_BYTES + first + head]
            + self._map[HEADER_BYTES : HEADER_BYTES + tail]
        )

    def contents(self) -> bytes:
        """All output in the ring, oldest first."""
        return self.read(self.begin, self.end)

    def line_from(self, offset: int) -> int:
        """The offset where the next line after `offset` begins; `offset` if no line ends there."""
        if offset == 0:
            return 0
        return offset + self.read(offset, self.end).find(b"\n") + 1

    def close(self) -> None:
        self._map.close()
