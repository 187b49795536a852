"""Starts a terminal server: `python -m daemons.terminal_server --config FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from daemons import startup
from daemons.accounts import Accounts, AccountsError
from daemons.config import ConfigError
from daemons.keeper.programs import check_programs
from daemons.program_runner import ProgramRunner
from daemons.settings import TerminalServerSettings
from daemons.shell import Shell
from daemons.terminal_server.core import TerminalServerCore
from daemons.terminal_server.records import RECORDS
from tsproto.license_token import Verifier
from tsproto.messages import Role


def main(config: Path) -> int:
    """Run until a signal or a failure; gives the exit status, see `startup.run`.

    Sessions go on in the keeper, and the next start takes them up.
    """
    return startup.run(config, TerminalServerSettings, Role.TERMINAL_SERVER, RECORDS, serve)


async def serve(start: startup.Start[TerminalServerSettings]) -> int:
    settings, credentials = start.settings, start.credentials
    core: TerminalServerCore

    def make_core(port: int) -> TerminalServerCore:
        nonlocal core
        core = TerminalServerCore(
            settings,
            name=credentials.name,
            port=port,
            verifier=Verifier(credentials.authority, settings.farm),
            rng=start.rng,
            incarnation=start.rng.randbytes(16),
            records=start.take_records(),
            running=running,
            authority=credentials.authority,
        )
        return core

    def on_program_ended(session_id: int, exit_status: int) -> None:
        shell.call(lambda now: core.on_program_ended(session_id, exit_status, now))

    check_programs(settings.sessions)
    accounts = _accounts(Path(settings.accounts))
    discovery = settings.discovery
    shell = Shell(start.station, start.store, start.clock, accounts=accounts, discovery=discovery)
    shell.traffic = sessions = ProgramRunner(
        settings.sessions,
        Path(settings.state),
        link_of=shell.link_of,
        on_started=shell.answer,
        on_ended=on_program_ended,
    )
    shell.performers.update(sessions.performers)
    try:
        running = await sessions.adopt()
        return await shell.run(settings.listen, make_core)
    finally:
        await sessions.close()
        accounts.close()


def _accounts(path: Path) -> Accounts:
    accounts = Accounts(path)
    try:
        accounts.check()
    except AccountsError as error:
        raise ConfigError(f"accounts: {error}") from None
    return accounts


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("terminal-server")))
