"""The client library: runs a `Logon` on real links, a device store and asyncio.

It decides nothing: it takes the steps that the logon returns, and reports their results to it. A
person sees, types and confirms through a `Surface`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from clients.licensed_device import LicensedDevice
from clients.logon import steps
from clients.logon.procedure import Logon, Phase
from clients.logon.route import Randomness
from clients.logon.steps import Finished, Host, Plan, Step
from clients.trust import FarmDialler
from clients.user_keys import KeyRefused, UserKeys
from tsproto import transport
from tsproto.connection import Closed, Event, Opened, Received, SessionBytes
from tsproto.errors import ErrorCode, PeerError
from tsproto.messages import LicenseRequest, PamPrompt, PamQuestion
from tsproto.opening import revoked
from tsproto.transport.tls import PLAIN_FINGERPRINT
from tsproto.user_proof import ED25519, Statement


class Surface(Protocol):
    """The side of a client that faces a person or a script."""

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        """The password; None makes the client give up."""

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        """Asks the user each question of the host's PAM; None makes the client give up."""

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        """The passphrase of an SSH key's file; None leaves the key. Raises KeyRefused when nobody
        can be asked."""

    def say(self, text: str) -> None:
        """Prints a line for a person, apart from the session's output."""

    def on_attached(self, attached: steps.Attached) -> None: ...

    def on_detached(self) -> None:
        """The session is no longer shown, and the client tries to return to it."""

    def on_output(self, data: bytes) -> bool:
        """Shows output of the session. False: send no more before `Client.resume_output`."""

    def on_input_wanted(self) -> None:
        """The session takes input again, after a `Client.send` that returned False."""


