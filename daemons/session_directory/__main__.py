"""Starts a session directory: `python -m daemons.session_directory --config FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from daemons import startup
from daemons.session_directory.core import SessionDirectoryCore
from daemons.session_directory.records import RECORDS
from daemons.settings import SessionDirectorySettings
from daemons.shell import Shell
from tsproto.messages import Role


def main(config: Path) -> int:
    """Run until a signal or a failure; gives the exit status, see `startup.run`."""
    role = Role.SESSION_DIRECTORY
    return startup.run(config, SessionDirectorySettings, role, RECORDS, serve)


async def serve(start: startup.Start[SessionDirectorySettings]) -> int:
    core = SessionDirectoryCore(start.settings, name=start.credentials.name, rng=start.rng)
    return await Shell(core, start).run()


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("session-directory")))
