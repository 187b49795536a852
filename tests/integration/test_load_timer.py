"""Timers of a load run, on both loops: each calls back once, and only for its last moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from clients.load.pacing.pacer import Timer
from clients.load.processes.timer import KernelTimer, LoopTimer, timer

KINDS: dict[str, Callable[[asyncio.AbstractEventLoop], Timer]] = {
    "kernel": KernelTimer,
    "loop": LoopTimer,
}


class Called:
    def __init__(self) -> None:
        self.names: list[str] = []
        self._more = asyncio.Event()

    def by(self, name: str) -> None:
        self.names.append(name)
        self._more.set()

    async def once(self) -> None:
        await self._more.wait()


def made(kind: str) -> Timer:
    return KINDS[kind](asyncio.get_running_loop())


@pytest.mark.parametrize("kind", KINDS)
async def test_it_calls_back_when_the_moment_has_come(kind: str) -> None:
    called, alarm = Called(), made(kind)
    at = time.monotonic() + 0.02
    alarm.set(at, lambda: called.by("first"))
    await called.once()
    assert time.monotonic() >= at - 0.001  # a loop rounds to its milliseconds
    alarm.close()
    assert called.names == ["first"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0.0, -5.0])
async def test_a_moment_of_the_past_has_come(kind: str, at: float) -> None:
    called, alarm = Called(), made(kind)
    alarm.set(at, lambda: called.by("past"))
    await called.once()
    alarm.close()
    assert called.names == ["past"]


@pytest.mark.parametrize("kind", KINDS)
async def test_only_the_last_moment_counts(kind: str) -> None:
    called, alarm = Called(), made(kind)
    alarm.set(time.monotonic() + 0.01, lambda: called.by("replaced"))
    alarm.set(time.monotonic() + 0.03, lambda: called.by("last"))
    await called.once()
    alarm.close()
    assert called.names == ["last"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_cancelled_does_not_come(kind: str) -> None:
    called, alarm, later = Called(), made(kind), made(kind)
    alarm.set(time.monotonic() + 0.01, lambda: called.by("cancelled"))
    alarm.cancel()
    later.set(time.monotonic() + 0.03, lambda: called.by("later"))
    await called.once()
    alarm.close()
    later.close()
    assert called.names == ["later"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_callback_may_set_it_anew(kind: str) -> None:
    called, alarm = Called(), made(kind)

    def again() -> None:
        called.names.append("first")
        alarm.set(time.monotonic() + 0.01, lambda: called.by("second"))

    alarm.set(time.monotonic(), again)
    await called.once()
    alarm.close()
    assert called.names == ["first", "second"]


async def test_a_system_without_timerfd_has_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name, use_errno: object())
    assert isinstance(timer(asyncio.get_running_loop()), LoopTimer)
