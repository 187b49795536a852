"""The one place that writes text on the user's terminal, apart from a session's output.

Text of a host may stand in all of it, so all of it is made printable.
"""

from __future__ import annotations

import contextlib
import sys

import click

from tsproto.printable import printable, printable_lines


def say(text: str, *, raw: bool = False) -> None:
    """Prints one line about a session on standard error. `raw`: the terminal is in raw mode."""
    end = "\r\n" if raw else "\n"
    with contextlib.suppress(OSError):
        sys.stderr.write(f"[tsfarm] {printable(text)}{end}")
        sys.stderr.flush()


def show(text: str, *, err: bool = False) -> None:
    """Prints lines on standard output, or standard error."""
    click.echo(printable_lines(text), err=err)


def complain(text: str) -> None:
    """Prints why a command failed."""
    show(f"tsfarm: {text}", err=True)


def prompt(text: str) -> None:
    """Prints lines on standard error and leaves the cursor behind the last."""
    sys.stderr.write(printable_lines(text))
    sys.stderr.flush()
