"""Starts a terminal server: `python -m daemons.terminal_server --config FILE`."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from daemons import events, logs, startup
from daemons.config import ConfigError, read_settings
from daemons.credentials import Credentials
from daemons.effects import Outcome
from daemons.keeper.programs import check_programs
from daemons.keeper.supervisor import USER_NAME, keeper_folder, supervise, user_of
from daemons.program_runner import ProgramRunner
from daemons.settings import Log, TerminalServerSettings
from daemons.shell import Shell
from daemons.switchboard import Step
from daemons.terminal_server.core import TerminalServerCore
from daemons.terminal_server.records import RECORDS
from tsproto.errors import TsfarmError
from tsproto.license_token import Verifier
from tsproto.messages import Role


def main(config: Path) -> int:
    """Run until a signal or a failure; gives the exit status, see `startup.run`.

    Sessions go on in the keeper, and the next start takes them up. Root becomes the user of the
    state folder first; that is root only where sessions may run as root.
    """
    run = partial(startup.run, config, TerminalServerSettings, Role.TERMINAL_SERVER, RECORDS)
    if os.geteuid() != 0:
        return run(partial(serve, is_supervised=False))
    try:
        settings = read_settings(config, TerminalServerSettings)
        state = Path(settings.state)
        user = user_of(state)
        if user.pw_uid != 0:
            return supervise(config, state, user, lambda: run(partial(serve, is_supervised=True)))
        if not settings.sessions.allow_root:
            raise ConfigError(
                f"{config}: state: {state} is root's, and a terminal server must not run as root:"
                f" `chown {USER_NAME} {state}`, or set sessions.allow_root = true where sessions"
                " run as root anyway"
            )
    except TsfarmError as error:  # before there is the log that the settings ask for
        with logs.configured(Log()):
            logs.log(events.DaemonMisconfigured(error=str(error)))
        return startup.EXIT_USAGE
    return run(partial(serve, is_supervised=False))


async def serve(
    start: startup.Start[TerminalServerSettings], *, is_supervised: bool = False
) -> int:
    settings, credentials = start.settings, start.credentials
    reports: asyncio.Queue[Step] = asyncio.Queue()

    def on_outcome(question_id: int, outcome: Outcome) -> None:
        reports.put_nowait(partial(core.on_answer, question_id, outcome))

    def on_program_ended(session_id: int, exit_status: int) -> None:
        reports.put_nowait(lambda now: core.on_program_ended(session_id, exit_status, now))

    def verifier_of(own: Credentials) -> Verifier:
        trusted, deny_lists = own.trusted, start.identity.deny_lists
        return Verifier(trusted.certificates, trusted.farm, deny_lists=deny_lists)

    check_programs(settings.sessions)
    state = Path(settings.state)
    sessions = ProgramRunner(
        start.config,
        settings.sessions,
        keeper_folder(state) if is_supervised else state,
        link_of=lambda peer: shell.link_of(peer),
        on_outcome=on_outcome,
        on_ended=on_program_ended,
        starts_keeper=not is_supervised,
    )
    try:
        running = await sessions.adopt()
        core = TerminalServerCore(
            settings,
            name=credentials.name,
            port=start.port,
            verifier=verifier_of(credentials),
            rng=start.rng,
            incarnation=start.rng.randbytes(16),
            records=start.take_records(),
            running=running,
            authority=credentials.authority,
            endorsement=credentials.endorsement,
        )
        shell = Shell(
            core,
            start,
            discovery=settings.discovery,
            performers=sessions.performers,
            traffic=sessions,
            reports=reports,
            renew=lambda new: core.renew(verifier_of(new), new.authority, new.endorsement),
        )
        return await shell.run()
    finally:
        await sessions.close()


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("terminal-server")))
