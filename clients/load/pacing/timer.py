"""One timer of a loop that is as exact as the system's own.

A loop's timers count in whole milliseconds, and an arrival that is begun half of one late seems to
have been served half of one later. Linux' timerfd wakes a loop through a descriptor instead, some
tens of microseconds after the moment. It is asked through ctypes: Python has it from 3.13 on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from typing import Protocol

# From <sys/timerfd.h> and <time.h>, the same on all of Linux' architectures.
CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
NANOSECONDS = 1_000_000_000
# A moment of 0 would disarm it.
SOONEST = 1e-9


class Timer(Protocol):
    """Calls back once, at a moment of `time.monotonic()`. A new moment replaces the last one."""

    def set(self, at: float, callback: Callable[[], None]) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None:
        """Nothing is called back any more."""
        ...


def timer(loop: asyncio.AbstractEventLoop) -> Timer:
    """The most exact one that this system has."""
    with contextlib.suppress(AttributeError, OSError):
        return KernelTimer(loop)
    return LoopTimer(loop)


class LoopTimer:
    """The loop's own, anywhere."""

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


class Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Setting(ctypes.Structure):
    """`struct itimerspec`: it comes again after `interval`, which stays 0."""

    _fields_ = (("interval", Moment), ("value", Moment))


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
        setting = Setting(Moment(0, 0), Moment(seconds, nanoseconds))
        how = ctypes.byref(setting)
        _checked(self._libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, how, None))

    def _on_readable(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # it had come, and was set anew before anybody looked
            return
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
