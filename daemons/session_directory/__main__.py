"""Starts a session directory: `python -m daemons.session_directory --config FILE`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from daemons import events, startup
from daemons.accounts import Accounts, AccountsError
from daemons.config import ConfigError
from daemons.effects import NotTaken, Take, Taken
from daemons.logs import log
from daemons.session_directory.core import SessionDirectoryCore
from daemons.session_directory.records import RECORDS
from daemons.settings import SessionDirectorySettings
from daemons.shell import Shell
from daemons.switchboard import Step
from tsproto.errors import ErrorCode
from tsproto.messages import Role
from tsproto.statements import StatementRefused


def main(config: Path) -> int:
    """Run until a signal or a failure; gives the exit status, see `startup.run`."""
    role = Role.SESSION_DIRECTORY
    return startup.run(config, SessionDirectorySettings, role, RECORDS, serve)


async def serve(start: startup.Start[SessionDirectorySettings]) -> int:
    accounts = _accounts(start.settings)
    reports: asyncio.Queue[Step] = asyncio.Queue()

    def take(effect: Take) -> None:
        trusted = start.credentials.trusted.certificates
        outcome = _taken(accounts, effect, trusted, start.clock.now())
        reports.put_nowait(partial(core.on_answer, effect.question_id, outcome))

    core = SessionDirectoryCore(
        start.settings,
        name=start.credentials.name,
        rng=start.rng,
        records=start.take_records(),
        account_of=None if accounts is None else accounts.find,
    )
    return await Shell(core, start, performers={Take: take}, reports=reports).run()


def _taken(
    accounts: Accounts | None, effect: Take, authorities: Sequence[bytes], now: float
) -> Taken | NotTaken:
    assert accounts is not None  # the core asks for nothing without
    try:
        return Taken(accounts.take(effect.statement, authorities, now))
    except StatementRefused as error:
        return NotTaken(error.code, str(error))
    except AccountsError as error:
        return NotTaken(ErrorCode.BUSY, str(error))


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
