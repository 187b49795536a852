"""Targets in process, under virtual time: the source of cases that `make test` plays."""

from __future__ import annotations

from collections.abc import Callable

from clients.conformance.target import Setup, Target
from tests.conformance.in_process import InProcess
from tests.conformance.in_process_kinds import Wrap, unwrapped
from tsproto.messages import Role


class InProcessSource:
    """Fresh targets are cheap here; what generated cases share is made anew after a failure."""

    def __init__(self, role: Role, *, all_points: bool = False, wrap: Wrap = unwrapped) -> None:
        self._make: Callable[[Setup], InProcess] = lambda setup: InProcess(
            role, setup, all_points=all_points, wrap=wrap
        )
        self._shared: dict[Setup, InProcess] = {}

    def target(self, setup: Setup, fresh: bool) -> Target:
        if fresh or setup is not Setup.RIGHT:
            return self._make(setup)
        if setup not in self._shared:
            self._shared[setup] = self._make(setup)
        return self._shared[setup]

    def done(self, target: Target, has_failed: bool) -> None:
        is_shared = any(target is shared for shared in self._shared.values())
        if has_failed:
            self._shared.clear()
        if has_failed or not is_shared:
            target.stop()

    def stop(self) -> None:
        for target in self._shared.values():
            target.stop()
        self._shared.clear()
