"""The entry point of the installed command. Ctrl-C during the imports ends it without a traceback;
closed standard streams are opened on /dev/null."""

from __future__ import annotations

import gc
import os
import sys

INTERRUPTED = 130
STANDARD = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def main() -> None:
    gc.disable()  # during the imports it costs a seventh of a client's start
    try:
        open_standard_streams()
        from clients.cli import main as tsfarm

        tsfarm()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:  # in `--help` and `--version`, which run outside of a command
        raise SystemExit(f"tsfarm: standard output: {error.strerror or error}") from None


def open_standard_streams() -> None:
    """Opens closed standard streams on /dev/null. Otherwise the next file or socket would get the
    stream's number, and receive what is written to standard output or error."""
    for descriptor, name, mode in STANDARD:
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, mode))
