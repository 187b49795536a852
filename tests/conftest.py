"""Every asynchronous test runs on both loops, within a time, and fails when a loop's exception
handler was called.

pytest-timeout is the last resort behind that. It interrupts a synchronous test by a signal. It
cannot interrupt uvloop so: there its thread ends the whole run.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvloop

TEST_SECONDS = 30

Test = Callable[..., Awaitable[None]]

gc.disable()  # while modules are imported, which all stay


def pytest_collection_finish() -> None:
    """Let the garbage collector visit only what the tests make."""
    gc.freeze()
    gc.enable()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test = getattr(item, "obj", None)
        if inspect.iscoroutinefunction(test):
            item.obj = _watched(test)  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.timeout(method="thread"))


def _watched(test: Test) -> Test:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        async with asyncio.timeout(TEST_SECONDS):
            await test(*args, **kwargs)
        assert not faults, "\n".join(str(fault.get("exception", fault)) for fault in faults)

    return run