class Client:
    """One user's connection to a farm, from the first dial to the end of the session."""

    def __init__(
        self,
        plan: Plan,
        device: LicensedDevice,
        dialler: FarmDialler,
        surface: Surface,
        rng: Randomness,
        keys: UserKeys,
    ) -> None:
        self._keys = keys
        self._plan = plan
        self._device = device
        self._dialler = dialler
        self._surface = surface
        self._logon = Logon(plan, rng)
        self._host: Host | None = None
        self._link: transport.Link | None = None
        self._farm = ""
        self._to_sign: Statement | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Finished:
        """Connects, and returns when the session has ended. Raises TsfarmError when the device
        store fails, or the host is not trusted."""
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[Finished] = self._loop.create_future()
        try:
            self._tell(self._logon.start)
            return await self._done
        finally:
            await self._leave()

    # --- for the surface ------------------------------------------------------------------------

    @property
    def is_attached(self) -> bool:
        return self._logon.phase is Phase.SESSION

    def send(self, data: bytes) -> bool:
        """Sends input to the session; dropped while none is shown. False: send no more before
        `on_input_wanted`."""
        if self._link is None or not self.is_attached:
            return True
        return self._link.send_session_bytes(data)

    def resume_output(self) -> None:
        if self._link is not None:
            self._link.resume_reading()

    def resize(self, columns: int, rows: int) -> None:
        self._tell(lambda now: self._logon.resize(columns, rows))

    @property
    def host(self) -> Host | None:
        """The host that was dialled last; it runs the session that is shown."""
        return self._host

    def disconnect(self) -> None:
        """Leaves the session; it goes on running."""
        self._tell(self._logon.disconnect)

    def log_off(self) -> None:
        """Ends the session that is shown, and its programs."""
        self._tell(self._logon.log_off)

    def cancel(self) -> None:
        self._tell(lambda now: self._logon.cancel())

    # --- for the link ---------------------------------------------------------------------------

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            if link is not self._link:
                return
            match event:
                case Opened():
                    seen = self._seen(link, event)
                    self._farm = seen.farm
                    self._tell(partial(self._logon.on_opened, seen))
                case Received(message):
                    self._tell(partial(self._logon.on_message, message))
                case SessionBytes(data):
                    if not self._surface.on_output(data):
                        link.pause_reading()
                case Closed():
                    self._on_closed(event)
                case _:
                    pass

    def on_writable(self, link: transport.Link) -> None:
        if link is self._link:
            self._surface.on_input_wanted()

    def _seen(self, link: transport.Link, opened: Opened) -> steps.Seen:
        certified = link.peer_identity
        farm = opened.farm if certified is None else certified.farm
        return steps.Seen(
            farm=farm,
            server=opened.name if certified is None else certified.name,
            certificate=link.peer_certificate or PLAIN_FINGERPRINT,
            device_id=self._device.key.device_id,
            asks_secrets=certified is not None and certified.asks_secrets,
            hashing=self._keys.known_hashing(farm, self._plan.user_name),
        )

    def _on_closed(self, closed: Closed) -> None:
        self._link = None
        detail = closed.detail or closed.code.meaning
        if closed.trace_id and closed.trace_id not in detail:
            detail = f"{detail} (trace {closed.trace_id})"
        hint = closed.retry_after_seconds
        self._tell(lambda now: self._logon.on_closed(closed.code, detail, hint, now))

    # --- steps ----------------------------------------------------------------------------------

    def _tell(self, tell: Callable[[float], list[Step]]) -> None:
        if self._done.done():
            return
        try:
            todo = deque(tell(self._loop.time()))
            while todo:
                todo.extend(self._take(todo.popleft()))
        except Exception as error:
            self._fail(error)
            return
        if self._link is not None:
            self._link.flush()
        self._arm()

    def _take(self, step: Step) -> list[Step]:
        """Takes one step; returns the steps that follow at once."""
        now = self._loop.time()
        match step:
            case steps.DialHost(host, redirected):
                self._hang_up(ErrorCode.NORMAL, "")
                self._host = host
                self._start(self._dial(host, redirected))
            case steps.HangUp(code, detail):
                self._hang_up(code, detail)
            case steps.ShowLicense(request):
                return self._show_license(request, now)
            case steps.StoreLicense(token, certificate):
                stored = self._device.store_license(self._farm, token, certificate)
                return self._logon.on_stored(stored, now)
            case steps.StoreDenyList(signed):
                return self._store_deny_list(signed, now)
            case steps.AskPassword(again):
                self._start(self._ask_password(again))
            case steps.SignWithPassword(statement, password):
                self._to_sign = statement
                self._start(self._sign_with_password(statement, password))
            case steps.SignWithSshKey(statement, fingerprint):
                self._to_sign = statement
                self._start(self._sign_with_ssh_key(statement, fingerprint))
            case steps.SignWithDevice(statement):
                key = self._device.key
                signature = key.public_key + key.sign(statement.signed_bytes())
                return self._logon.on_signed(ED25519, signature, now)
            case steps.AnswerPam(prompt):
                self._start(self._answer_pam(prompt))
            case steps.RememberHashing(hashing):
                self._keys.remember_hashing(self._farm, self._plan.user_name, hashing)
            case steps.Told(text):
                self._surface.say(text)
            case steps.Send(message):
                if self._link is not None:
                    self._link.send(message)
            case steps.Attached():
                self._surface.on_attached(step)
            case Finished():
                self._done.set_result(step)
            case steps.Licensed(_, _, notice) if notice:
                self._surface.say(notice)
            case steps.Redirected(host):
                self._surface.say(f"redirected to {host}")
            case steps.Waiting():
                self._report(step)
            case _:
                pass
        return []

    def _report(self, waiting: steps.Waiting) -> None:
        if waiting.reconnecting:
            self._surface.on_detached()
        doing = "reconnecting" if waiting.reconnecting else "trying again"
        why = waiting.detail or waiting.code.meaning
        self._surface.say(f"{why}; {doing} in {waiting.seconds:.0f} s, Ctrl-C gives up")

    def _show_license(self, request: LicenseRequest, now: float) -> list[Step]:
        assert self._link is not None
        shown = self._link.peer_certificate or PLAIN_FINGERPRINT
        info = self._device.license_info(self._farm, request, shown, self._plan.user_name)
        return self._logon.on_license_info(info, now)

    def _store_deny_list(self, signed: bytes, now: float) -> list[Step]:
        if self._link is None or not self._dialler.take_deny_list(self._link, signed, time.time()):
            return []
        code, certificate = ErrorCode.CERTIFICATE_REVOKED, self._link.peer_certificate
        detail = revoked(str(self._host), certificate)
        self._hang_up(code, detail)
        return self._logon.on_closed(code, detail, 0, now)

    def _hang_up(self, code: ErrorCode, detail: str) -> None:
        if self._link is not None:
            self._link.close(code, detail)
            closing = self._loop.create_task(self._link.wait_closed())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._link = None

    # --- what takes a while -----------------------------------------------------------------------

    async def _dial(self, host: Host, redirected: bool) -> None:
        try:
            link = await self._dialler.dial(host, self, redirected)
        except PeerError as failed:
            code, detail = failed.code, failed.detail
            self._tell(lambda now: self._logon.on_unreachable(code, detail, now))
        else:
            self._link = link
            if self._done.done():
                self._hang_up(ErrorCode.NORMAL, "")

    async def _ask_password(self, again: bool) -> None:
        host = str(self._host)
        password = await self._surface.ask_password(self._plan.user_name, host, again)
        if password is None:
            self._tell(lambda now: self._logon.cancel())
        else:
            self._tell(lambda now: self._logon.on_password(password, now))

    async def _sign_with_password(self, statement: Statement, password: bytes | None) -> None:
        signature = await self._keys.sign_with_password(statement, password)
        self._on_signed(statement, ED25519, signature)

    async def _sign_with_ssh_key(self, statement: Statement, fingerprint: bytes) -> None:
        try:
            algorithm, signature = await self._keys.sign_with_ssh_key(statement, fingerprint)
        except KeyRefused as refused:
            detail = str(refused)
            self._tell(lambda now: self._logon.on_not_signed(fingerprint, detail, now))
        else:
            self._on_signed(statement, algorithm, signature)

    def _on_signed(self, statement: Statement, algorithm: str, signature: bytes) -> None:
        """A key that was touched late has signed for a challenge that another has followed."""
        if statement is self._to_sign:
            self._tell(lambda now: self._logon.on_signed(algorithm, signature, now))

    async def _answer_pam(self, prompt: PamPrompt) -> None:
        for notice in prompt.notices:
            self._surface.say(notice)
        answers = await self._surface.answer(prompt.prompts)
        if answers is None:
            self._tell(lambda now: self._logon.cancel())
        else:
            self._tell(lambda now: self._logon.on_pam_answers(prompt.round, answers, now))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._logon.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tell, self._logon.on_deadline)

    async def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._hang_up(ErrorCode.NORMAL, "")
        await asyncio.gather(*self._closing)
