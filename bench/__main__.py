"""Run the benches and print them beside their peers.

    python -m bench                        # all of them; minutes
    python -m bench directory echo         # these
    python -m bench --json FILE --readme   # keep the figures; write the table of bench/README.md
    python -m bench --smoke                # check that they work, a second each

Exit status: 0 when every bench ran, with its aim met or not; 1 when one failed; 2 for an unknown
name.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench import machine, packages, table
from bench.context import BenchContext
from bench.results import Row
from clients.load import capacity
from tsproto.errors import TsfarmError

BENCHES = (
    "codec",
    "echo",
    "generator",
    "directory",
    "licenses",
    "logon",
    "session_bytes",
    "keystrokes",
    "connections",
    "discovery",
    "simulator",
    "storm",
)
REPETITIONS = 5
DONE, FAILED, USAGE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    wanted = [name.replace("-", "_") for name in options.only] or list(BENCHES)
    if unknown := [name for name in wanted if name not in BENCHES]:
        names = ", ".join(BENCHES)
        print(f"no bench is called {', '.join(unknown)}: there are {names}", file=sys.stderr)
        return USAGE
    capacity.this_machine()  # raises the limit of descriptors
    if missing := packages.install_missing(say):
        say(f"missing, and so not compared with: {', '.join(missing)}")
    started = time.time()
    rows: list[Row] = []
    failed = []
    for name in wanted:
        try:
            rows += run(name, options.smoke, options.repetitions)
        except (TsfarmError, OSError) as error:
            failed.append(name)
            print(f"{name} failed: {error}", file=sys.stderr)
    print(table.text(rows))
    report = Report(
        date=datetime.datetime.fromtimestamp(started, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command="python -m bench " + " ".join(sys.argv[1:]),
        machine=machine.describe(),
        rows=rows,
    )
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if options.readme:
        table.write_readme(rows, report.date, report.command, report.machine)
    return FAILED if failed else DONE


class Report(msgspec.Struct, frozen=True):
    date: str
    command: str
    machine: dict[str, str]
    rows: list[Row]


def run(name: str, smoke: bool, repetitions: int) -> list[Row]:
    """Run one bench, in a temporary folder."""
    module = importlib.import_module(f"bench.{name}")
    folder = Path(tempfile.mkdtemp(prefix=f"tsfarm-bench-{name}-"))
    turns = 1 if smoke else repetitions
    try:
        context = BenchContext(folder, smoke, turns, lambda text: say(f"{name}: {text}"))
        return [msgspec.structs.replace(row, bench=name) for row in module.run(context)]
    finally:
        shutil.rmtree(folder)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("only", nargs="*", metavar="BENCH", help=", ".join(BENCHES))
    made.add_argument(
        "--smoke", action="store_true", help="check that the benches work; too short for figures"
    )
    made.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    made.add_argument("--json", type=Path, metavar="FILE")
    made.add_argument("--readme", action="store_true", help="write the table of bench/README.md")
    return made


if __name__ == "__main__":
    sys.exit(main())
