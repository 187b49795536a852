"""Limits how many new devices a terminal server may bring in a minute.

Each new device takes room in the ledger for ever: one faulty terminal server must not fill it.
"""

from __future__ import annotations

import math

import msgspec

from tsproto import limits

WINDOW_SECONDS = 60.0


class _Window(msgspec.Struct, gc=False):
    began_at: float
    devices: int = 0


class Newcomers:
    """Counts TEMPORARY_PER_SERVER_PER_MINUTE for each terminal server, in windows of a minute that
    begin with its first new device."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def admit(self, terminal_server: str, now: float) -> int:
        """Count one more device: 0, or at the limit the whole seconds until one may come again."""
        window = self._windows.get(terminal_server)
        if window is None or now >= window.began_at + WINDOW_SECONDS:
            self._forget_old(now)
            window = self._windows[terminal_server] = _Window(now)
        if window.devices >= limits.TEMPORARY_PER_SERVER_PER_MINUTE:
            return max(1, math.ceil(window.began_at + WINDOW_SECONDS - now))
        window.devices += 1
        return 0

    def _forget_old(self, now: float) -> None:
        self._windows = {
            name: window
            for name, window in self._windows.items()
            if now < window.began_at + WINDOW_SECONDS
        }
