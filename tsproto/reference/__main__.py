"""`python -m tsproto.reference` writes PROTOCOL.md and tsfarm.lua beside the table."""

from __future__ import annotations

from pathlib import Path

from tsproto.reference import dissector, document

FOLDER = Path(__file__).parent.parent
DERIVED = {FOLDER / "PROTOCOL.md": document.render, FOLDER / "tsfarm.lua": dissector.render}


def main() -> None:
    for path, render in DERIVED.items():
        path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
