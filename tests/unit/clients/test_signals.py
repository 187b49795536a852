from __future__ import annotations

import asyncio
import os
import signal

import pytest

from clients.signals import Signals

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def test_a_signal_that_ends_is_received_and_told() -> None:
    told = asyncio.Event()
    with Signals(told.set) as signals:
        assert signals.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        await told.wait()
        assert signals.received == signal.SIGTERM


async def test_another_signal_is_told_to_its_own_handler() -> None:
    told = asyncio.Event()
    with Signals(lambda: None, SIGWINCH=told.set) as signals:
        os.kill(os.getpid(), signal.SIGWINCH)
        await told.wait()
        assert signals.received == 0


async def test_the_handlers_go_with_the_block() -> None:
    with Signals(lambda: None):
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
