"""`tsfarm connect`: from the command line to a session, and to an exit status."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import secrets
from pathlib import Path

import click

from clients import tty
from clients.client import Client
from clients.device import Device, default_folder
from clients.exit_codes import exit_status
from clients.options import Hosts, example
from clients.pipe import Pipe
from clients.prompts import PASSWORD_BYTES_MAX, Prompts
from clients.steps import Finished, Host, Outcome, Plan
from clients.terminal import Terminal, check_is_terminal
from clients.trust import Dialler
from tsproto import limits
from tsproto.errors import ErrorCode, TsfarmError

_TERM = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
OUR_OWN = (ErrorCode.UNREACHABLE, ErrorCode.CONNECTION_LOST)  # no host has said these
COMMAND_CHARACTERS_MAX = 32_768  # the bound of LogonRequest.command


@click.command(
    epilog=example(
        "tsfarm connect ts1.example,ts2.example --user user1",
        "tsfarm connect ts1.example --user user1 --password-file secret -- make test",
    )
    + "\n\n\b\nKeys in a session:\n"
    "  Ctrl-] d       disconnect, the session goes on\n"
    "  Ctrl-] Ctrl-]  send one Ctrl-]\n"
    "  Ctrl-] ?       show these keys"
)
@click.argument("hosts", type=Hosts(limits.TERMINAL_PORT), metavar="HOST[:PORT][,HOST...]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--user", default=getpass.getuser, help="The user to log on; you by default.")
@click.option("--app", default="", help="An application of the farm, instead of a shell.")
@click.option("--store", type=click.Path(path_type=Path), help="The device's folder.")
@click.option("--device-name", default="", help="Call this device so from now on.")
@click.option("--ca", type=_EXISTING, help="Trust this authority (PEM), and no other.")
@click.option("--accept-new", default="", metavar="FINGERPRINT", help="Accept this new farm.")
@click.option("--password-file", type=_EXISTING, help="Its first line is the password.")
@click.option("--plain", is_flag=True, help="TCP without TLS, to a loopback address.")
def connect(
    hosts: tuple[Host, ...],
    command: tuple[str, ...],
    user: str,
    app: str,
    store: Path | None,
    device_name: str,
    ca: Path | None,
    accept_new: str,
    password_file: Path | None,
    plain: bool,
) -> None:
    """Connect to a farm.

    Shows a session on the terminal, or runs one COMMAND for a script.

    The hosts are tried in their order; whichever answers leads to the user's session, wherever in
    the farm it is. The words of COMMAND are joined by spaces, and a shell there reads them.
    """
    line = " ".join(command)
    if len(line) > COMMAND_CHARACTERS_MAX:
        raise click.UsageError(f"COMMAND is longer than {COMMAND_CHARACTERS_MAX} characters")
    if not command:
        check_is_terminal()
    prompts = Prompts(None if password_file is None else read_password(password_file), accept_new)
    device = Device.open(store or default_folder(), device_name)
    columns, rows = (80, 24) if command else tty.size_of(0)
    plan = Plan(
        hosts=hosts,
        user_name=user,
        application=app,
        command=line,
        columns=columns,
        rows=rows,
        terminal=_terminal_type(),
        password_attempts=limits.LOGON_ATTEMPTS if password_file is None else 1,
    )
    dialler = Dialler(
        device.known_farms,
        device.name,
        prompts.confirm,
        authority=None if ca is None else ca.read_bytes(),
        plain=plain,
    )
    surface = Pipe(prompts) if command else Terminal(prompts)
    finished, signal = asyncio.run(_run(plan, device, dialler, surface))
    report(finished, is_interactive=not command)
    raise click.exceptions.Exit(exit_status(finished, signal))


async def _run(
    plan: Plan, device: Device, dialler: Dialler, surface: Pipe | Terminal
) -> tuple[Finished, int]:
    client = Client(plan, device, dialler, surface, secrets.SystemRandom())
    return await surface.run(client)


def report(finished: Finished, is_interactive: bool) -> None:
    """Say how it ended: a line for a person, or for a script only what went wrong."""
    code, detail = finished.code, finished.detail
    if finished.outcome is Outcome.DISCONNECTED:
        by_user = code is ErrorCode.DISCONNECTED_BY_USER
        tty.say("disconnected; the session goes on" if by_user else f"disconnected: {code.meaning}")
    elif finished.outcome is Outcome.ENDED:
        if is_interactive:
            tty.say("the session has ended")
    elif finished.outcome is not Outcome.CANCELLED:
        click.echo(f"tsfarm: {tty.printable(_why(code, detail))}", err=True)


def _why(code: ErrorCode, detail: str) -> str:
    if code in OUR_OWN and detail:
        return f"no connection: {detail}"
    return f"{code.meaning}: {detail}" if detail not in ("", code.meaning) else code.meaning


def read_password(file: Path) -> bytes:
    """The first line of a file; raises TsfarmError when that is no password."""
    try:
        with open(file, "rb") as opened:
            password = opened.readline(PASSWORD_BYTES_MAX + 2).rstrip(b"\r\n")
    except OSError as error:
        raise TsfarmError(f"{file}: {error.strerror}") from None
    if not password or len(password) > PASSWORD_BYTES_MAX:
        raise TsfarmError(
            f"{file}: its first line must be a password of 1 to {PASSWORD_BYTES_MAX} bytes"
        )
    return password


def _terminal_type() -> str:
    found = os.environ.get("TERM", "")
    return found if _TERM.fullmatch(found) and found != "dumb" else "xterm-256color"
