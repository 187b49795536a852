"""A real keeper for one test, and the means to talk to it and to end it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import select
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from daemons.effects import ProgramFailed
from daemons.keeper.client import HeldProgram, KeeperClient
from daemons.keeper.messages import Program

DASH = ("/bin/dash",)  # unlike bash it opens no terminal by itself
RING_BYTES = 4096


@contextlib.contextmanager
def folder_with_keeper(folder: Path) -> Iterator[Path]:
    """Ends the keeper that was started there, and all its sessions."""
    try:
        yield folder
    finally:
        if (pid := keeper_pid(folder)) is not None:
            end_process(pid, signal.SIGTERM)


def keeper_pid(folder: Path) -> int | None:
    try:
        return int((folder / "keeper.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def end_process(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
            assert is_readable(pidfd, 20), f"process {pid} goes on"
        finally:
            os.close(pidfd)


@contextlib.contextmanager
def room_for_descriptors(count: int) -> Iterator[None]:
    """This process can open so many more, and then no other."""
    names = os.listdir("/proc/self/fd")
    used = {int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}")}
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, count, None))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_readable(descriptor: int, seconds: float) -> bool:
    """Within so many seconds; of a pidfd it says that the process has ended."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def wait_until_gone(path: Path) -> None:
    """Until nothing lies there any more; poll of a file that another process removes."""
    deadline = time.monotonic() + 20
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        select.select([], [], [], 0.01)


class Terminal:
    """The user's end of a PTY, read as far as a text that must come."""

    def __init__(self, held: HeldProgram) -> None:
        self.pid = held.pid
        self._held = held
        self.output = b""

    def type(self, text: bytes) -> None:
        os.write(self._held.master, text)

    def until(self, text: bytes) -> bytes:
        """All output up to `text`, which is consumed."""
        deadline = time.monotonic() + 20
        while text not in self.output:
            assert select.select([self._held.master], [], [], deadline - time.monotonic())[0], (
                f"no {text!r} in {self.output!r}"
            )
            try:
                self.output += os.read(self._held.master, 65536)
            except OSError as error:
                raise AssertionError(f"no {text!r} in {self.output!r}: {error}") from None
        before, self.output = self.output.split(text, 1)
        return before

    def close(self) -> None:
        self._held.close()


class Keeping:
    """A client of the keeper, its notices, and the terminals that it opened."""

    def __init__(self, folder: Path, **options: float) -> None:
        self.ended: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.client = KeeperClient(
            folder,
            on_ended=lambda session_id, status: self.ended.put_nowait((session_id, status)),
            on_lost=self.lost.set,
            **options,
        )
        self._terminals: list[Terminal] = []

    async def start(self, session_id: int = 1, *, columns: int = 80, **given: object) -> Terminal:
        started = await self.client.start(program(session_id, **given), columns, 24, RING_BYTES)
        return self._opened(started)

    async def fetch(self, session_id: int = 1) -> Terminal:
        return self._opened(await self.client.fetch(session_id))

    def _opened(self, started: HeldProgram | ProgramFailed) -> Terminal:
        assert isinstance(started, HeldProgram), started
        terminal = Terminal(started)
        self._terminals.append(terminal)
        return terminal

    def close(self) -> None:
        self.client.close()
        for terminal in self._terminals:
            terminal.close()


def program(session_id: int = 1, **given: object) -> Program:
    """A shell as this process's user, whoever that is."""
    usual: dict[str, object] = {"system_user": "", "allow_root": True, "shell": DASH}
    return Program(**{"session_id": session_id, **usual, **given})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def keeping(folder: Path, **options: float) -> AsyncIterator[Keeping]:
    kept = Keeping(folder, **options)
    try:
        await kept.client.connect()
        yield kept
    finally:
        kept.close()
