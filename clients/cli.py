"""The one command, `tsfarm`, and its sub-commands.

An error that a user may see is one line on standard error and an exit status; a traceback is a
fault of ours.
"""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import click

from clients import admin, exit_codes
from clients.connect import connect
from clients.decode import decode
from clients.device import default_folder, held_licenses
from clients.lab import lab
from clients.licenses import License
from clients.options import example, printed_json
from clients.query import query
from clients.tables import Row, plain_row, print_rows
from clients.tty import printable
from tsproto.errors import TsfarmError
from tsproto.limits import DAY_SECONDS

LICENSE_COLUMNS = {
    "farm": "FARM",
    "product": "PRODUCT",
    "product_version": "VERSION",
    "kind": "KIND",
    "issuer": "ISSUER",
    "device_name": "DEVICE",
    "expires_at": "EXPIRES",
    "days_left": "DAYS LEFT",
}


class ErrorsInOneLine(click.Group):
    """Ends with a line and a status where a sub-command raised TsfarmError or OSError."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TsfarmError as error:
            text, status = str(error), exit_codes.exit_code_of(error)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(exit_codes.ExitCode.CANCELLED) from None
        except BrokenPipeError:
            raise  # click ends in silence: whoever read our output has had enough
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror or error}"
            status = exit_codes.ExitCode.FAILED
        lines = "\n".join(printable(line) for line in text.splitlines())
        click.echo(f"tsfarm: {lines}", err=True)
        raise click.exceptions.Exit(status)


@click.group(
    "tsfarm",
    cls=ErrorsInOneLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("tsfarm lab up", "tsfarm connect ts1.example --user user1")
    + "\n\n\b\n"
    + exit_codes.table(),
)
@click.version_option(package_name="tsfarm", message="%(prog)s %(version)s")
def main() -> None:
    """A farm of terminal servers: sessions that go on, on licensed devices."""


@main.group("license", epilog=example("tsfarm license show"))
def license_group() -> None:
    """Look at the licenses of this device."""


@license_group.command("show", epilog=example("tsfarm license show --store DIR --json"))
@click.option("--store", type=click.Path(path_type=Path), help="The device's folder.")
@printed_json
def license_show(store: Path | None, as_json: bool) -> None:
    """The licenses that this device holds, and how long they last."""
    folder = store or default_folder()
    rows = [license_row(held, time.time()) for held in held_licenses(folder)]
    if not rows and not as_json:
        click.echo(f"no license in {folder}")
        return
    print_rows(rows, LICENSE_COLUMNS, as_json)


def license_row(held: License, now: float) -> Row:
    """What a license says, and the whole days that it still counts; negative after its end."""
    row = plain_row(held.claims)
    return {**row, "days_left": int((held.claims.expires_at - now) // DAY_SECONDS)}


def daemon_command(name: str, package: str, short: str) -> click.Command:
    """A command that runs a daemon in this process; its package is loaded only then."""

    @click.command(name, help=short, epilog=example(f"tsfarm {name} --config {package}.toml"))
    @click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        help="The daemon's settings, TOML.",
    )
    def run(config: Path) -> None:
        status = importlib.import_module(f"daemons.{package}.__main__").main(config)
        raise click.exceptions.Exit(status)

    return run


class ImportedWhenRun(click.Command):
    """Stands for the command `name` of a module that is imported only when it is asked for: what it
    needs takes longer to import than all the rest."""

    def __init__(self, name: str, module: str, short: str) -> None:
        super().__init__(name, help=short)
        self._module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        assert self.name is not None
        try:
            found: click.Command = getattr(importlib.import_module(self._module), self.name)
        except ModuleNotFoundError as missing:
            raise TsfarmError(
                f"`tsfarm {self.name}` needs {missing.name}: install `tsfarm[{self.name}]`"
            ) from None
        return found.make_context(info_name, args, parent, **extra)


for command in (
    connect,
    query,
    decode,
    admin.pki,
    admin.user,
    lab,
    ImportedWhenRun("load", "clients.load.command", "Load a farm, and measure it."),
    ImportedWhenRun(
        "conformance", "clients.conformance.command", "Hold a server or client against PROTOCOL.md."
    ),
    daemon_command("license-server", "license_server", "Run a license server."),
    daemon_command("terminal-server", "terminal_server", "Run a terminal server."),
    daemon_command("session-directory", "session_directory", "Run a session directory."),
):
    main.add_command(command)
