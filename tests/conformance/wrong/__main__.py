"""Starts a daemon with one planted fault, as a program of its own:

python -m tests.conformance.wrong "accepts an expired token" --config FILE
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.conformance.wrong import FAULTS, Fault
from tsproto.messages import Role

CORES = {
    Role.TERMINAL_SERVER: "TerminalServerCore",
    Role.LICENSE_SERVER: "LicenseServerCore",
    Role.SESSION_DIRECTORY: "SessionDirectoryCore",
}


def main(arguments: list[str] | None = None) -> int:
    faults = {fault.name: fault for fault in FAULTS if fault.role in CORES}
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.wrong")
    parser.add_argument("fault", choices=faults, metavar="FAULT")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    return _run(faults[options.fault], options.config)


def _run(fault: Fault, config: Path) -> int:
    program = importlib.import_module(f"daemons.{fault.role.name.lower()}.__main__")
    right = getattr(program, CORES[fault.role])

    def make_wrong(*args: Any, **settings: Any) -> Any:
        return fault.wrap(right(*args, **settings))

    with fault.plant(), patch.object(program, CORES[fault.role], make_wrong):
        status: int = program.main(config)
        return status


if __name__ == "__main__":
    sys.exit(main())
