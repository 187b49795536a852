"""`tsfarm connect`: from the command line to a session, and to an exit status."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import re
import ssl
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from clients import tty
from clients.client import Client
from clients.device import Device, default_folder
from clients.examples import example
from clients.exit_codes import ExitCode
from clients.known_hashings import KnownHashings
from clients.logon.steps import Finished, Host, Outcome, Plan
from clients.options import hosts_at, text_of
from clients.prompts import Prompts
from clients.say import complain, say
from clients.ssh import keys as ssh_keys
from clients.trust import Dialler
from clients.user_keys import UserKeys
from daemons.files import core_dumps
from tsproto import limits, transport
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.transport import Observer

if TYPE_CHECKING:
    from clients.interactive import Terminal
    from clients.pipe import Pipe

_TERM = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_VALUE = re.compile(r"[A-Za-z0-9/@._+:,-]{0,64}")
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NO_LINK = (ErrorCode.UNREACHABLE, ErrorCode.CONNECTION_LOST, ErrorCode.WRONG_ROLE)
WORTHLESS_LICENSE = (
    ErrorCode.LICENSE_TAMPERED,
    ErrorCode.LICENSE_FOREIGN,
    ErrorCode.LICENSE_NOT_YOURS,
)


@click.command(
    epilog=example(
        "tsfarm connect ts1.example,ts2.example --user user1",
        "tsfarm connect ts1.example --user user1 --identity-file key -- make test",
    )
    + "\n\n\b\nKeys in a session:\n"
    "  Ctrl-] d       disconnect, the session goes on\n"
    "  Ctrl-] Ctrl-]  send one Ctrl-]\n"
    "  Ctrl-] ?       show these keys"
)
@click.argument("hosts", type=hosts_at(limits.TERMINAL_PORT), metavar="HOST[:PORT][,HOST...]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option(
    "--user",
    type=text_of(limits.USER_NAME_CHARACTERS),
    default=getpass.getuser,
    help="The user to log on, by default the local one.",
)
@click.option(
    "--app", type=text_of(64), default="", help="Run this application instead of a shell."
)
@click.option("--store", type=click.Path(path_type=Path), help="The device's folder.")
@click.option(
    "--device-name",
    type=text_of(limits.DEVICE_NAME_CHARACTERS),
    default="",
    help="Give this device a new name, and keep it.",
)
@click.option("--ca", type=_EXISTING, help="Trust this farm's authority (PEM), and no other.")
@click.option("--accept-new", default="", metavar="FINGERPRINT", help="Accept this new farm.")
@click.option("--password-file", type=_EXISTING, help="The password is its first line.")
@click.option(
    "--identity-file",
    "identity_files",
    multiple=True,
    type=_EXISTING,
    help="Log on with this SSH private key; may be given again.",
)
@click.option("--plain", is_flag=True, help="TCP without TLS, to a loopback address.")
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Record the frames in this file, without proofs and input; `decode` shows them.",
)
@click.option("--trace-secrets", is_flag=True, help="Record proofs and input as well.")
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
    identity_files: tuple[Path, ...],
    plain: bool,
    trace: Path | None,
    trace_secrets: bool,
) -> None:
    """Connect to a farm.

    Shows a session on the terminal, or runs one COMMAND for a script.

    The hosts are tried in their order; whichever answers leads to the user's session, wherever in
    the farm it is. SSH keys are tried before the password: those of the agent, those given, and
    those of ssh. The words of COMMAND are joined by spaces, and a shell there reads them.
    """
    core_dumps.forbid()
    line = _command_line(command, app)
    if trace_secrets and trace is None:
        raise click.UsageError("--trace-secrets needs --trace FILE")
    if not command:
        tty.check_is_terminal()
    prompts = Prompts(None if password_file is None else read_password(password_file), accept_new)
    authority = None if ca is None else read_authority(ca)
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
        lang=_environment("LANG"),
        tz=_environment("TZ"),
        colorterm=_environment("COLORTERM"),
        password_attempts=limits.LOGON_ATTEMPTS if password_file is None else 1,
    )
    surface = _surface(prompts, is_command=bool(command))
    with _traced(trace, trace_secrets) as observer:
        dialler = Dialler(
            device.known_farms,
            device.name,
            prompts.confirm,
            surface.say,
            authority=authority,
            plain=plain,
            observer=observer,
        )

        async def run() -> tuple[Finished, int]:
            ssh = await ssh_keys.find(
                os.environ, Path.home(), identity_files, surface.ask_passphrase, surface.say
            )
            client = Client(
                msgspec.structs.replace(plan, key_fingerprints=ssh.fingerprints),
                device,
                dialler,
                surface,
                _SystemRandomness(),
                UserKeys(ssh, memory=KnownHashings(device.folder)),
            )
            return await surface.run(client)

        finished, signal = asyncio.run(run())
    report(finished, is_interactive=not command)
    if finished.code in WORTHLESS_LICENSE:
        say(f"to begin anew as another device, delete {device.folder / 'licenses'}")
    if surface.output_error is not None:
        raise surface.output_error
    raise click.exceptions.Exit(exit_status(finished, signal))


class _SystemRandomness:
    """The system's random numbers. Only a wait draws one, and imports their library."""

    def random(self) -> float:
        from random import SystemRandom

        return SystemRandom().random()


