"""What Ctrl-C does to a load run that has ended and is only looked after."""

from __future__ import annotations

import asyncio
import os
import signal

from clients.load.run import unless_interrupted


async def test_ctrl_c_ends_the_last_look_and_nothing_else() -> None:
    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    assert await unless_interrupted(interrupted()) is False


async def test_a_last_look_may_come_to_its_end() -> None:
    looked = []

    async def looking() -> None:
        looked.append("at everything")

    assert await unless_interrupted(looking()) is True
    assert looked == ["at everything"]
