"""Shares out handshakes by address: before TLS nothing else is known of a peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator


class Handshakes:
    """At most `at_once` handshakes run, `per_address` of them from one address. Further ones of an
    address wait for its own, and hold up no other address."""

    def __init__(self, at_once: int, per_address: int) -> None:
        self.at_once = at_once
        self.unfinished: Counter[str] = Counter()  # by address, waiting ones included
        self._per_address = per_address
        self._all = asyncio.Semaphore(at_once)
        self._of_address: dict[str, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def turn(self, host: str, patience_seconds: float) -> AsyncIterator[None]:
        """Context manager: one handshake of this address. Raises TimeoutError when its turn does
        not come."""
        turns = self._of_address.setdefault(host, asyncio.Semaphore(self._per_address))
        self.unfinished[host] += 1
        try:
            async with contextlib.AsyncExitStack() as held:
                async with asyncio.timeout(patience_seconds):
                    await held.enter_async_context(turns)
                    await held.enter_async_context(self._all)
                yield
        finally:
            self.unfinished[host] -= 1
            if not self.unfinished[host]:
                del self.unfinished[host], self._of_address[host]
