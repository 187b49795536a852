"""A farm lived through for months: each device comes about once in thirty days, so that its token
is issued, upgraded, renewed, and reclaimed when it came too late.

A day is a minute and a half of visits; then everybody sleeps until the next one, and every link has
broken by then. Nothing else is broken here: that is what `farm.Farm.run` is for.
"""

from __future__ import annotations

import gc
import random
from functools import partial

import msgspec

from tests.simulation import laws
from tests.simulation.device import LOG_OFF, Device
from tests.simulation.farm import DAY, Farm
from tests.simulation.swarm import Swarm
from tests.simulation.world import Violation
from tsproto.license_token import Claims

PAUSE_DAYS = (25, 35)
REJOIN_SECONDS = 5.0  # the daemons find each other again
ARRIVING_SECONDS = 25.0
LEFT_AFTER_SECONDS = 60.0  # every device's user has worked, and has logged off
DAYS_BETWEEN_LONG_CHECKS = 30


class Lived(msgspec.Struct):
    """What came of it; `refused` visits found no license, though there are tokens for all."""

    visits: int = 0
    refused: int = 0
    events: int = 0
    messages: int = 0
    violation: str = ""


class Months:
    """A farm of so many devices, each with a user of its own, and as many tokens."""

    def __init__(self, devices: int, seed: int = 0) -> None:
        self.farm = Farm(seed, Swarm(devices=devices, users=devices, tokens=devices))
        self.lived = Lived()
        self._rng = random.Random(f"{seed}/visits")
        self._due: dict[int, list[tuple[Device, str]]] = {}
        for device, user in zip(self.farm.devices, self.farm.users, strict=True):
            device.leaving = (LOG_OFF,)
            self._plan(self._rng.randrange(PAUSE_DAYS[1]), device, user)

    def live(self, days: int) -> Lived:
        world = self.farm.world
        gc.freeze()  # the devices live to the end: no collection need look at them
        try:
            self._begin()
            for day in range(days):
                self._live_one(day)
            self._check_everything()
        except Violation as broken:
            self.lived.violation = str(broken)
        finally:
            gc.unfreeze()
        self.lived.events, self.lived.messages = world.events, world.messages
        return self.lived

    def _begin(self) -> None:
        """Daemons whose steps are not watched, as those of the seeds are: the laws of the year look
        at disks and devices. No clock is ever wrong."""
        world = self.farm.world
        for ledger in self.farm.license_rows.ledgers.values():
            ledger.node.disk.before = ledger.apply
        for device in self.farm.devices:
            device.on_token = self._stored
        for node in self.farm.nodes:
            node.start()
            node.clock.now = lambda: world.now

    def _stored(self, device: Device, claims: Claims) -> None:
        self.farm.world.saw(f"{claims.kind.name.lower()} token")

    def _live_one(self, day: int) -> None:
        world = self.farm.world
        began_at = world.now
        world.run_until(world.now + REJOIN_SECONDS)
        visitors = self._due.pop(day, [])
        for device, user in visitors:
            world.after(ARRIVING_SECONDS * self._rng.random(), partial(device.begin, user))
            self._plan(day + self._rng.randint(*PAUSE_DAYS), device, user)
        world.run_until(world.now + ARRIVING_SECONDS + LEFT_AFTER_SECONDS)
        self._check_the_day([device for device, _ in visitors])
        if day % DAYS_BETWEEN_LONG_CHECKS == 0:
            self._check_everything()
        world.jump(began_at + DAY - world.now)

    def _plan(self, day: int, device: Device, user: str) -> None:
        self._due.setdefault(day, []).append((device, user))

    # --- the laws -------------------------------------------------------------------------------

    def _check_the_day(self, visitors: list[Device]) -> None:
        laws.everybody_was_answered(self.farm, visitors)
        laws.pools_count_the_disks(self.farm)
        self.lived.visits += len(visitors)
        self.lived.refused += sum(not device.visit.attached_to for device in visitors)

    def _check_everything(self) -> None:
        for law in (
            laws.nothing_is_overdrawn,
            laws.loans_are_known_to_both,
            laws.devices_hold_no_more_than_was_bought,
            laws.one_session_a_user,
            laws.directory_is_true,
        ):
            law(self.farm)
