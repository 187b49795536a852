"""Starts a keeper: `python -m daemons.keeper --socket PATH --pid-file PATH`."""

from __future__ import annotations

import sys

from daemons.keeper.keeper import main

if __name__ == "__main__":
    main(sys.argv[1:])
