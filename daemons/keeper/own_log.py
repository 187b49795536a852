"""The keeper's own log, on standard error: it loads no library for that, because it forks."""

from __future__ import annotations

import sys

from tsproto.printable import printable


def tell(detail: str) -> None:
    print(f"keeper: {printable(detail)}", file=sys.stderr, flush=True)
