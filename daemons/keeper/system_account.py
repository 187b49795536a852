"""Whether the operator of this host still lets a system user in.

The system's password plays no part in a logon, so only a decision of the operator counts: a shell
that lets nobody in, a password that was locked, an account that has ended. It counts for every
session of the user, whatever program is configured for it.
"""

from __future__ import annotations

import ctypes
import os
from typing import ClassVar

import msgspec

NO_SHELLS = ("nologin", "false")
DAY_SECONDS = 86_400


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What shadow(5) says of an account; numbers count days, since 1970 where they are dates, and
    -1 is none."""

    password: str
    changed: int = -1
    valid_days: int = -1  # of a password
    inactive_days: int = -1  # that the account lasts after its password
    ends: int = -1  # the last day of the account


def refusal(shell: str, shadow: Shadow | None, now: float) -> str:
    """Why no session may begin at `now`, and the next step; empty if one may.

    An account whose password was never set is not locked: `passwd --lock` puts a `!` before a hash,
    and there is none.
    """
    if os.path.basename(shell) in NO_SHELLS:
        return f"its shell is {shell}: `usermod --shell` gives it another"
    if shadow is None:
        return ""
    if shadow.password.startswith("!") and shadow.password.strip("!*"):
        return "it is locked: `usermod --unlock` unlocks it"
    today = int(now // DAY_SECONDS)
    if 0 <= shadow.ends < today:
        return "it has expired: `usermod --expiredate` sets another day"
    ages = 0 < shadow.changed and 0 <= shadow.valid_days and 0 <= shadow.inactive_days
    if ages and shadow.changed + shadow.valid_days + shadow.inactive_days < today:
        return "its password has expired for too long: set one with `passwd`"
    return ""


class _Spwd(ctypes.Structure):
    """struct spwd of <shadow.h>."""

    _fields_: ClassVar = [
        ("sp_namp", ctypes.c_char_p),
        ("sp_pwdp", ctypes.c_char_p),
        ("sp_lstchg", ctypes.c_long),
        ("sp_min", ctypes.c_long),
        ("sp_max", ctypes.c_long),
        ("sp_warn", ctypes.c_long),
        ("sp_inact", ctypes.c_long),
        ("sp_expire", ctypes.c_long),
        ("sp_flag", ctypes.c_ulong),
    ]


def shadow_of(name: str) -> Shadow | None:
    """The entry that the C library finds, in /etc/shadow or a directory service; None for an
    account without one. Only root may ask."""
    getspnam = ctypes.CDLL(None).getspnam
    getspnam.restype = ctypes.POINTER(_Spwd)
    found = getspnam(name.encode())
    if not found:
        return None
    entry = found.contents
    return Shadow(
        password=entry.sp_pwdp.decode(errors="replace"),
        changed=entry.sp_lstchg,
        valid_days=entry.sp_max,
        inactive_days=entry.sp_inact,
        ends=entry.sp_expire,
    )