_OUTCOMES = {
    Outcome.DISCONNECTED: ExitCode.OK,
    Outcome.NO_LICENSE: ExitCode.NO_LICENSE,
    Outcome.LOGON_FAILED: ExitCode.LOGON_FAILED,
    Outcome.UNREACHABLE: ExitCode.UNREACHABLE,
    Outcome.CANCELLED: ExitCode.CANCELLED,
    Outcome.FAILED: ExitCode.FAILED,
}


def exit_status(finished: Finished, signal: int) -> int:
    """The exit status of the session's program; for any other end an ExitCode, or 128 + the
    `signal` that ended the client."""
    if finished.outcome is Outcome.CANCELLED and signal:
        return 128 + signal
    if finished.outcome is Outcome.ENDED:
        return finished.exit_status
    return _OUTCOMES[finished.outcome]


def _command_line(words: tuple[str, ...], app: str) -> str:
    line = " ".join(words)
    if words and not line.strip():
        raise click.UsageError("COMMAND is empty; leave `--` out for an interactive session")
    if words and app:
        raise click.UsageError("give --app or COMMAND, not both")
    if len(line) > limits.COMMAND_CHARACTERS:
        raise click.UsageError(f"COMMAND is longer than {limits.COMMAND_CHARACTERS} characters")
    try:
        line.encode()
    except UnicodeEncodeError:
        raise click.UsageError("COMMAND is not text in UTF-8") from None
    return line


def _surface(prompts: Prompts, *, is_command: bool) -> Pipe | Terminal:
    if is_command:
        from clients.pipe import Pipe

        return Pipe(prompts)
    from clients.interactive import Terminal

    return Terminal(prompts)


def _traced(file: Path | None, with_secrets: bool) -> AbstractContextManager[Observer | None]:
    if file is None:
        return contextlib.nullcontext()
    from clients.trace import recording  # it imports msgpack, needed for traces only

    return recording(file, time.time, with_secrets)


def report(finished: Finished, is_interactive: bool) -> None:
    """Prints the end of the session: for a person always, for a script only a failure."""
    code, detail = finished.code, finished.detail
    if finished.outcome is Outcome.DISCONNECTED:
        by_user = code is ErrorCode.DISCONNECTED_BY_USER
        say("disconnected; the session goes on" if by_user else f"disconnected: {code.meaning}")
    elif finished.outcome is Outcome.ENDED:
        if is_interactive:
            say("the session has ended")
    elif finished.outcome is not Outcome.CANCELLED:
        complain(_why(code, detail))


def _why(code: ErrorCode, detail: str) -> str:
    if code in NO_LINK and detail:
        return f"no connection: {detail}"
    if detail.startswith(code.meaning):
        return detail
    return f"{code.meaning}: {detail}" if detail else code.meaning


def read_authority(file: Path) -> bytes:
    """A certificate, PEM. Raises UsageError for a file that is none."""
    pem = file.read_bytes()
    try:
        transport.client_tls([pem])
    except ssl.SSLError as error:
        raise click.UsageError(f"--ca {file}: {error.strerror}") from None
    return pem


def read_password(file: Path) -> bytes:
    """The first line of a file. Raises UsageError when it is no valid password."""
    try:
        if file.stat().st_mode & 0o077 and file.is_file():
            say(f"others may read {file}: run `chmod 600 {file}`")
        with open(file, "rb") as opened:
            password = opened.readline(limits.PASSWORD_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise TsfarmError(f"{file}: {error.strerror}") from None
    if not password or len(password) > limits.PASSWORD_BYTES:
        raise click.UsageError(
            f"--password-file {file}: its first line must be a password of 1 to"
            f" {limits.PASSWORD_BYTES} bytes"
        )
    return password


def _terminal_type() -> str:
    found = os.environ.get("TERM", "")
    return found if _TERM.fullmatch(found) and found != "dumb" else "xterm-256color"


def _environment(name: str) -> str:
    """The variable for the session's program; empty when it is unusual."""
    found = os.environ.get(name, "")
    return found if _VALUE.fullmatch(found) else ""
