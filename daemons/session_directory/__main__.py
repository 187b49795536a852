"""Starts a session directory: `python -m daemons.session_directory --config FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from daemons import events, startup
from daemons.accounts import Accounts, AccountsError
from daemons.config import ConfigError
from daemons.logs import log
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
    accounts = _accounts(start.settings)
    core = SessionDirectoryCore(
        start.settings,
        name=start.credentials.name,
        rng=start.rng,
        records=start.take_records(),
        account_of=None if accounts is None else accounts.find,
    )
    return await Shell(core, start).run()


def _accounts(settings: SessionDirectorySettings) -> Accounts | None:
    if not settings.accounts:
        return None
    try:
        return Accounts(Path(settings.accounts), settings.farm, _on_fault)
    except AccountsError as error:
        raise ConfigError(f"accounts: {error}") from None


def _on_fault(detail: str) -> None:
    log(events.AccountsUnreadable(detail=detail))


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("session-directory")))
