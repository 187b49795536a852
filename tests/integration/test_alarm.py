"""The one timer of a core, on the loops' own clocks."""

from __future__ import annotations

import asyncio

from daemons.alarm import Alarm

NOW = 1_700_000_000.0


class Bell:
    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self.alarm = Alarm(asyncio.get_running_loop().call_later, self.rung.set)


async def test_it_rings_at_once_when_the_deadline_is_over() -> None:
    bell = Bell()
    bell.alarm.set(NOW - 5, NOW)
    await bell.rung.wait()


async def test_it_follows_a_deadline_that_moves_nearer() -> None:
    bell = Bell()
    bell.alarm.set(NOW + 5000, NOW)
    bell.alarm.set(NOW + 0.01, NOW)
    await bell.rung.wait()


async def test_after_it_rang_the_same_deadline_can_be_set_again() -> None:
    bell = Bell()
    for _ in range(2):
        bell.alarm.set(NOW + 0.01, NOW)
        await bell.rung.wait()
        bell.rung.clear()


async def test_a_deadline_that_moves_away_or_goes_leaves_the_timer_alone() -> None:
    bell = Bell()
    bell.alarm.set(NOW + 0.01, NOW)
    bell.alarm.set(NOW + 5000, NOW)
    bell.alarm.set(None, NOW)
    await bell.rung.wait()


async def test_it_does_not_ring_after_it_was_cancelled() -> None:
    silent, later = Bell(), Bell()
    silent.alarm.set(NOW + 0.01, NOW)
    silent.alarm.cancel()
    later.alarm.set(NOW + 0.02, NOW)
    await later.rung.wait()
    assert not silent.rung.is_set()
