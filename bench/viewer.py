"""The client library without a person: types the password, and hands the output to a bench."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import msgspec

from bench.farm import PASSWORD
from clients.client import Client
from clients.licensed_device import LicensedDevice
from clients.load.visitors.devices import LicensesInMemory
from clients.logon import steps
from clients.logon.steps import Finished, Host, Plan
from clients.trust import FarmDialler
from tsproto.errors import TsfarmError
from tsproto.identity import DeviceKey

PATIENCE_SECONDS = 60.0


class ViewingFailed(TsfarmError):
    """The client ended before the awaited event."""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A logon: user, hosts and application. `authority` is the farm's, PEM."""

    hosts: tuple[Host, ...]
    authority: bytes
    user: str
    application: str
    password: bytes = PASSWORD


def device_in_memory(name: str = "bench") -> LicensedDevice:
    """A new device in memory, so that no disk is measured."""
    return LicensedDevice(DeviceKey.from_seed(secrets.token_bytes(32)), name, LicensesInMemory())


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


class Viewer:
    """Dials when made. `take` gets the session's output in pieces.

    `attached` and `shown_at` (the first byte's `time.perf_counter()`) can be awaited; they fail
    when the client ends first.
    """

    def __init__(
        self, seat: Seat, device: LicensedDevice, take: Callable[[bytes], None] = lambda data: None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.take = take
        self.attached: asyncio.Future[steps.Attached] = loop.create_future()
        self.shown_at: asyncio.Future[float] = loop.create_future()
        self._password = seat.password
        plan = Plan(
            hosts=seat.hosts,
            user_name=seat.user,
            application=seat.application,
            password_attempts=1,
            reconnect_seconds=0.0,
        )
        dialler = FarmDialler(device.name, seat.authority)
        self.dialled_at = time.perf_counter()
        self._client = Client(plan, device, dialler, self, secrets.SystemRandom())
        self._running = loop.create_task(self._client.run())
        self._running.add_done_callback(self._on_end)

    def send(self, data: bytes) -> None:
        self._client.send(data)

    def expect(self, mark: bytes) -> asyncio.Future[int]:
        """Awaits the mark; its result is the number of bytes from now on, the mark included."""
        awaited = Mark(mark)
        self.take = awaited.take
        return awaited.came

    async def first_byte_seconds(self) -> float:
        """From the dial to the first byte that the session shows."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.shown_at - self.dialled_at

    async def ended(self) -> Finished:
        """Wait for the end of session or client."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._running

    async def ended_by_program(self) -> None:
        """As `ended`; raises ViewingFailed for any other end."""
        finished = await self.ended()
        if finished.outcome is not steps.Outcome.ENDED:
            raise ViewingFailed(_words_of(finished))

    async def disconnect(self) -> None:
        """Leave the session running."""
        self._client.disconnect()
        await self.ended()

    async def log_off(self) -> None:
        self._client.log_off()
        await self.ended()

    # --- for the client ---------------------------------------------------------------------------

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        return self._password

    def say(self, text: str) -> None:
        """Messages to a person are dropped."""

    def on_attached(self, attached: steps.Attached) -> None:
        if not self.attached.done():
            self.attached.set_result(attached)

    def on_detached(self) -> None:
        """Lost sessions are not looked for."""

    def on_output(self, data: bytes) -> bool:
        if not self.shown_at.done():
            self.shown_at.set_result(time.perf_counter())
        self.take(data)
        return True

    def on_input_wanted(self) -> None:
        """Input is short."""

    def _on_end(self, running: asyncio.Task[Finished]) -> None:
        if running.cancelled():
            why = "cancelled"
        elif error := running.exception():
            why = str(error)
        else:
            why = _words_of(running.result())
        for awaited in (self.attached, self.shown_at):
            if not awaited.done():
                awaited.set_exception(ViewingFailed(why))
                awaited.exception()  # read, so that asyncio does not log it


def _words_of(finished: Finished) -> str:
    return f"{finished.code.name}: {finished.detail or finished.code.meaning}"
