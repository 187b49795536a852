"""Signal handlers of a running client."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Context manager: signal handlers on the running loop. `received` is the last signal that
    ended the client, 0 for none."""

    def __init__(self, on_end: Callable[[], None], **others: Callable[[], None]) -> None:
        self.received = 0
        self._on_end = on_end
        self._others = {signal.Signals[name]: call for name, call in others.items()}

    def __enter__(self) -> Signals:
        self._loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            self._loop.add_signal_handler(number, self._end, number)
        for number, call in self._others.items():
            self._loop.add_signal_handler(number, call)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in (*ENDING_SIGNALS, *self._others):
            self._loop.remove_signal_handler(number)

    def _end(self, number: int) -> None:
        self.received = number
        self._on_end()
