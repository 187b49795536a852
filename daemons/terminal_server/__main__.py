"""Starts a terminal server: `python -m daemons.terminal_server --config FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from daemons import startup
from daemons.effects import Outcome
from daemons.keeper.programs import check_programs
from daemons.program_runner import ProgramRunner
from daemons.settings import TerminalServerSettings
from daemons.shell import Shell
from daemons.switchboard import Step
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
    reports: asyncio.Queue[Step] = asyncio.Queue()

    def on_outcome(question_id: int, outcome: Outcome) -> None:
        reports.put_nowait(partial(core.on_answer, question_id, outcome))

    def on_program_ended(session_id: int, exit_status: int) -> None:
        reports.put_nowait(lambda now: core.on_program_ended(session_id, exit_status, now))

    check_programs(settings.sessions)
    sessions = ProgramRunner(
        start.config,
        settings.sessions,
        Path(settings.state),
        link_of=lambda peer: shell.link_of(peer),
        on_outcome=on_outcome,
        on_ended=on_program_ended,
    )
    try:
        running = await sessions.adopt()
        core = TerminalServerCore(
            settings,
            name=credentials.name,
            port=start.port,
            verifier=Verifier(
                credentials.authority, settings.farm, deny_lists=start.identity.deny_lists
            ),
            rng=start.rng,
            incarnation=start.rng.randbytes(16),
            records=start.take_records(),
            running=running,
            authority=credentials.authority,
        )
        shell = Shell(
            core,
            start,
            discovery=settings.discovery,
            performers=sessions.performers,
            traffic=sessions,
            reports=reports,
        )
        return await shell.run()
    finally:
        await sessions.close()


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("terminal-server")))
