"""A worker as the coordinator has it: a process, its pipes, and its last words."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

import msgspec

from clients.load.processes import channel
from clients.load.processes.assignment import Assignment, Ended, Failed, Report, Start
from tsproto.errors import TsfarmError

COMMAND = (sys.executable, "-m", "clients.load.processes.worker")


class WorkerFailed(TsfarmError):
    """A worker could not do its part, or died; the text has its last words."""


class WorkerProcess:
    """One worker. `on_report` gets what it reports, `say` the lines that it prints."""

    def __init__(
        self,
        assignment: Assignment,
        on_report: Callable[[Report], None],
        say: Callable[[str], None],
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        self.users = len(assignment.people)
        self._assignment = assignment
        self._on_report = on_report
        self._say = say
        self._command = command
        self._process: Process | None = None
        self._is_told_to_stop = False
        self._is_killed = False
        self._killing: asyncio.TimerHandle | None = None
        self._last_words = ""

    async def run(self) -> None:
        """Until it has ended; raises WorkerFailed where it did not in good order."""
        # In a session of its own Ctrl-C does not reach it: it is told to stop.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        try:
            self._tell(self._assignment)
            if self._is_told_to_stop:
                self._hang_up()
            last, _ = await asyncio.gather(self._follow(), self._listen())
            status = await self._process.wait()
        except BaseException:
            self.kill()
            raise
        finally:
            if self._killing is not None:
                self._killing.cancel()
        if isinstance(last, Failed):
            raise WorkerFailed(last.detail)
        if not isinstance(last, Ended) and not self._is_killed:
            raise WorkerFailed(self._how_it_ended(status))

    def start(self, at: float) -> None:
        """Begin at this moment of CLOCK_MONOTONIC."""
        if not self._is_told_to_stop:
            self._tell(Start(at))

    def stop(self, patience_seconds: float) -> None:
        """End in good order; after `patience_seconds` be ended."""
        if self._is_told_to_stop:
            return
        self._is_told_to_stop = True
        self._hang_up()
        loop = asyncio.get_running_loop()
        self._killing = loop.call_later(patience_seconds, self.kill)

    def kill(self) -> None:
        """End it at once: what it has not reported is lost."""
        self._is_killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _tell(self, message: msgspec.Struct) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(channel.packed(message))

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _follow(self) -> Report | None:
        """Hand on its reports; gives the last of them."""
        assert self._process is not None and self._process.stdout is not None
        last: Report | None = None
        reports = self._process.stdout
        while (report := await channel.receive(reports, channel.REPORTS)) is not None:
            last = report
            self._on_report(report)
        return last

    async def _listen(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._last_words = text
                self._say(text)

    def _how_it_ended(self, status: int) -> str:
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        words = f": {self._last_words}" if self._last_words else ""
        return f"worker {self._assignment.share} ended {how}{words}"
