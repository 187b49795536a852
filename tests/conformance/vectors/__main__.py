from __future__ import annotations

from tests.conformance.vectors import files

if __name__ == "__main__":
    files.write()
