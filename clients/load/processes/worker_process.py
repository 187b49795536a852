"""A worker as the coordinator sees it: a process, a connection to it, and its last words."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from multiprocessing.connection import Connection

from clients.load.processes.assignment import Assignment, Ended, Failed, Report, Start, Stop
from clients.load.processes.channel import receive
from tsproto.errors import TsfarmError

COMMAND = (sys.executable, "-m", "clients.load.processes.worker")


class WorkerFailed(TsfarmError):
    """A worker could not do its part, or died; the text has its last words."""


class WorkerProcess:
    """One worker. `on_report` gets its reports, `say` the lines that it prints."""

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
        self._connection: Connection[object, Report] | None = None
        """None until the assignment is sent."""
        self._is_told_to_stop = False
        self._is_killed = False
        self._killing: asyncio.TimerHandle | None = None
        self._last_words = ""

    async def run(self) -> None:
        """Return when the process has ended; raises WorkerFailed unless it ended in good order."""
        ours, theirs = multiprocessing.Pipe()
        with ours:
            with theirs:
                # Ctrl-C does not reach it in a session of its own: the coordinator sends a Stop.
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(theirs.fileno()),
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            if self._is_killed:  # while the process was being made
                self.kill()
            try:
                last, _ = await asyncio.gather(self._talk(ours), self._listen(self._process))
                status = await self._process.wait()
            except BaseException:
                self.kill()
                raise
            finally:
                self._connection = None
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
        """End in good order; after `patience_seconds` the process is killed."""
        if self._is_told_to_stop:
            return
        self._is_told_to_stop = True
        self._tell(Stop())
        loop = asyncio.get_running_loop()
        self._killing = loop.call_later(patience_seconds, self.kill)

    def kill(self) -> None:
        """End at once: figures that the worker has not reported are lost."""
        self._is_killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _tell(self, message: Start | Stop) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # it has died: its last words say why
                self._connection.send(message)

    async def _talk(self, connection: Connection[object, Report]) -> Report | None:
        """Send the assignment, then hand on reports; gives the last of them."""
        with contextlib.suppress(OSError):
            # An assignment with many people fills the socket until the worker reads it.
            await asyncio.to_thread(connection.send, self._assignment)
        self._connection = connection
        if self._is_told_to_stop:
            self._tell(Stop())
        last: Report | None = None
        while (report := await receive(connection)) is not None:
            last = report
            self._on_report(report)
        return last

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._last_words = text
                self._say(text)

    def _how_it_ended(self, status: int) -> str:
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        words = f": {self._last_words}" if self._last_words else ""
        return f"worker {self._assignment.share} ended {how}{words}"
