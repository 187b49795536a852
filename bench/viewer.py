"""The client library without a person: its users have keys, and a bench gets the output."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from bench.farm import SECRET, Farm
from clients.licensed_device import LicensedDevice
from clients.load.processes.assignment import Person
from clients.load.visitors.client_session import ClientSession
from clients.load.visitors.devices import LicensesInMemory
from clients.load.visitors.keys import Keys
from clients.logon.steps import Plan
from clients.trust import FarmDialler
from tsproto.errors import ErrorCode
from tsproto.identity import DeviceKey

PATIENCE_SECONDS = 60.0


def device_in_memory(name: str = "bench") -> LicensedDevice:
    """A new device in memory, so that no disk is measured."""
    return LicensedDevice(DeviceKey(secrets.token_bytes(32)), name, LicensesInMemory())


class Mark:
    """Finds a mark at the end of the output; nothing may follow it."""

    def __init__(self, mark: bytes) -> None:
        self.came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._mark = mark
        self._tail = b""
        self._count = 0

    def take(self, data: bytes) -> None:
        self._count += len(data)
        size = len(self._mark)
        self._tail = (self._tail + data)[-size:] if len(data) < size else data[-size:]
        if self._tail == self._mark and not self.came.done():
            self.came.set_result(self._count)


class Viewer(ClientSession):
    """Dials when made. `take` gets the session's output in pieces."""

    def __init__(self, farm: Farm, plan: Plan, device: LicensedDevice) -> None:
        self.take: Callable[[bytes], None] = lambda data: None
        self._shown_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        dialler = FarmDialler(device.name, farm.authority)
        rng = secrets.SystemRandom()
        self.dialled_at = time.perf_counter()
        keys = Keys().of(Person(plan.user_name, SECRET, is_synthetic=True))
        super().__init__(plan, SECRET, device, dialler, rng, keys, PATIENCE_SECONDS)

    def send(self, data: bytes) -> None:
        self._client.send(data)

    def until(self, mark: bytes) -> asyncio.Future[int]:
        """Awaits the mark; its result is the number of bytes from now on, the mark included."""
        awaited = Mark(mark)
        self.take = awaited.take
        return awaited.came

    async def first_byte_seconds(self) -> float:
        """From the dial to the first byte that the session shows."""
        await self.begun()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._shown_at - self.dialled_at

    async def ended_by_program(self) -> None:
        """Wait for the end of the session's program; raises StepFailed for any other end."""
        await self._ended(ErrorCode.LOGGED_OFF, PATIENCE_SECONDS)

    def on_output(self, data: bytes) -> bool:
        if not self._shown_at.done():
            self._shown_at.set_result(time.perf_counter())
        self.take(data)
        return True
