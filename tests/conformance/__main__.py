"""The suite's command with one more target, `in-process`: a core of this product in virtual time.

python -m tests.conformance in-process --role session-directory --only SYNC
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from clients.conformance import command
from clients.conformance.runner import Source
from tests.conformance.in_process_source import InProcessSource
from tsproto.messages import Role


def main(arguments: Sequence[str] | None = None) -> int:
    return command.main(arguments, source_of)


def source_of(options: argparse.Namespace, role: Role, say: Callable[[str], None]) -> Source:
    if options.target == "in-process":
        return InProcessSource(role, all_points=not options.some_points)
    return command.named_source(options, role, say)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
