"""Where the installed command begins: Ctrl-C during the imports is no fault to report, and what was
closed by whoever started it reads as empty and writes to nowhere."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130
STANDARD = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def main() -> None:
    """The command `tsfarm`."""
    try:
        open_standard_streams()
        from clients.cli import main as tsfarm

        tsfarm()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def open_standard_streams() -> None:
    """Those of the three that are closed, on /dev/null: the next file or socket would take their
    number, and be written into by whoever means to say something."""
    for descriptor, name, mode in STANDARD:
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, mode))
