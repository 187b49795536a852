from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.conformance.vectors import files


def main(arguments: Sequence[str]) -> int:
    if arguments == ["--write"]:
        files.write()
        return 0
    if arguments:
        print("usage: python -m tests.conformance.vectors [--write]", file=sys.stderr)
        return 2
    fresh = files.contents() == files.read()
    print("fresh" if fresh else "stale: run `python -m tests.conformance.vectors --write`")
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
