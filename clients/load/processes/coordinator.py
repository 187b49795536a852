"""Runs a load: starts the workers, gives them a common start, adds up their reports.

Ctrl-C or SIGTERM ends a run early and in good order, a second one at once. Reports that have come
are kept either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from clients.load.measuring.totals import Glimpse, Totals
from clients.load.processes.assignment import Assignment, Measured, Ready, Report, Violated
from clients.load.processes.worker_process import WorkerProcess

START_SECONDS = 0.1  # from the last Ready to the start: more than a message takes
GLIMPSE_SECONDS = 0.5
# How long a worker may take to stop: to close its links, and to log off its users at a rate that
# the farm can bear.
STOP_SECONDS = 20.0
USERS_LOGGED_OFF_A_SECOND = 20


class Coordinator:
    """One run. `stopped_by` is the signal that ended it early, 0 for none; `violations` are pairs
    of a rule and a detail, as they came."""

    def __init__(
        self,
        assignments: Sequence[Assignment],
        totals: Totals,
        *,
        show: Callable[[Glimpse], None],
        say: Callable[[str], None],
    ) -> None:
        self.stopped_by = 0
        self.started_at = time.time()
        self.violations: list[tuple[str, str]] = []
        self._totals = totals
        self._show = show
        self._workers = [
            WorkerProcess(assignment, self._on_report, say) for assignment in assignments
        ]
        self._not_ready = len(self._workers)
        self._all_ready = asyncio.Event()

    async def run(self) -> None:
        """Return when all workers have ended. Raises WorkerFailed when one of them failed."""
        with self._stopped_by_signals():
            working = [asyncio.create_task(worker.run()) for worker in self._workers]
            beside = [asyncio.create_task(self._start()), asyncio.create_task(self._keep_showing())]
            try:
                await asyncio.gather(*working)
            finally:
                for task in beside:
                    task.cancel()
                self._stop()
                await asyncio.gather(*working, return_exceptions=True)
        self._show(self._totals.now())

    async def _start(self) -> None:
        await self._all_ready.wait()
        self.started_at = time.time() + START_SECONDS
        at = time.monotonic() + START_SECONDS
        for worker in self._workers:
            worker.start(at)

    async def _keep_showing(self) -> None:
        await self._all_ready.wait()
        while True:
            await asyncio.sleep(GLIMPSE_SECONDS)
            self._show(self._totals.now())

    def _on_report(self, report: Report) -> None:
        match report:
            case Ready():
                self._not_ready -= 1
                if not self._not_ready:
                    self._all_ready.set()
            case Measured(interval):
                self._totals.add(interval)
            case Violated(rule, detail):
                self.violations.append((rule, detail))
            case _:  # its WorkerProcess handles the last report
                pass

    @contextlib.contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        ending = (signal.SIGINT, signal.SIGTERM)
        for number in ending:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in ending:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self.stopped_by:
            for worker in self._workers:
                worker.kill()
        self.stopped_by = number
        self._stop()

    def _stop(self) -> None:
        for worker in self._workers:
            worker.stop(STOP_SECONDS + worker.users / USERS_LOGGED_OFF_A_SECOND)
