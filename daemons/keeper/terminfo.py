"""Which terminals this host knows: the entries of its terminfo database, as ncurses finds them."""

from __future__ import annotations

import os

FALLBACK = "xterm-256color"
# Where Linux distributions compile ncurses to look, after the user's own folder.
FOLDERS = ("/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo")


def is_known(terminal: str, home: str) -> bool:
    """Whether programs of a user with this home find an entry for the value of TERM."""
    if not terminal:
        return False
    return any(
        os.path.isfile(f"{folder}/{first}/{terminal}")
        for folder in (f"{home}/.terminfo", *FOLDERS)
        for first in (terminal[0], f"{ord(terminal[0]):x}")
    )
