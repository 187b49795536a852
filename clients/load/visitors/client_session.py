"""A client that a program operates: typed input, expected output, and the end of the connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from clients.client import Client
from clients.licensed_device import LicensedDevice
from clients.load.visitors.watches import Watch
from clients.logon import steps
from clients.logon.route import Randomness
from clients.logon.steps import Finished, Host, Plan
from clients.trust import FarmDialler, UntrustedFarm
from clients.user_keys import UserKeys
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import PamQuestion


class StepFailed(TsfarmError):
    """The expected event did not come; `code` says why."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(detail or code.meaning)
        self.code = code


class DeviceFailed(StepFailed):
    """The device could not keep its license, or got another device's."""


class ClientSession:
    """One user at one client, from the dial to the end of the connection.

    The client runs from the start. A caller waits for one event at a time; StepFailed is raised
    when it does not come within `patience_seconds` (UNANSWERED) or the connection ends first. The
    password is given once. Without a password the client leaves when it is asked for it: its device
    is licensed then.
    """

    def __init__(
        self,
        plan: Plan,
        password: bytes | None,
        device: LicensedDevice,
        dialler: FarmDialler,
        rng: Randomness,
        keys: UserKeys,
        patience_seconds: float,
    ) -> None:
        self.patience_seconds = patience_seconds
        self._password = password
        self._loop = asyncio.get_running_loop()
        self._watches: deque[Watch] = deque()
        self._came: asyncio.Future[None] = self._loop.create_future()
        self._failure: BaseException | None = None
        self.came_at = 0.0
        """When the last expected event came, in seconds of `time.monotonic()`."""
        self._attached: steps.Attached | None = None
        self._client = Client(plan, device, dialler, self, rng, keys)
        self._running = self._loop.create_task(self._client.run())
        self._running.add_done_callback(self._on_end)

    @property
    def is_attached(self) -> bool:
        return self._client.is_attached

    @property
    def shown(self) -> steps.Attached:
        """The attached session; call it after `begun`."""
        assert self._attached is not None
        return self._attached

    @property
    def host(self) -> Host:
        """The host that was dialled."""
        assert self._client.host is not None
        return self._client.host

    async def begun(self) -> None:
        """Wait until the session is attached; without a password, until the device is licensed."""
        await self._wait(self.patience_seconds)

    # --- while a session is shown -----------------------------------------------------------------

    def type(self, keys: str) -> None:
        self._client.send(keys.encode())

    def expect(self, *watches: Watch) -> None:
        """Look for these from now on, one after the other; `seen` waits for the last."""
        self._watches = deque(watches)
        self._came = self._loop.create_future()
        if self._failure is not None:
            self._fail(self._failure)

    @property
    def is_over(self) -> bool:
        """True when `seen` would return or raise at once."""
        return self._came.done()

    async def seen(self, longer_seconds: float = 0.0) -> None:
        """Wait for the last watch of `expect`, `longer_seconds` beyond the usual patience."""
        await self._wait(self.patience_seconds + longer_seconds)

    async def disconnect(self) -> None:
        self._client.disconnect()
        await self._ended(ErrorCode.DISCONNECTED_BY_USER, self.patience_seconds)

    async def log_off(self) -> None:
        self._client.log_off()
        await self._ended(ErrorCode.LOGGED_OFF, self.patience_seconds)

    async def lasts(self, seconds: float) -> None:
        """Wait; raises StepFailed when the connection ends meanwhile."""
        done, _ = await asyncio.wait((self._running,), timeout=seconds)
        if done:
            await self._ended(ErrorCode.NORMAL, 0.0)

    async def hang_up(self) -> None:
        """Cut the connection. An attached session goes on."""
        self._running.cancel()
        await asyncio.wait((self._running,))

    # --- for the client ---------------------------------------------------------------------------

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        if self._password is None:
            self._tell()
        return self._password

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        """PAM has no place in a run: the logon ends."""
        return None

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        """No SSH keys are used."""
        return None

    def say(self, text: str) -> None:
        """Messages to a person are dropped."""

    def on_attached(self, attached: steps.Attached) -> None:
        self._attached = attached
        self._tell()

    def on_detached(self) -> None:
        """Lost sessions are not looked for: the connection ends."""

    def on_output(self, data: bytes) -> bool:
        now = time.monotonic()
        rest: bytes | None = data
        while rest and self._watches:
            rest = self._watches[0].feed(rest, now)
            if rest is not None:
                self._watches.popleft()
                if not self._watches:
                    self._tell()
        return True

    def on_input_wanted(self) -> None:
        """Typed input is short."""

    # --- within -----------------------------------------------------------------------------------

    def _tell(self) -> None:
        self.came_at = time.monotonic()
        if not self._came.done():
            self._came.set_result(None)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._came
        except TimeoutError:
            raise StepFailed(ErrorCode.UNANSWERED) from None

    async def _ended(self, expected: ErrorCode, seconds: float) -> None:
        await asyncio.wait((self._running,), timeout=seconds)
        if not self._running.done():
            raise StepFailed(ErrorCode.UNANSWERED)
        failure = _failure_of(self._running)
        if not isinstance(failure, StepFailed) or failure.code is not expected:
            raise failure

    def _on_end(self, running: asyncio.Task[Finished]) -> None:
        self._failure = _failure_of(running)
        self._fail(self._failure)

    def _fail(self, failure: BaseException) -> None:
        if not self._came.done():
            self._came.set_exception(failure)
            self._came.exception()  # read, so that asyncio does not log it


def _failure_of(running: asyncio.Task[Finished]) -> BaseException:
    """The client's end as an error for a caller that waits for another event."""
    if running.cancelled():
        return StepFailed(ErrorCode.NORMAL)
    match running.exception():
        case None:
            return StepFailed(running.result().code)
        case UntrustedFarm() as error:
            return StepFailed(ErrorCode.WRONG_ROLE, str(error))
        case TsfarmError() as error:
            return DeviceFailed(ErrorCode.NOT_PERMITTED, str(error))
        case error:
            return error
