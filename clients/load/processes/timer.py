"""A timer of microseconds for an event loop.

A loop's own timers count whole milliseconds, and an arrival that begins half a millisecond late
seems to be served half a millisecond later. Linux' timerfd wakes the loop through a descriptor some
tens of microseconds after the moment. It is called through ctypes: Python has it from 3.13 on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import time
from collections.abc import Callable

from clients.load.pacing.pacer import Timer

# From <sys/timerfd.h> and <time.h>, the same on all of Linux' architectures.
CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
ITIMERSPEC = struct.Struct("@4l")  # an interval, of 0 for once, and the moment
NANOSECONDS = 1_000_000_000
SOONEST = 1e-9  # a moment of 0 would disarm the timer


def timer(loop: asyncio.AbstractEventLoop) -> Timer:
    """A timerfd, or the loop's own timer where the system has none."""
    with contextlib.suppress(AttributeError, OSError):
        return KernelTimer(loop)
    return LoopTimer(loop)


class LoopTimer:
    """The loop's own timer, on any system."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float, callback: Callable[[], None]) -> None:
        self.cancel()
        self._handle = self._loop.call_later(max(0.0, at - time.monotonic()), callback)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def close(self) -> None:
        self.cancel()


class KernelTimer:
    """A timerfd. Raises AttributeError where the system has none, OSError where it gives none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callback: Callable[[], None] | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = _checked(self._libc.timerfd_create(CLOCK_MONOTONIC, flags))
        loop.add_reader(self._descriptor, self._on_readable)

    def set(self, at: float, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._settle(max(at, SOONEST))

    def cancel(self) -> None:
        self._callback = None
        self._settle(0.0)

    def close(self) -> None:
        self._callback = None
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _settle(self, at: float) -> None:
        seconds, nanoseconds = divmod(round(at * NANOSECONDS), NANOSECONDS)
        setting = ITIMERSPEC.pack(0, 0, seconds, nanoseconds)
        _checked(self._libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, setting, None))

    def _on_readable(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # it fired, and was set anew before the loop read it
            return
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
