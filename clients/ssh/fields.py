"""SSH's encoded fields, read one after the other (RFC 4251 5)."""

from __future__ import annotations


class Reader:
    """Takes fields from bytes. Raises ValueError when they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("the fields end too early")
        self._at += size
        return taken
