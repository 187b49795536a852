"""Keeps this process's memory, with the secrets in it, out of every file."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def forbid() -> None:
    """No core dump, and nobody but root may trace this process or read its /proc/PID/mem and the
    like; /proc/PID/stat and cmdline stay open. Until it executes another program.

    The soft limit is for kernels that hand dumps to a program; one that is started may raise it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl: {os.strerror(number)}")
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
