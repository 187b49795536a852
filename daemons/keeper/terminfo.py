"""Which terminals this host knows: the entries of its terminfo database, as ncurses finds them."""

from __future__ import annotations

from pathlib import Path

FALLBACK = "xterm-256color"
# Where Linux distributions compile ncurses to look, after the user's own folder.
FOLDERS = ("/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo")


def is_known(terminal: str, home: str) -> bool:
    """Whether programs of a user with this home find an entry for the value of TERM."""
    return any(
        Path(folder, letter, terminal).is_file()
        for folder in (Path(home, ".terminfo"), *FOLDERS)
        for letter in (terminal[:1], f"{ord(terminal[0]):x}" if terminal else "")
    )
