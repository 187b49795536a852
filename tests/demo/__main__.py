"""Run the story: make a farm, live through its steps, leave nothing behind.

python -m tests.demo --plain   without TLS, for whoever watches it with Wireshark
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from daemons import lab
from tests.demo.story import PLAN, Story
from tests.demo.terminal import NotObserved
from tsproto.errors import TsfarmError


def main() -> int:
    plain = parser().parse_args().plain
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    folder = Path(tempfile.mkdtemp(prefix="tsfarm-demo-"))
    started = time.monotonic()
    seen = 0
    story = Story(folder, replace(PLAN, tls=not plain))
    steps = story.steps()
    try:
        for number, (title, step) in enumerate(steps, 1):
            print(f"{number:2}. {title}")
            if not _observe(step, colour):
                break
            seen += 1
    finally:
        story.end()
        left = [name for name, pid in _running(folder) if pid]
        if left:
            print(f"still running: {', '.join(left)}")
            seen = min(seen, len(steps) - 1)
        elif seen < len(steps):
            print(f"the logs and the clients' traces are kept in {folder}")
        if seen == len(steps):
            shutil.rmtree(folder)
    print(f"    ({time.monotonic() - started:.1f} s)")
    print(f"demo: {seen} of {len(steps)} steps ok")
    return 0 if seen == len(steps) else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    made.add_argument("--plain", action="store_true", help="a farm that speaks plain TCP")
    return made


def _observe(step: Callable[[], str], colour: bool) -> bool:
    try:
        observed = step()
    except (NotObserved, TsfarmError) as error:
        _print_indented(f"NOT OBSERVED: {error}", "31" if colour else "")
        return False
    _print_indented(observed, "32" if colour else "")
    return True


def _print_indented(text: str, colour: str) -> None:
    for line in text.splitlines():
        print(f"\x1b[{colour}m    {line}\x1b[0m" if colour else f"    {line}", flush=True)


def _running(folder: Path) -> list[tuple[str, int | None]]:
    if not (folder / "lab.json").exists():
        return []
    return [(d["name"], d["pid"]) for d in lab.status(folder)["daemons"]]


if __name__ == "__main__":
    sys.exit(main())
