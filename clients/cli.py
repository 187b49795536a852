"""The command `tsfarm` and its sub-commands, each imported when it runs.

An error is one line on standard error and an exit status; a traceback is a bug of tsfarm.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from clients import exit_codes
from clients.examples import example
from clients.say import complain
from tsproto.errors import TsfarmError

# Each command: where it is declared, and its line in the help of `tsfarm`.
COMMANDS = {
    "conformance": (
        "clients.conformance.command:conformance",
        "Test a server or client, anybody's, against PROTOCOL.md.",
    ),
    "connect": ("clients.connect:connect", "Connect to a farm."),
    "decode": ("clients.decode:decode", "Show the frames in a file."),
    "device": ("clients.revocation:device", "Take devices back, or allow them again."),
    "lab": ("clients.lab:lab", "Run a whole farm on this machine."),
    "license": ("clients.license_show:license_group", "Look at the licenses of this device."),
    "load": ("clients.load.command:load", "Load a farm, and measure it."),
    "passwd": ("clients.passwd:passwd", "Change your password in a farm."),
    "pki": ("clients.pki:pki", "Make the certificates of a farm."),
    "query": ("clients.query:query", "Ask the daemons of a farm what they know."),
    "user": ("clients.user:user", "Keep the accounts of a farm's users."),
}
DAEMONS = {
    "license-server": "Run a license server.",
    "session-directory": "Run a session directory.",
    "terminal-server": "Run a terminal server.",
}
EXTRAS = ("load",)  # commands whose libraries are an extra of the package, of the same name


class LazyGroup(click.Group):
    """Imports a command when it is asked for; its help lists them without importing any.

    A TsfarmError or OSError of a command becomes one line and an exit status.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*COMMANDS, *DAEMONS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in DAEMONS:
            return daemon_command(cmd_name, DAEMONS[cmd_name])
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            found: click.Command = getattr(_imported(module), attribute)
        except ModuleNotFoundError as missing:
            if cmd_name not in EXTRAS:
                raise
            raise TsfarmError(
                f"`tsfarm {cmd_name}` needs {missing.name}: install `tsfarm[{cmd_name}]`"
            ) from None
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shorts = {**{name: short for name, (_, short) in COMMANDS.items()}, **DAEMONS}
        with formatter.section("Commands"):
            formatter.write_dl([(name, shorts[name]) for name in self.list_commands(ctx)])

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with ending_with_its_reader():  # `--help` and `--version` are printed here
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with ending_with_its_reader():
                return super().invoke(ctx)
        except TsfarmError as error:
            text, status = str(error), exit_codes.exit_code_of(error)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(exit_codes.ExitCode.CANCELLED) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror or error}"
            status = exit_codes.ExitCode.FAILED
        complain(text)
        raise click.exceptions.Exit(status)


@contextlib.contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """Turns a closed pipe on standard output into an exit status: that of a program which SIGPIPE
    ends, as the shell counts it."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(exit_codes.ExitCode.READER_GONE) from None


@click.group(
    "tsfarm",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("tsfarm lab up", "tsfarm connect ts1.example --user user1")
    + "\n\n\b\n"
    + exit_codes.table(),
)
@click.version_option(package_name="tsfarm", message="%(prog)s %(version)s")
def main() -> None:
    """A farm of terminal servers: sessions that go on, on licensed devices."""


def daemon_command(name: str, short: str) -> click.Command:
    """A command that runs a daemon in this process."""
    package = name.replace("-", "_")

    @click.command(name, help=short, epilog=example(f"tsfarm {name} --config {package}.toml"))
    @click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        help="The daemon's settings, TOML.",
    )
    def run(config: Path) -> None:
        status = _imported(f"daemons.{package}.__main__").main(config)
        raise click.exceptions.Exit(status)

    return run


def _imported(module: str) -> ModuleType:
    """Imports a command's module, then turns garbage collection on again, which `clients.entry` had
    turned off. Modules stay for good, so they are never searched."""
    found = importlib.import_module(module)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return found
