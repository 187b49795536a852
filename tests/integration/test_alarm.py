"""The one timer of a core, on the loops' own clocks."""

from __future__ import annotations

import asyncio

from daemons.alarm import Alarm

NOW = 1_700_000_000.0
SOON = 0.05
TIMER_STEP = 0.002  # a loop may count in whole milliseconds
LATE = 10.0  # on the busiest machine


class Bell:
    """Tells when it rings, in seconds since it was made."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        made = loop.time()
        self.rung: asyncio.Queue[float] = asyncio.Queue()
        self.alarm = Alarm(loop.call_later, lambda: self.rung.put_nowait(loop.time() - made))


async def test_it_rings_at_once_when_the_deadline_is_over() -> None:
    bell = Bell()
    bell.alarm.set(NOW - 2 * LATE, NOW)
    assert await bell.rung.get() < LATE


async def test_it_follows_a_deadline_that_moves_nearer() -> None:
    bell = Bell()
    bell.alarm.set(NOW + 2 * LATE, NOW)
    bell.alarm.set(NOW + SOON, NOW)
    assert SOON - TIMER_STEP < await bell.rung.get() < LATE


async def test_after_it_rang_the_same_deadline_can_be_set_again() -> None:
    bell = Bell()
    bell.alarm.set(NOW + SOON, NOW)
    first = await bell.rung.get()
    bell.alarm.set(NOW + SOON, NOW)
    assert SOON - TIMER_STEP < await bell.rung.get() - first < LATE


async def test_a_deadline_that_moves_away_or_goes_leaves_the_timer_alone() -> None:
    bell = Bell()
    bell.alarm.set(NOW + SOON, NOW)
    bell.alarm.set(NOW + 2 * LATE, NOW)
    bell.alarm.set(None, NOW)
    assert SOON - TIMER_STEP < await bell.rung.get() < LATE


async def test_it_does_not_ring_after_it_was_cancelled() -> None:
    silent, later = Bell(), Bell()
    silent.alarm.set(NOW + SOON, NOW)
    silent.alarm.cancel()
    later.alarm.set(NOW + 2 * SOON, NOW)
    await later.rung.get()
    assert silent.rung.empty()
