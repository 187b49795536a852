"""`python -m tsproto.reference [--write]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tsproto.reference import document


def main(arguments: Sequence[str]) -> int:
    if arguments == ["--write"]:
        document.PROTOCOL_MD.write_text(document.render(), encoding="utf-8")
        return 0
    if arguments:
        print("usage: python -m tsproto.reference [--write]", file=sys.stderr)
        return 2
    print(document.render(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
