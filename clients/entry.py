"""Where the installed command begins: Ctrl-C during the imports is no fault to report."""

from __future__ import annotations

INTERRUPTED = 130


def main() -> None:
    """The command `tsfarm`."""
    try:
        from clients.cli import main as tsfarm

        tsfarm()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
